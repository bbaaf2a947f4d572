import pytest
import torch

from energy_at.generation import EnergyTargets
from energy_at.types import InputError
from tests.generation import ConvNet, digits

X, Y = digits()


def energies(net):
    with torch.no_grad():
        return -net.eval()(X).gather(1, Y[:, None])[:, 0]


def test_targets_are_the_energies_of_the_classs_own_images():
    net = ConvNet()
    targets = EnergyTargets().fit(net, X, Y, batch_size=100)
    assert net.training
    for label in (0, 9):
        drawn = targets.sample(torch.full((5000,), label), torch.arange(5000))
        real = energies(net)[label == Y].sort().values
        places = (drawn.unsqueeze(1) - real).abs().min(1)
        assert places.values.max() < 1e-5
        assert len(places.indices.unique()) == len(real)  # each of them is drawn
        assert abs(drawn.mean() - real.mean()) < 4 * real.std() / 5000**0.5


def test_a_target_depends_on_label_and_seed_alone():
    targets = EnergyTargets().fit(ConvNet(), X, Y)
    labels, seeds = torch.arange(50) % 10, torch.arange(50)
    whole = targets.sample(labels, seeds)
    assert torch.equal(torch.cat([targets.sample(labels[i : i + 1], seeds[i : i + 1]) for i in range(50)]), whole)


def test_a_fit_returns_from_its_file(tmp_path):
    targets = EnergyTargets().fit(ConvNet(), X, Y)
    targets.save(tmp_path / "targets.pt")
    loaded = EnergyTargets.load(tmp_path / "targets.pt")
    assert torch.equal(loaded.sample(Y, torch.arange(len(Y))), targets.sample(Y, torch.arange(len(Y))))


def test_a_class_without_images_or_without_a_logit_is_named():
    with pytest.raises(InputError, match="class 4 has 0 images"):
        EnergyTargets().fit(ConvNet(), X[Y != 4], Y[Y != 4])
    with pytest.raises(InputError, match="label 5 has no logit, as the net has 5"):
        EnergyTargets().fit(ConvNet(classes=5), X, Y)


def test_a_batch_holds_an_image():
    with pytest.raises(InputError, match="batch_size is 0"):
        EnergyTargets().fit(ConvNet(), X, Y, batch_size=0)
