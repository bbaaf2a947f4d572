import sys

import pytest
import torch

from energy_at.attacks.autoattack import AutoAttack
from energy_at.types import InputError
from tests.attacks import assert_valid, images, labels, mlp
from tests.attacks.test_base import assert_same, state_of, used_net

QUICK = {"iterations": 5, "queries": 20}
CUSTOM = ["apgd-ce", "apgd-t", "fab-t", "square"]


@pytest.fixture
def library():
    return pytest.importorskip("pyautoattack", reason="pip install 'energy-at[eval]'")


def batch(classes=4, count=24):
    net, x = mlp(64, classes, dtype=torch.float32), images(count, 1, 8, 8, dtype=torch.float32)
    return net, x, net(x).argmax(dim=1)


def correct(net, x, y):
    return int((net(x).argmax(dim=1) == y).sum())


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_the_count_is_the_librarys(library, norm):
    net, x, y = batch()
    y[:4] = (y[:4] + 1) % 4
    theirs = library.AutoAttack(net, norm=norm, eps=0.03, version="custom", attacks=CUSTOM, seed=3)
    theirs.apgd.n_iter = theirs.apgd_targeted.n_iter = theirs.fab.n_iter = 5
    theirs.apgd_targeted.n_target_classes = theirs.fab.n_target_classes = 3
    theirs.square.n_queries = 20
    expected, _ = theirs.run_standard_evaluation(x, y, batch_size=10)
    x_adv = AutoAttack(0.03, norm, version="custom", attacks=CUSTOM, batch_size=10, seed=3, **QUICK)(net, x, y)
    assert correct(net, x_adv, y) == correct(net, expected, y) < correct(net, x, y)
    assert torch.equal(x_adv, expected)
    assert torch.equal(x_adv[:4], x[:4])
    assert_valid(x_adv, x, 0.03 + 1e-6, norm)


@pytest.mark.parametrize("version", ["standard", "rand"])
def test_the_published_versions_run(library, version):
    net, x, y = batch()
    x_adv = AutoAttack(0.1, version=version, **QUICK)(net, x, y)
    assert correct(net, x_adv, y) < len(y)
    assert not x_adv.requires_grad


def test_a_generator_gives_the_seed(library):
    net, x, y = batch()
    attack = AutoAttack(0.1, version="custom", attacks=["square"], queries=20)
    one, same, other = (attack(net, x, y, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_net_the_random_state_and_the_trace_function_are_left_as_they_were(library):
    net, x = used_net(), images(6, 1, 4, 4, dtype=torch.float32)
    before, trace = state_of(net), sys.gettrace()
    attack = AutoAttack(0.1, version="custom", attacks=["apgd-ce", "fab", "square"], **QUICK)
    with torch.inference_mode():
        attack(net, x, labels(6, 3))
    assert_same(before, state_of(net))
    assert sys.gettrace() is trace


def test_the_net_is_attacked_in_evaluation_mode(library):
    net, x, y = batch()
    net = torch.nn.Sequential(net, torch.nn.Dropout(0.5)).train()
    attack = AutoAttack(0.03, version="custom", attacks=["apgd-ce"], **QUICK)
    assert torch.equal(attack(net, x, y), attack(net[0], x, y))
    assert net.training


@pytest.mark.parametrize(("classes", "version"), [(2, "standard"), (3, "standard"), (2, "rand")])
def test_too_few_classes_are_refused(library, classes, version):
    with pytest.raises(InputError, match=f"the net has {classes} classes, but apgd-.* needs .*; use version: custom"):
        AutoAttack(version=version)(*batch(classes))


def test_two_classes_are_attacked_by_the_parts_that_need_no_third(library):
    net, x, y = batch(2)
    attack = AutoAttack(0.1, version="custom", attacks=["apgd-ce", "fab", "square"], **QUICK)
    assert correct(net, attack(net, x, y), y) < len(y)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    with pytest.raises(InputError, match=r"pip install 'energy-at\[eval\]'"):
        AutoAttack()(*batch())


def test_a_start_is_refused(library):
    net, x, y = batch()
    with pytest.raises(InputError, match="leave start out"):
        AutoAttack()(net, x, y, start=x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": "plus"}, "version 'plus' is unknown; use standard, rand or custom"),
        ({"version": "custom"}, "name attacks for version: custom"),
        ({"attacks": ["square"]}, "name attacks for version: custom"),
        ({"version": "custom", "attacks": ["pgd"]}, "attack 'pgd' is unknown; use apgd-ce"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"queries": 0}, "queries is 0"),
        ({"norm": "L1"}, "norm 'L1' is unknown"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        AutoAttack(**arguments)
