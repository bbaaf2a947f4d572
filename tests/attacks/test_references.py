"""The field's attack libraries on the same net, images and start.

foolbox is a dependency of the tests. torchattacks pins an old requests, so it is none; where it was installed with
``pip install --no-deps torchattacks``, it is compared too.
"""

import copy

import foolbox
import pytest
import torch
from foolbox.attacks import (
    L2FastGradientAttack,
    L2ProjectedGradientDescentAttack,
    LinfFastGradientAttack,
    LinfProjectedGradientDescentAttack,
)
from sklearn.datasets import load_digits
from torch import nn

from energy_at.attacks import FGSM, PGD, CarliniWagner
from energy_at.models import SmallNet
from tests.attacks import distances

RADIUS = {"Linf": 0.1, "L2": 0.8}
PGDS = {"Linf": LinfProjectedGradientDescentAttack, "L2": L2ProjectedGradientDescentAttack}
FGSMS = {"Linf": LinfFastGradientAttack, "L2": L2FastGradientAttack}


def nets():
    dense = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    return {"dense": dense, "residual": SmallNet(width=8)}


@pytest.fixture(scope="module", params=["dense", "residual"])
def trained(request):
    """A net trained for a second on scikit-learn's digits, with a hundred of its images and their labels."""
    data = load_digits()
    x, y = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16, torch.tensor(data.target)
    torch.manual_seed(0)
    net = nets()[request.param]
    adam, batches = torch.optim.Adam(net.parameters(), lr=0.01), torch.randperm(len(x)).split(300)
    for indices in 15 * batches:
        adam.zero_grad()
        nn.functional.cross_entropy(net(x[indices]), y[indices]).backward()
        adam.step()
    return net.eval(), x[:100], y[:100]


def in_foolbox(net):
    return foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")


def in_double(trained):
    net, x, y = trained
    return copy.deepcopy(net).double(), x.double(), y


def assert_breaks_some(net, x_adv, x, y):
    natural, robust = ((net(image).argmax(dim=1) == y).sum() for image in (x, x_adv))
    assert robust < natural - 10


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_fgsm_equals_foolboxs(trained, norm):
    net, x, y = trained
    theirs = FGSMS[norm]().run(in_foolbox(net), x, y, epsilon=RADIUS[norm])
    torch.testing.assert_close(FGSM(RADIUS[norm], norm=norm)(net, x, y), theirs, rtol=0, atol=1e-6)
    assert_breaks_some(net, theirs, x, y)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("random_start", [False, True])
def test_pgd_equals_foolboxs_from_the_same_start(trained, norm, random_start):
    net, x, y = in_double(trained) if norm == "L2" else trained  # its steps follow the gradient, rounding included
    eps, results = RADIUS[norm], {}
    for steps in (0, 20):
        torch.manual_seed(0)
        library = PGDS[norm](abs_stepsize=eps / 5, steps=steps, random_start=random_start)
        results[steps] = library.run(in_foolbox(net), x, y, epsilon=eps)
    start, theirs = results[0], results[20]
    ours = PGD(eps, eps / 5, steps=20, norm=norm)(net, x, y, start=start)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert torch.equal(start, x) != random_start
    assert_breaks_some(net, theirs, x, y)


def test_targeted_pgd_equals_foolboxs(trained):
    net, x, y = trained
    target = (y + 1) % 10
    library = LinfProjectedGradientDescentAttack(abs_stepsize=0.02, steps=20, random_start=False)
    theirs = library.run(in_foolbox(net), x, foolbox.criteria.TargetedMisclassification(target), epsilon=0.1)
    ours = PGD(0.1, 0.02, steps=20, start="zero", targeted=True)(net, x, target)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("trained", ["dense"], indirect=True)
def test_carlini_and_wagners_median_distance_is_within_5_percent_of_foolboxs(trained):
    net, x, y = trained
    ours = distances(CarliniWagner(steps=500, lr=0.01)(net, x, y), x, "L2").median()
    default = distances(CarliniWagner()(net, x, y), x, "L2").median()
    theirs = foolbox.attacks.L2CarliniWagnerAttack(steps=500, abort_early=False).run(in_foolbox(net), x, y)
    theirs = distances(theirs, x, "L2").median()
    assert abs(ours / theirs - 1) < 0.01
    assert abs(default / theirs - 1) < 0.05


def test_fgsm_and_pgd_equal_torchattacks(trained):
    torchattacks = pytest.importorskip("torchattacks", reason="torchattacks is not installed; it is a reference only")
    net, x, y = trained
    torch.testing.assert_close(FGSM(0.1)(net, x, y), torchattacks.FGSM(net, 0.1)(x, y), rtol=0, atol=1e-6)
    theirs = torchattacks.PGD(net, eps=0.1, alpha=0.02, steps=20, random_start=False)(x, y)
    torch.testing.assert_close(PGD(0.1, 0.02, steps=20, start="zero")(net, x, y), theirs, rtol=0, atol=1e-6)
