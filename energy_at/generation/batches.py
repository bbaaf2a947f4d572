"""Generation of any number of images, a batch at a time."""

from collections.abc import Iterator

from torch import Tensor, nn

from energy_at.generation.langevin import Callback, LangevinSampler, Samples
from energy_at.generation.starts import ClassInit
from energy_at.generation.targets import EnergyTargets
from energy_at.types import Labels, require_count


def generate(
    net: nn.Module,
    init: ClassInit,
    sampler: LangevinSampler,
    labels: Labels,
    seeds: Tensor,
    batch_size: int = 100,
    targets: EnergyTargets | None = None,
) -> Iterator[Samples]:
    """Yield samples in the order of the labels; no more than a batch is in memory at once.

    A sample's image is a function of (net, init, sampler, targets, label, seed), whatever the batch size and however
    the labels are divided among processes.

    Args:
        net: maps images in [0, 1] to logits; samples are made on its device.
        init: fitted starting points.
        sampler: takes them to low energy.
        labels: [n], the classes of the samples.
        seeds: [n], one integer a sample, see ``sample_seeds``.
        batch_size: samples at a time, at least 1.
        targets: fitted energies at which samples stop; None means that all take every step.

    Raises:
        InputError: if a value is out of its range; at the call, before any sample is made.
    """
    require_count("batch_size", batch_size, 100)
    for fit in (init, *([] if targets is None else [targets])):
        fit.check_request(labels, seeds)
    batches = zip(labels.split(batch_size), seeds.split(batch_size), strict=True)
    return (sample_batch(net, init, sampler, y, own_seeds, targets) for y, own_seeds in batches if len(y))


def sample_batch(
    net: nn.Module,
    init: ClassInit,
    sampler: LangevinSampler,
    y: Labels,
    seeds: Tensor,
    targets: EnergyTargets | None = None,
    callback: Callback | None = None,
) -> Samples:
    """One batch of ``generate``; ``callback`` as the sampler's own."""
    device = next((parameter.device for parameter in net.parameters()), init.device)
    x0 = init.sample(y, seeds).to(device)
    stop = None if targets is None else targets.sample(y, seeds).to(device)
    return sampler(net, x0, y.to(device), seeds.to(device), stop, callback)
