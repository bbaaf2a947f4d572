import numpy as np
import torch

from energy_at.generation.chain import along
from energy_at.generation.figures import draw_energies, draw_tradeoff
from energy_at.generation.quality.tradeoff import Point

ENERGIES = torch.tensor([[1.0, 0.0, -1.0], [3.0, 2.0, torch.nan], [2.0, torch.nan, torch.nan]])


def line(axes, label):
    (found,) = (line for line in axes.get_lines() if line.get_label() == label)
    return found


def test_energies_are_drawn_step_by_step_beside_those_of_real_images():
    real = torch.linspace(-4, 6, 101)
    top, bottom = draw_energies(along(ENERGIES), real).axes
    np.testing.assert_allclose(line(top, "samples, median").get_ydata(), [2, 2, 2])
    np.testing.assert_allclose(line(top, "real images, median").get_ydata(), 1)
    deciles = [found.get_ydata()[0] for found in top.get_lines() if found.get_linestyle() == ":"]
    np.testing.assert_allclose(deciles, [-3, 5], atol=1e-6)
    np.testing.assert_allclose(bottom.get_lines()[0].get_ydata(), [100, 200 / 3, 100 / 3])


def test_without_real_images_there_are_the_samples_alone():
    top, _ = draw_energies(along(ENERGIES)).axes
    assert len(top.get_lines()) == 1


def test_a_tradeoff_has_a_line_for_each_scale_along_the_steps():
    points = [
        Point(scale, steps, steps / 2, 1.0, 2.0, scale + steps, 10 * scale + steps)
        for steps in (20, 0, 5)
        for scale in (1.0, 0.35)
    ]
    (axes,) = draw_tradeoff(points, {"360 test images": (1.1, 0.25)}).axes
    np.testing.assert_allclose(line(axes, "scale 0.35").get_xdata(), [0.35, 5.35, 20.35])
    np.testing.assert_allclose(line(axes, "scale 1").get_ydata(), [10, 15, 30])
    np.testing.assert_allclose(line(axes, "360 test images").get_xydata(), [[1.1, 0.25]])
    assert [text.get_text() for text in axes.texts] == ["0", "20", "0", "20"]
