"""Measures the energies of a net: each image is attacked once by each attack, whatever figures are wanted."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from energy_at.attacks import Attack
from energy_at.evaluation.analysis.extremes import MOST, Extremes
from energy_at.evaluation.analysis.probe import NATURAL, Probe
from energy_at.evaluation.analysis.result import Analysis, joined
from energy_at.evaluation.analysis.smoothness import Smoothness
from energy_at.evaluation.bench import Bench, of_rank
from energy_at.evaluation.conditions import DataHash, described, device_of, facts
from energy_at.evaluation.robustness import len_of
from energy_at.evaluation.runner import exact
from energy_at.evaluation.store import Store
from energy_at.types import Images, Labels, require

OnBatch = Callable[[str, Mapping[str, Tensor]], None]


def analyze(
    net: nn.Module,
    batches: Iterable[tuple[Images, Labels]],
    attacks: Mapping[str, Attack],
    name: str = "net",
    smoothness: Smoothness | None = None,
    class_names: Sequence[str] = (),
    store: str | Path | None = None,
    device: torch.device | str | None = None,
    seed: int = 0,
    shard: tuple[int, int] = (0, 1),
    on_batch: OnBatch | None = None,
    conditions: Mapping[str, Any] | None = None,
    channels_last: bool = False,
    labelled: bool = True,
    extremes: int = MOST,
) -> Analysis:
    """Energies, confidences and TRADES' KL of every image, natural and under every attack (arXiv 2407.06315).

    In float32 and evaluation mode, whatever the net's are; the net is left as it was found. One pass over the images;
    an attack's noise is a function of (seed, name, index of the batch). Kept are values [N], never logits.

    Args:
        net: maps images in [0, 1] to logits.
        batches: images [N, C, H, W], floating point in [0, 1] or uint8, and labels [N]; in a fixed order.
        attacks: by the name under which they are reported.
        name: of the net, in figures and tables.
        smoothness: where to look around some of the images; None does not. Needs batches that have a length.
        class_names: of the K classes.
        store: folder of the results of each batch and attack; the same call after a kill goes on from there.
        device: where to compute; None means where the net is.
        seed: of the noise, at least 0.
        shard: (rank, processes): measure the batches whose index is rank modulo processes. Processes that share a
            store fill it together; a last call with the store and without shard then has all.
        on_batch: called with the attack's name ("natural" for none) and its values whenever a batch is done.
        conditions: further facts for the report: data set, split, checkpoint.
        channels_last: compute in NHWC memory, see ``evaluate``.
        labelled: whether the labels are of the net's classes. False for out-of-distribution images (see
            ``Analysis.with_ood``): the net's prediction takes the place of each label, E(x, y) is then minus the
            largest logit, and a targeted attack raises the confidence in it.
        extremes: images that are kept of each kind of ``Extremes``; 0 for none.

    Raises:
        InputError: if the net, the images or an argument are unfit.
    """
    place, data, gathered = device_of(net, device), DataHash(), Extremes(extremes)
    with exact(net, place, channels_last) as exact_net:
        bench = Bench(exact_net, attacks, Store(store), place, seed, labelled)
        require(NATURAL not in attacks, f"an attack is called {NATURAL!r}, the name of no attack; name it otherwise")
        parts: dict[str, list[Mapping[str, Tensor]]] = {case: [] for case in (NATURAL, *attacks)}
        for probe in _probes(bench, batches, smoothness, shard):
            data.add(probe.index, probe.content)
            for case, kept in parts.items():
                kept.append({key: value.cpu() for key, value in probe(case).items()})
                if on_batch:
                    on_batch(case, kept[-1])
            gathered.add(probe.x, parts[NATURAL][-1])
    require(len(parts[NATURAL]) > 0 or shard[1] > 1, "there are no images to analyze; give at least one batch")
    values = {case: joined(kept) for case, kept in parts.items()}
    return Analysis(
        name,
        {case: whole for case, (whole, _) in values.items()},
        {case: near for case, (_, near) in values.items() if near},
        smoothness,
        {case: described(attack) for case, attack in attacks.items()},
        class_names,
        {**facts(net, place, seed), "channels_last": channels_last, "data_sha256": str(data), **(conditions or {})},
        gathered.found(),
    )


def _probes(
    bench: Bench,
    batches: Iterable[tuple[Images, Labels]],
    smoothness: Smoothness | None,
    shard: tuple[int, int],
) -> Iterator[Probe]:
    require(
        smoothness is None or hasattr(batches, "__len__"),
        "smoothness is measured on images of all batches, but these have no length; give a list or a data loader",
    )
    for index, (x, y) in of_rank(batches, shard):
        near = smoothness.chosen(index, len_of(batches) or 0, len(x)) if smoothness else torch.arange(0)
        yield Probe(bench, index, *bench.prepared(index, x, y), smoothness or Smoothness(), near.to(bench.device))
