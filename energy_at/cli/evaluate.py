"""``energy-at evaluate``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from warnings import warn

import torch
from torch import nn
from tqdm import tqdm

from energy_at.attacks import Attack, Corruption, Transfer
from energy_at.cli.lock import only_one
from energy_at.cli.processes import gathered, launched
from energy_at.cli.results import output_folder
from energy_at.data.base import ImageData, Split
from energy_at.defense import EnergyDescent
from energy_at.evaluation import robustness
from energy_at.evaluation.checkpoints import load_net, path_and_choice
from energy_at.evaluation.report import Report, merged
from energy_at.files import file_sha256, safe_name, write_file
from energy_at.hub.sources import plain_name
from energy_at.types import require, require_one_of

Defense: TypeAlias = Callable[[nn.Module], EnergyDescent]


def evaluate(
    data: ImageData,
    attacks: dict[str, Attack],
    ckpt_path: str | None = None,
    net: nn.Module | str | None = None,
    defense: Defense | None = None,
    source: str | None = None,
    split: Split = "test",
    count: int | None = None,
    only: list[str] | None = None,
    severities: list[int] | None = None,
    worst_case_only: bool = False,
    output: str | None = None,
    seed: int = 0,
    channels_last: bool | None = None,
    accelerator: str = "auto",
    devices: int | str = "auto",
    num_nodes: int = 1,
) -> None:
    """Clean and robust accuracy of a net under a list of attacks, per image and in the worst case.

    Args:
        data: the data set.
        attacks: by the name under which they are reported.
        ckpt_path: a checkpoint of this package, any file with a state_dict, hf://USER/NAME[@REVISION] of the Hugging
            Face Hub, or pretrained:NAME of this package.
        net: for a file that does not say of which net it is: class and arguments, or the dotted path of a function or
            class that makes one; without a checkpoint, the net itself with its weights.
        defense: what changes the images before the net classifies them, such as EnergyDescent; attacks go through it.
        source: another net on which the adversarial images are made, a transfer attack: a checkpoint that says of which
            net it is, hf:// or pretrained: as above, or the dotted path of a net.
        split: which images.
        count: how many of them, a random subset that every class shares in; all by default.
        only: names of the attacks to run; all by default.
        severities: of the corruptions, each of which has a row for each of them; by default their own.
        worst_case_only: attack only images that are still correct.
        output: folder of the results; by default beside the checkpoint.
        seed: of the attacks' noise, and of the subset.
        channels_last: compute in NHWC memory, which is faster on a CPU and differs in the last digit; by default there,
            for nets of this package.
        accelerator: cpu, cuda or auto.
        devices: processes on each node, one a device.
        num_nodes: machines.
    """
    attacks = at_severities(chosen(attacks, only), severities)
    fabric = launched(accelerator, devices, num_nodes)
    net = defended(load_net(ckpt_path, net, data.num_classes), defense, attacks)
    if source is not None:
        other = load_net(source, num_classes=data.num_classes)
        attacks = {name: Transfer(made, other) if made.adversarial else made for name, made in attacks.items()}
    with fabric.rank_zero_first(local=True):
        data.prepare_data()
    batches = data.batches(split, count, seed)
    folder = output_folder(output, ckpt_path, net, _kind(source))
    shard = (fabric.global_rank, fabric.world_size)
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
                in_channels_last(net, fabric.device, channels_last),
            )
        report = merged(gathered(report))
        if fabric.is_global_zero:
            write_report(report, folder)


def chosen(attacks: Mapping[str, Attack], only: Sequence[str] | None) -> dict[str, Attack]:
    """The attacks of these names, in their own order; all of them without names.

    Raises:
        InputError: if there is no attack of a name.
    """
    for name in only or ():
        require_one_of("only", name, attacks)
    return {name: attack for name, attack in attacks.items() if not only or name in only}


def at_severities(attacks: Mapping[str, Attack], severities: Sequence[int] | None) -> dict[str, Attack]:
    """The same attacks, with each corruption as often as there are severities.

    Args:
        attacks: by name.
        severities: 1 to 5, which are appended to the names; None leaves all as they are.

    Raises:
        InputError: if there are severities but no corruptions, or one is out of range.
    """
    if severities is None:
        return dict(attacks)
    found = [attack for attack in attacks.values() if isinstance(attack, Corruption)]
    require(
        len(severities) > 0 and len(found) > 0,
        f"severities are {list(severities)} of {len(found)} corruptions; leave them out, or have one of each at least",
    )
    rows: dict[str, Attack] = {}
    for name, attack in attacks.items():
        corruption = isinstance(attack, Corruption)
        rows |= {f"{name}-{each}": attack.at(each) for each in severities} if corruption else {name: attack}
    return rows


def defended(net: nn.Module, defense: Defense | None, attacks: Mapping[str, Attack]) -> nn.Module:
    """The net within its defense, with a word on what an attack's failure means then.

    Args:
        net: to be defended.
        defense: None leaves it as it is.
        attacks: that it is to be judged by.
    """
    if defense is None:
        return net
    ways = {getattr(attack, "way", "through") for attack in attacks.values()}
    if attacks and not {"through", "around", "identity"} <= ways:
        warn(
            "a defense at test time can hide gradients, and an attack that fails proves little then; judge it by "
            "attacks through it, around it and as if it were the identity, as eval_cifar10_et3.yaml does",
            stacklevel=2,
        )
    return defense(net)


def in_channels_last(net: nn.Module, device: torch.device, asked: bool | None = None) -> bool:
    """What was asked for; else whether NHWC memory is known to be faster, and to be understood by the net."""
    net = net.net if isinstance(net, EnergyDescent) else net
    return device.type == "cpu" and type(net).__module__.startswith("energy_at.") if asked is None else asked


def conditions(data: ImageData, split: Split, images: int, ckpt_path: str | None) -> dict[str, Any]:
    """What an evaluation was made on, for its report.

    Args:
        data: the data set.
        split: which of its images.
        images: how many that split has.
        ckpt_path: file of the weights.
    """
    return {
        "data": type(data).__name__,
        "root": str(data.root),
        "split": data.title(split),
        "split_images": images,
        "eval_batch_size": data.eval_batch_size,
        "checkpoint": ckpt_path,
        "checkpoint_sha256": file_sha256(path_and_choice(ckpt_path)[0]) if ckpt_path else None,
    }


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
    """Print the table, and write ``evaluation.json`` and ``evaluation.csv``."""
    write_file(folder / "evaluation.json", report.to_json())
    write_file(folder / "evaluation.csv", report.to_csv())
    print(f"\n{_title(report.conditions, report.images)}\n{report.table()}\nResults: {folder}")


def _kind(source: str | None) -> str:
    """Of the results: those of a transfer attack lie beside the others."""
    return "evaluation" if source is None else f"transfer-from-{safe_name(plain_name(source))}"


def _title(facts: Mapping[str, Any], images: int) -> str:
    part = "" if images == facts["split_images"] else f" of {facts['split_images']}"
    return f"{facts['data']}, {images}{part} {facts['split']} images, {facts['dtype']}, seed {facts['seed']}:"
