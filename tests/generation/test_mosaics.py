import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from energy_at.generation.mosaics import (
    MOST_CLASSES,
    MOST_COLUMNS,
    draw_chains,
    draw_copies,
    draw_overview,
    show_mosaic,
)

NAMES = [f"class-{label}" for label in range(60)]


def images(*shape):
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def shown(axes):
    """The array that a panel shows, [H, W, C]."""
    (image,) = axes.get_images()
    array = np.asarray(image.get_array())
    return array if array.ndim == 3 else array[..., None]


def cell(axes, row, column, height=4, width=5):
    top, left = row * (height + 1), column * (width + 1)
    return shown(axes)[top : top + height, left : left + width]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mosaic_holds_every_image_with_white_between(channels):
    axes, rows = Figure().subplots(), images(2, 3, channels, 4, 5)
    show_mosaic(axes, list(rows), ("a", "b"))
    assert shown(axes).shape == (2 * 5 - 1, 3 * 6 - 1, channels)
    for row in range(2):
        for column in range(3):
            np.testing.assert_array_equal(cell(axes, row, column), rows[row, column].permute(1, 2, 0))
    assert (shown(axes)[4] == 255).all()
    assert (shown(axes)[:, 5] == 255).all()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_chains_run_downwards():
    stages = images(7, 3, 3, 4, 5)
    draw_chains(stages, r"a class of $\bad$ money").canvas.draw()  # which is no formula
    (axes,) = draw_chains(stages, "cat").axes
    assert axes.get_title() == "cat"
    for stage in range(3):
        np.testing.assert_array_equal(cell(axes, stage, 6), stages[6, stage].permute(1, 2, 0))


def test_the_overview_shows_each_class_from_start_to_end():
    stages, labels = images(30, 3, 1, 4, 5), torch.arange(30) % 3
    panels = draw_overview(stages, labels, NAMES).axes
    assert [axes.get_title() for axes in panels] == ["start", "middle of its steps", "end"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == NAMES[:3]
    for stage, axes in enumerate(panels):
        assert shown(axes).shape[1] == MOST_COLUMNS * 6 - 1
        for label in range(3):
            expected = stages[labels == label][2, stage].permute(1, 2, 0)
            np.testing.assert_array_equal(cell(axes, label, 2), expected)


def test_the_overview_of_many_classes_shows_the_first():
    panels = draw_overview(images(60, 3, 1, 4, 5), torch.arange(60), NAMES).axes
    assert shown(panels[0]).shape[0] == MOST_CLASSES * 5 - 1


def test_copies_stand_below_their_samples():
    samples, near = images(4, 1, 4, 5), images(8, 1, 4, 5)[4:]
    (axes,) = draw_copies(samples, near, [0.5, 0.61, 0.7, 1.0]).axes
    np.testing.assert_array_equal(cell(axes, 0, 3), samples[3].permute(1, 2, 0))
    np.testing.assert_array_equal(cell(axes, 1, 3), near[3].permute(1, 2, 0))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.50", "0.61", "0.70", "1.00"]
