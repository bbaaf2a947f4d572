"""``energy-at evaluate``."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from energy_at.attacks import Attack, Corruption, Transfer
from energy_at.cli.lock import only_one
from energy_at.cli.processes import gathered, warn_of_idle
from energy_at.cli.results import kind_of
from energy_at.cli.subject import conditions, opened
from energy_at.data.base import ImageData, Split
from energy_at.evaluation import robustness
from energy_at.evaluation.checkpoints import load_net
from energy_at.evaluation.report import Report, merged
from energy_at.files import safe_name, write_file
from energy_at.hub.sources import plain_name
from energy_at.types import require, require_one_of


def evaluate(
    data: ImageData,
    attacks: dict[str, Attack],
    source: str | None = None,
    split: Split = "test",
    count: int | None = None,
    only: list[str] | None = None,
    severities: list[int] | None = None,
    worst_case_only: bool = False,
    seed: int = 0,
    **subject: Any,
) -> None:
    """Clean and robust accuracy of a net under a list of attacks, per image and in the worst case.

    Args:
        data: the data set.
        attacks: by the name under which they are reported.
        source: another net on which the adversarial images are made, a transfer attack: a checkpoint that says of which
            net it is, hf:// or pretrained: as in ckpt_path, or the dotted path of a net.
        split: which images.
        count: how many of them, a random subset that every class shares in; all by default.
        only: names of the attacks or rows to run; all by default.
        severities: of the corruptions, each of which has a row for each of them; by default their own.
        worst_case_only: attack only images that are still correct.
        seed: of the attacks' noise, and of the subset.
        subject: the net, its processes and its folder; see ``opened``.
    """
    attacks = chosen(attacks, only, severities)
    fabric, net, ckpt_path, folder, channels_last = opened(
        data, kind_of(_kind(source), data, split), attacks, **subject
    )
    if source is not None:
        other = load_net(source, num_classes=data.num_classes)
        attacks = {name: Transfer(made, other) if made.adversarial else made for name, made in attacks.items()}
    batches = data.batches(split, count, seed)
    shard = (fabric.global_rank, fabric.world_size)
    warn_of_idle(batches.sampler.sizes, fabric)
    sizes = batches.sampler.sizes[shard[0] :: shard[1]]
    with only_one(folder, fabric.is_global_zero):
        with progress(sizes, fabric.is_global_zero) as on_batch:
            report = robustness.evaluate(
                net,
                batches,
                attacks,
                worst_case_only,
                folder / "batches",
                fabric.device,
                seed,
                shard,
                on_batch,
                conditions(data, split, len(data.labels(split)), ckpt_path),
                channels_last,
                data.class_names,
            )
        report = merged(gathered(report))
        if fabric.is_global_zero:
            write_report(report, folder)


def chosen(
    attacks: Mapping[str, Attack], only: Sequence[str] | None, severities: Sequence[int] | None
) -> dict[str, Attack]:
    """The rows of an evaluation: the attacks, and each corruption at every severity.

    Args:
        attacks: by name.
        only: names of attacks or of rows; all by default.
        severities: 1 to 5, which are appended to the names of corruptions; None leaves them theirs.

    Raises:
        InputError: if there is no row of a name, or there are severities but no corruptions, or one is out of range.
    """
    require(only is None or len(only) > 0, "only is empty; name at least one attack, or leave only out")
    require(
        severities is None or any(isinstance(attack, Corruption) for attack in attacks.values()),
        f"severities are {severities}, but there is no corruption among the attacks; leave severities out, or add one",
    )
    rows = {name: _at_severities(name, attack, severities) for name, attack in attacks.items()}
    names = [row for each in rows.values() for row, _ in each]
    twice = next((name for name in names if names.count(name) > 1), None)
    require(twice is None, f"two rows would be called {twice}; name the attacks otherwise, and each severity once")
    for name in only or ():
        require_one_of("only", name, dict.fromkeys([*rows, *names]))
    taken = {*only} if only else {*names}
    return {row: made for name, each in rows.items() for row, made in each if taken & {name, row}}


def _at_severities(name: str, attack: Attack, severities: Sequence[int] | None) -> list[tuple[str, Attack]]:
    if severities is None or not isinstance(attack, Corruption):
        return [(name, attack)]
    return [(f"{name}-{each}", attack.at(each)) for each in severities]


@contextmanager
def progress(sizes: list[int], shown: bool) -> Iterator[robustness.OnBatch]:
    """A bar of images, images/s and the robust accuracy so far.

    Args:
        sizes: images in each of this process's batches.
        shown: false on all processes but the first.
    """
    with tqdm(total=sum(sizes), unit="img", disable=not shown) as bar:

        def on_batch(batches: int, total: int | None, robust: float) -> None:
            bar.set_postfix_str(f"robust {100 * robust:.2f} %", refresh=False)
            bar.update(sizes[batches - 1])

        yield on_batch


def write_report(report: Report, folder: Path) -> None:
    """Print the table, and write ``evaluation.json``, ``evaluation.csv`` and ``evaluation_classes.csv``."""
    write_file(folder / "evaluation.json", report.to_json())
    write_file(folder / "evaluation.csv", report.to_csv())
    write_file(folder / "evaluation_classes.csv", report.classes_csv())
    print(f"\n{_title(report.conditions, report.images)}\n{report.table()}\nResults: {folder}")


def _kind(source: str | None) -> str:
    """Of the results: those of a transfer attack lie beside the others."""
    return "evaluation" if source is None else f"transfer-from-{safe_name(plain_name(source))}"


def _title(facts: Mapping[str, Any], images: int) -> str:
    part = "" if images == facts["split_images"] else f" of {facts['split_images']}"
    return f"{facts['data']}, {images}{part} {facts['split']} images, {facts['dtype']}, seed {facts['seed']}:"
