"""Clean and robust accuracy of a net under a list of attacks."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from energy_at.attacks import Attack, AutoAttack
from energy_at.evaluation.bench import Bench, of_rank
from energy_at.evaluation.conditions import DataHash, described, device_of, facts
from energy_at.evaluation.report import AttackResult, ClassResult, Report
from energy_at.evaluation.runner import Outcome, Runner, exact, looks_for_mistakes
from energy_at.evaluation.store import Store
from energy_at.evaluation.tables import class_name
from energy_at.types import Images, Labels, require

OnBatch = Callable[[int, int | None, float], None]


def evaluate(
    net: nn.Module,
    batches: Iterable[tuple[Images, Labels]],
    attacks: Mapping[str, Attack],
    worst_case_only: bool = False,
    store: str | Path | None = None,
    device: torch.device | str | None = None,
    seed: int = 0,
    shard: tuple[int, int] = (0, 1),
    on_batch: OnBatch | None = None,
    conditions: Mapping[str, Any] | None = None,
    channels_last: bool = False,
    class_names: Sequence[str] = (),
) -> Report:
    """Attack every image with every attack; an image is robust if it is correct without an attack and under all.

    Noise and corruptions (``adversarial = False``) have rows of their own, and the worst case does not depend on them.

    In float32 and evaluation mode, whatever the net's are; the net is left as it was found. An attack's noise is a
    function of (seed, name, index of the batch), so a number depends neither on what ran before nor on how many
    processes share the work.

    Args:
        net: maps images in [0, 1] to logits.
        batches: images [N, C, H, W], floating point in [0, 1] or uint8, and labels [N]; in a fixed order.
        attacks: by the name under which they are reported; they run in this order.
        worst_case_only: attack only images that are still correct: the same worst case for less work where an attack
            draws no noise, and as valid a one where it does. An attack's accuracy is then of the images it was given.
        store: folder of the results of each batch and attack; the same call after a kill goes on from there.
        device: where to compute; None means where the net is.
        seed: of the attacks' noise, at least 0.
        shard: (rank, processes): evaluate the batches whose index is rank modulo processes. Every process is given all
            batches; ``report.merged`` adds the counts, or a last call with the common store and without shard.
        on_batch: called after each batch with the batches done, their total (None if unknown) and the worst-case
            accuracy so far.
        conditions: further facts for the report: data set, split, checkpoint.
        channels_last: compute in NHWC memory, on a copy of the net: faster on a CPU, most of all for narrow nets, and
            other in the last digit.
        class_names: of the K classes, for the report.

    Raises:
        InputError: if the net, the images or an argument are unfit.
    """
    mine, (rank, processes) = of_rank(batches, shard), shard
    place = device_of(net, device)
    count = len_of(batches)
    total = None if count is None else len(range(rank, count, processes))
    with exact(net, place, channels_last) as exact_net:
        runner = Runner(Bench(exact_net, attacks, Store(store), place, seed), worst_case_only)
        counts = _Counts(attacks, class_names)
        for index, (x, y) in mine:
            counts.add(index, runner(index, x, y))
            if on_batch:
                on_batch(counts.batches, total, counts.worst_case.total() / counts.images.total())
    require(counts.batches > 0 or processes > 1, "there are no images to evaluate; give at least one batch")
    results = counts.results(partial(_library_seeds, runner.bench, attacks, len_of(batches) or counts.batches))
    told = {**facts(net, place, seed), "channels_last": channels_last, "data_sha256": str(counts.data)}
    told.update(conditions or {})
    images, clean, worst_case = (of_label.total() for of_label in (counts.images, counts.clean, counts.worst_case))
    return Report(images, clean, worst_case, results, worst_case_only, told, counts.classes)


class _Counts:
    """Sums over the batches of one process."""

    def __init__(self, attacks: Mapping[str, Attack], class_names: Sequence[str]) -> None:
        self.attacks, self.class_names = attacks, class_names
        self.batches = 0
        self.images, self.clean, self.worst_case = Counter[int](), Counter[int](), Counter[int]()  # of each label
        self.data = DataHash()
        self.attacked = dict.fromkeys(attacks, 0)
        self.correct = dict.fromkeys(attacks, 0)

    def add(self, index: int, outcome: Outcome) -> None:
        self.batches += 1
        self.images.update(outcome.labels.tolist())
        self.clean.update(outcome.labels[outcome.clean].tolist())
        self.worst_case.update(outcome.labels[outcome.worst_case].tolist())
        self.data.add(index, outcome.data)
        for name, correct in outcome.own.items():
            self.attacked[name] += len(correct)
            self.correct[name] += int(correct.sum())

    @property
    def classes(self) -> tuple[ClassResult, ...]:
        return tuple(
            ClassResult(k, class_name(self.class_names, k), images, self.clean[k], self.worst_case[k])
            for k, images in sorted(self.images.items())
        )

    def results(self, more: Callable[[str], Mapping[str, Any]]) -> tuple[AttackResult, ...]:
        return tuple(
            AttackResult(
                name,
                self.attacked[name],
                self.correct[name],
                {**described(attack), **more(name)},
                looks_for_mistakes(attack),
            )
            for name, attack in self.attacks.items()
        )


def len_of(batches: Any) -> int | None:
    """Their number, or None where they do not say it."""
    return len(batches) if hasattr(batches, "__len__") else None


def _library_seeds(bench: Bench, attacks: Mapping[str, Attack], count: int, name: str) -> dict[str, list[int]]:
    """What AutoAttack's library was given as its seed, batch by batch."""
    if not isinstance(attacks[name], AutoAttack):
        return {}
    return {"library_seeds": [bench.noise(name, index).initial_seed() for index in range(count)]}
