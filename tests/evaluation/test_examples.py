"""Images beside their adversarial ones, and what is told of both."""

import pytest
import torch

from energy_at import FGSM, PGD
from energy_at.evaluation.examples import COLUMNS, Examples, draw_examples, examples_of
from energy_at.models import SmallNet


@pytest.fixture
def net():
    torch.manual_seed(0)
    return SmallNet(width=4, num_classes=3)


def test_the_rows_are_the_definitions_of_the_energies(net):
    x, y = torch.rand(5, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1])
    examples = examples_of(net, x, y, FGSM(eps=0.1), class_names=("a", "b", "c"))
    net.eval()
    for i, row in enumerate(examples.rows()):
        values = dict(zip(COLUMNS, row, strict=True))
        f, f_adv = net(x)[i].double(), net(examples.x_adv)[i].double()
        assert values["label"] == "abc"[y[i]]
        assert values["prediction"] == "abc"[f.argmax()]
        assert values["prediction, attacked"] == "abc"[f_adv.argmax()]
        assert values["E(x)"] == pytest.approx(-f.exp().sum().log().item(), abs=1e-5)
        assert values["E(x*,y)"] == pytest.approx(-f_adv[y[i]].item(), abs=1e-5)
        assert values["dE(x)"] == pytest.approx(values["E(x)"] - values["E(x*)"], abs=1e-5)
        assert values["dE(x,y)"] == pytest.approx(values["E(x,y)"] - values["E(x*,y)"], abs=1e-5)


def test_the_net_is_left_as_it_was_and_the_noise_is_the_same_each_time(net):
    x, y = torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.long)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    first, second = (examples_of(net.train(), x, y, PGD(eps=0.1, steps=2)) for _ in range(2))
    assert net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert torch.equal(first.x_adv, second.x_adv)
    assert (first.x_adv - x).abs().max() <= 0.1 + 1e-6


def test_a_perturbation_is_enlarged_to_half_the_range_and_nothing_is_grey():
    x = torch.full((2, 1, 2, 2), 0.5)
    x_adv = x.clone()
    x_adv[0, 0, 0] = torch.tensor([0.51, 0.495])
    logits = torch.zeros(2, 3)
    examples = Examples(x, x_adv, torch.tensor([0, 2]), logits, logits)
    enlarged = examples.perturbation
    assert enlarged[0, 0].flatten().tolist() == pytest.approx([1.0, 0.25, 0.5, 0.5], abs=1e-5)
    assert torch.equal(enlarged[1], torch.full((1, 2, 2), 0.5))
    assert [row[0] for row in examples.rows()] == ["0", "2"]
    assert [picture.dtype for picture in examples.pictures] == [torch.uint8] * 3


def test_the_picture_shows_every_image_with_its_class_as_text():
    x = torch.rand(3, 3, 4, 4)
    names = ("$x_1$", "<b>", "c")
    figure = draw_examples(Examples(x, x, torch.arange(3), torch.eye(3), torch.eye(3), names))
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert [label.split("\n")[0] for label in labels] == list(names)
    figure.canvas.draw()  # raises where a name is taken for mathematics
