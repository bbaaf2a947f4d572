"""The quality that ``energy-at generate`` reports; where a part of it is not to be had, the rest is."""

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from energy_at.cli.generation_fits import TrainingImages
from energy_at.evaluation.checkpoints import load_net
from energy_at.evaluation.store import net_sha256
from energy_at.generation.batch_files import BatchFiles
from energy_at.generation.quality.copies import Nearest, copies, nearest
from energy_at.generation.quality.features import Penultimate, extract, feature_net
from energy_at.generation.quality.fidelity import Inception, fidelity
from energy_at.generation.quality.judge import judged
from energy_at.generation.quality.tradeoff import Point, Sweep, tradeoff
from energy_at.generation.run import Recipe
from energy_at.types import InputError, Labels, require


class Judges(NamedTuple):
    """Networks that look at samples; each gives vectors and logits.

    Args:
        features: of FID and the like; None leaves these out.
        judge: an independent classifier; None leaves its numbers out.
    """

    features: nn.Module | None
    judge: nn.Module | None


def load_judges(
    net: nn.Module, features: str | None, inception_weights: str | None, judge: str | None, num_classes: int
) -> Judges:
    """Load what the user asks for, before anything is generated.

    Args:
        net: that makes the samples.
        features: "inception", a checkpoint, the dotted path of a feature network, or None.
        inception_weights: a local file of these.
        judge: a checkpoint, or the dotted path of a classifier.
        num_classes: K of the data.

    Raises:
        InputError: if what was named is not there. Weights of Inception that cannot be downloaded are a message on the
            screen only.
    """
    return Judges(
        _features(features, inception_weights) if features else None,
        _independent(judge, net, num_classes) if judge else None,
    )


class Quality:
    """Numbers of the samples of a run beside those of real images.

    Args:
        files: of the samples.
        n: how many of them.
        train: the training images.
        judges: that look at them.
    """

    def __init__(self, files: BatchFiles, n: int, train: TrainingImages, judges: Judges) -> None:
        self.files, self.n, self.train, self.judges = files, n, train, judges
        train.data.setup("test")
        self.held_out = train.data.batches("test", min(n, len(train.data.labels("test"))))

    def report(self, pixels: Nearest) -> dict[str, Any]:
        """All that is to be had.

        Args:
            pixels: the nearest training image of each sample.
        """
        report = {"copies": {"pixels": copies(pixels.distance, self._nearest(self.held_out).distance)._asdict()}}
        features, judge = self.judges
        if features is not None:
            report["features"] = self._fidelity(features)
        if judge is not None:
            report |= self._judged(judge, report["copies"])
        return report

    def nearest_training_images(self) -> Nearest:
        """Of each sample, by pixels."""
        return self._nearest(self._samples())

    def tradeoff(self, recipe: Recipe, sweep: Sweep, batch_size: int) -> list[Point]:
        """The judge's numbers over scales and steps; see ``Sweep``.

        Raises:
            InputError: if there is no judge.
        """
        judge, device = self.judges.judge, self.train.device
        if judge is None:
            raise InputError("sweep needs a judge; give judge: another classifier's checkpoint")
        return list(tradeoff(recipe, sweep, judge, self.train.features(judge), device, batch_size))

    def _samples(self) -> Iterator[tuple[Tensor, Labels]]:
        return ((batch.image, batch.label) for batch in self.files.read(self.n))

    def _nearest(self, batches: Any) -> Nearest:
        reference = self.train.bytes[0].flatten(1)
        found = [nearest(images.flatten(1).to(self.train.device), reference) for images, _ in batches]
        return Nearest(*(torch.cat(part).cpu() for part in zip(*found, strict=True)))

    def _fidelity(self, net: Any) -> dict[str, Any]:
        real = self.train.features(net)
        facts = {"network": type(net.net).__name__, "net_sha256": net_sha256(net), "real_images": len(real.labels)}
        return fidelity(extract(net, self._samples(), self.train.device), real, self.train.device) | facts

    def _judged(self, net: nn.Module, found: dict[str, Any]) -> dict[str, Any]:
        device = self.train.device
        real, samples = self.train.features(net), extract(net, self._samples(), device)
        held_out = extract(net, self.held_out, device)
        near = (nearest(part.vectors, real.vectors).distance for part in (samples, held_out))
        return {
            "judge": judged(samples, real)._asdict() | {"net_sha256": net_sha256(net)},
            "judge_of_test_images": judged(held_out, real)._asdict() | {"images": len(held_out.labels)},
            "copies": found | {"features": copies(*near)._asdict()},
        }


def _features(source: str, inception_weights: str | None) -> nn.Module | None:
    return _inception(inception_weights) if source == "inception" else feature_net(load_net(source))


def _inception(weights: str | None) -> nn.Module | None:
    try:
        return Inception(weights)
    except InputError as error:
        if weights is not None:
            raise
        print(f"energy-at: IS, FID, KID, precision and recall are left out: {error}", file=sys.stderr)
        return None


def _independent(source: str, net: nn.Module, num_classes: int) -> nn.Module:
    judge = load_net(source, num_classes=num_classes)
    require(
        net_sha256(judge) != net_sha256(net),
        f"the judge {source} is the net that generates, and would agree with itself; train another, with another seed",
    )
    return Penultimate(judge)
