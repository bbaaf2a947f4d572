"""The energy on a plane through an image."""

import pytest
import torch
from torch import nn

from energy_at.attacks import FGSM
from energy_at.energy import marginal_energy
from energy_at.evaluation.analysis.surface import draw_surfaces, energy_surface
from energy_at.models import SmallNet
from energy_at.types import InputError


def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double()


def test_the_attacks_axis_is_the_single_step_attacks():
    net, image = linear(), torch.full((3, 2, 2), 0.5, dtype=torch.float64)
    surface = energy_surface(net, image, 1, eps=0.1, reach=2.0, points=5)
    assert surface.multiples.tolist() == [-2, -1, 0, 1, 2]
    x, y = image[None], torch.tensor([1])
    with torch.no_grad():
        change = marginal_energy(net(FGSM(0.1)(net, x, y))) - marginal_energy(net(x))
    assert surface.energy[2, 3] == pytest.approx(change.item(), abs=1e-12)
    assert surface.energy[2, 2] == 0


def test_a_row_is_a_line_along_the_random_direction_of_the_cubes_corner():
    """Of a net that returns its pixels, the logits tell which image it was given."""
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(x.detach())
            return x.flatten(1)[:, :2] * 3

    image = torch.full((1, 2, 2), 0.5, dtype=torch.float64)
    energy_surface(Spy(), image, 0, eps=0.1, reach=1.0, points=3)
    grid = torch.cat([batch for batch in seen if len(batch) == 3]).view(3, 3, 1, 2, 2)
    across = grid[2, 1] - grid[1, 1]
    assert torch.allclose(across.abs(), torch.full_like(across, 0.1))
    assert torch.allclose(grid[2, 2] - grid[1, 1], across + (grid[1, 2] - grid[1, 1]))


def test_it_is_right_where_the_net_is_and_leaves_the_net_as_it_was():
    torch.manual_seed(0)
    net = SmallNet(width=4).train()
    image = torch.rand(1, 8, 8)
    net.eval()
    with torch.no_grad():
        label = int(net(image[None]).argmax())
    net.train()
    surface = energy_surface(net, image, label, eps=0.3, points=3)
    assert surface.right[1, 1]
    assert not energy_surface(net, image, (label + 1) % 10, eps=0.3, points=3).right[1, 1]
    assert net.training
    assert all(parameter.grad is None for parameter in net.parameters())


def test_points_beyond_the_cube_are_clipped():
    surface = energy_surface(linear(), torch.ones(3, 2, 2, dtype=torch.float64), 0, eps=5.0, reach=2.0, points=5)
    assert surface.energy[2, 3] == pytest.approx(surface.energy[2, 4], abs=1e-12)


def test_the_figure_has_a_panel_an_image_and_net():
    net, image = linear(), torch.full((3, 2, 2), 0.5, dtype=torch.float64)
    surfaces = [energy_surface(net, image, label, 0.1, f"net {label}", points=3) for label in (0, 1)]
    figure = draw_surfaces([surfaces, surfaces])
    assert [axes.get_title() for axes in figure.axes[:4]] == ["net 0", "net 1"] * 2


def test_what_is_no_image_and_no_rows_are_refused():
    with pytest.raises(InputError, match=r"the image is float32 \[1, 3, 2, 2\]; give one, \[C, H, W\]"):
        energy_surface(linear(), torch.zeros(1, 3, 2, 2), 0, eps=0.1)
    surface = energy_surface(linear(), torch.zeros(3, 2, 2, dtype=torch.float64), 0, eps=0.1, points=3)
    for wrong in (surface, [surface], []):
        with pytest.raises(InputError, match="give a list of rows"):
            draw_surfaces(wrong)


@pytest.mark.parametrize(
    ("options", "message"), [({"eps": 0}, "eps is 0"), ({"eps": 1, "points": 4}, "points is 4; write an odd number")]
)
def test_unfit_values_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        energy_surface(linear(), torch.zeros(3, 2, 2), 0, **options)
