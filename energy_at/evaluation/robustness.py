"""Clean and robust accuracy of a net under a list of attacks."""

import platform
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from energy_at import __version__
from energy_at.attacks import Attack
from energy_at.evaluation.report import AttackResult, Report
from energy_at.evaluation.runner import Outcome, Runner, exact
from energy_at.evaluation.store import Store, digest, settings, weights_sha256
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
) -> Report:
    """Attack every image with every attack; an image is robust if it is correct without an attack and under all.

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

    Raises:
        InputError: if the net, the images or an argument are unfit.
    """
    rank, processes = shard
    require(0 <= rank < processes, f"shard is {shard}, but a rank lies in 0..processes - 1; write for example (0, 1)")
    require(seed >= 0, f"seed is {seed}, but it is at least 0; write seed: 0")
    place = next((p.device for p in net.parameters()), torch.device("cpu"))
    place = torch.empty(0, device=device).device if device else place  # "cuda" is to mean "cuda:0"
    total = len(range(rank, len(batches), processes)) if hasattr(batches, "__len__") else None
    counts = _Counts(attacks)
    with exact(net, place) as exact_net:
        runner = Runner(exact_net, attacks, Store(store), place, seed, worst_case_only)
        for index, (x, y) in enumerate(batches):
            if index % processes == rank:
                counts.add(index, runner(index, x, y))
                if on_batch:
                    on_batch(counts.batches, total, counts.worst_case / counts.images)
    require(counts.images > 0 or processes > 1, "there are no images to evaluate; give at least one batch")
    facts = {**_facts(net, place, seed), "data_sha256": f"{counts.data:064x}", **(conditions or {})}
    return Report(counts.images, counts.clean, counts.worst_case, counts.results(), worst_case_only, facts)


class _Counts:
    """Sums over the batches of one process."""

    def __init__(self, attacks: Mapping[str, Attack]) -> None:
        self.attacks = attacks
        self.batches = self.images = self.clean = self.worst_case = self.data = 0
        self.attacked = dict.fromkeys(attacks, 0)
        self.correct = dict.fromkeys(attacks, 0)

    def add(self, index: int, outcome: Outcome) -> None:
        self.batches += 1
        self.images += len(outcome.clean)
        self.clean += int(outcome.clean.sum())
        self.worst_case += int(outcome.worst_case.sum())
        # a sum, so that the hash does not depend on which process had which batch
        self.data = (self.data + int(digest(index, outcome.data), 16)) % 2**256
        for name, correct in outcome.own.items():
            self.attacked[name] += len(correct)
            self.correct[name] += int(correct.sum())

    def results(self) -> tuple[AttackResult, ...]:
        return tuple(
            AttackResult(
                name, self.attacked[name], self.correct[name], {"class": type(attack).__name__, **settings(attack)}
            )
            for name, attack in self.attacks.items()
        )


def _facts(net: nn.Module, device: torch.device, seed: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "dtype": "float32",
        "device": device.type,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "energy_at": __version__,
        "pyautoattack": _version("pyautoattack"),
        "weights_sha256": weights_sha256(net),
    }


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
