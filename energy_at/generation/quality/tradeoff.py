"""Quality against diversity: what more steps and wider starting points give, and what they cost."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from energy_at.generation.chain import Snapshots, to_bytes
from energy_at.generation.quality.features import Features, extract
from energy_at.generation.quality.judge import judged
from energy_at.generation.run import Recipe
from energy_at.generation.starts import ClassInit
from energy_at.types import require, require_count

Options = TypeVar("Options")


@dataclass(frozen=True)
class Sweep:
    """The settings of a trade-off curve.

    Args:
        scales: s of ``ClassPCA`` or ``LocalPCA``.
        steps: limits to the steps of a sample, each at least 0.
        n: samples of each scale, at least 2.

    Raises:
        InputError: if a value is out of its range.
    """

    scales: Sequence[float] = (0.1, 0.35, 0.7, 1.0)
    steps: Sequence[int] = (0, 5, 10, 20, 50)
    n: int = 1000

    def __post_init__(self) -> None:
        require(len(self.scales) > 0, "there are no scales; give for example [0.35, 1]")
        require(len(self.steps) > 0 and min(self.steps) >= 0, f"steps are {self.steps}; give for example [0, 20, 50]")
        require_count("n", self.n, 1000, least=2)


class Point(NamedTuple):
    """Samples of one setting, see ``Judgement``.

    Args:
        scale: of the starting points.
        steps: the most that a sample takes.
        mean_steps: that they took.
        agreement: with the judge.
        diversity: within a class.
        relative_diversity: to that of the training images.
        frechet_distance: to the training images.
    """

    scale: float
    steps: int
    mean_steps: float
    agreement: float
    diversity: float
    relative_diversity: float
    frechet_distance: float


def tradeoff(
    recipe: Recipe, sweep: Sweep, judge: nn.Module, real: Features, device: torch.device, batch_size: int = 100
) -> Iterator[Point]:
    """Judge samples of every scale after every number of steps; each scale costs one run of the most steps.

    Args:
        recipe: of the samples; its starting points have a scale.
        sweep: which scales and steps.
        judge: gives features and logits, see ``feature_net``.
        real: its features of the training images.
        device: where to compute.
        batch_size: samples at a time.

    Raises:
        InputError: if the starting points have no scale.
    """
    check_scaled(recipe.init)
    for scale in sweep.scales:
        at_scale = recipe._replace(init=_with(recipe.init, scale=scale))
        features, taken = features_after(at_scale, sweep.steps, sweep.n, judge, device, batch_size)
        for limit in sorted(set(sweep.steps)):
            mean_steps = float(taken.clamp(max=limit).double().mean())
            yield Point(scale, limit, mean_steps, *judged(features[limit], real))


def check_scaled(init: ClassInit) -> None:
    """Refuse starting points of which no curve can be drawn.

    Raises:
        InputError: if they have no scale.
    """
    told = f"{type(init).__name__} has no scale; draw this curve from ClassPCA or LocalPCA"
    require(hasattr(init, "scale"), told)


def features_after(
    recipe: Recipe, steps: Sequence[int], n: int, judge: nn.Module, device: torch.device, batch_size: int = 100
) -> tuple[dict[int, Features], Tensor]:
    """What a network sees in samples after several numbers of steps, at the cost of one run of the most steps.

    Args:
        recipe: of the samples; its sampler's own number of steps does not matter.
        steps: limits to the steps of a sample.
        n: samples.
        judge: gives features and logits, see ``feature_net``.
        device: where to compute.
        batch_size: samples at a time.

    Returns:
        Features by the number of steps; and how many steps each sample took in the end, [n].
    """
    recipe = recipe._replace(sampler=_with(recipe.sampler, steps=max(steps)))
    parts: dict[int, list[Features]] = {limit: [] for limit in steps}
    taken = []
    for index in torch.arange(n).split(batch_size):
        snapshots, labels = Snapshots(steps), recipe.labels(index)
        taken.append(recipe.sample(index, snapshots).steps.cpu())
        for limit, images in snapshots.images().items():
            parts[limit].append(extract(judge, [(to_bytes(images), labels)], device))
    joined = {limit: Features(*map(torch.cat, zip(*own, strict=True))) for limit, own in parts.items()}
    return joined, torch.cat(taken)


def _with(instance: Options, **attributes: float) -> Options:
    """A copy with other options; the fit is shared."""
    changed = copy.copy(instance)
    for name, value in attributes.items():
        setattr(changed, name, value)
    return changed
