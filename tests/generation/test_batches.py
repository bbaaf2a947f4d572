import pytest
import torch

from energy_at.generation import ClassPCA, EnergyTargets, LangevinSampler, LocalPCA, generate, sample_seeds
from energy_at.types import InputError
from tests.generation import ConvNet, digits

X, Y = digits()
LABELS = torch.arange(43) % 10
SEEDS = sample_seeds(0, torch.arange(43))
SAMPLER = LangevinSampler(step_size=0.02, steps=8)


def joined(batches):
    return [torch.cat(parts) for parts in zip(*batches, strict=True)]


@pytest.mark.parametrize("init", [ClassPCA(), LocalPCA()])
@pytest.mark.parametrize("adaptive", [False, True])
def test_images_do_not_depend_on_batches_or_processes(init, adaptive):
    net = ConvNet()
    init.fit(X, Y)
    targets = EnergyTargets().fit(net, X, Y) if adaptive else None
    x, energies, steps = joined(generate(net, init, SAMPLER, LABELS, SEEDS, 43, targets))
    for parts in ([slice(None)], [slice(rank, None, 3) for rank in range(3)]):  # one process, and three
        for own in parts:
            found = joined(generate(net, init, SAMPLER, LABELS[own], SEEDS[own], 5, targets))
            torch.testing.assert_close(found[0], x[own], atol=1e-5, rtol=0)
            torch.testing.assert_close(found[1], energies[own], atol=1e-4, rtol=0)
            assert torch.equal(found[2], steps[own])


def test_batches_come_in_order_and_one_at_a_time():
    net, init = ConvNet(), ClassPCA().fit(X, Y)
    batches = generate(net, init, SAMPLER, LABELS, SEEDS, 20)
    assert net.seen == 0
    first = next(batches)
    assert net.seen == 20 * 9
    assert net.training  # between batches the net is the caller's
    assert [len(batch.x) for batch in (first, *batches)] == [20, 20, 3]


def test_it_is_the_sampler_on_starts_and_targets():
    net, init = ConvNet(), ClassPCA().fit(X, Y)
    targets = EnergyTargets().fit(net, X, Y)
    (found,) = generate(net, init, SAMPLER, LABELS, SEEDS, 43, targets)
    expected = SAMPLER(net, init.sample(LABELS, SEEDS), LABELS, SEEDS, targets.sample(LABELS, SEEDS))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert len(found.steps.unique()) > 1


def test_no_labels_give_no_batches():
    assert list(generate(ConvNet(), ClassPCA().fit(X, Y), SAMPLER, LABELS[:0], SEEDS[:0])) == []


def test_mistakes_are_answered_at_the_call():
    init = ClassPCA().fit(X, Y)
    with pytest.raises(InputError, match="batch_size is 0"):
        generate(ConvNet(), init, SAMPLER, LABELS, SEEDS, 0)
    with pytest.raises(InputError, match="label 10 was asked for"):
        generate(ConvNet(), init, SAMPLER, LABELS + 3, SEEDS)
    with pytest.raises(InputError, match="not fitted"):
        generate(ConvNet(), ClassPCA(), SAMPLER, LABELS, SEEDS)
    with pytest.raises(InputError, match="this EnergyTargets is not fitted"):
        generate(ConvNet(), init, SAMPLER, LABELS, SEEDS, targets=EnergyTargets())
