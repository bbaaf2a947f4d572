"""The net that a command looks at, where it is looked at, and where the results go: options that commands share."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from warnings import warn

from lightning.fabric import Fabric
from torch import nn

from energy_at.attacks import Attack
from energy_at.cli.computing import in_channels_last, suit_threads
from energy_at.cli.processes import launched
from energy_at.cli.results import output_folder
from energy_at.data.base import ImageData, Split
from energy_at.defense import EnergyDescent
from energy_at.evaluation.checkpoints import load_net, path_and_choice
from energy_at.files import file_sha256

Defense: TypeAlias = Callable[[nn.Module], EnergyDescent]


class Subject(NamedTuple):
    """What a command looks at.

    Args:
        fabric: this process among those that work together.
        net: with its weights, within its defense.
        ckpt_path: where these came from, if from a file.
        folder: of the results.
        channels_last: whether it computes in NHWC memory.
    """

    fabric: Fabric
    net: nn.Module
    ckpt_path: str | None
    folder: Path
    channels_last: bool


def opened(
    data: ImageData,
    kind: str,
    attacks: Mapping[str, Attack],
    ckpt_path: str | None = None,
    net: nn.Module | str | None = None,
    defense: Defense | None = None,
    output: str | None = None,
    channels_last: bool | None = None,
    **processes: Any,
) -> Subject:
    """Start the processes, load the net, and have the data made ready.

    Args:
        data: the data set.
        kind: of results, which names their folder.
        attacks: that the net is to be judged by.
        ckpt_path: a checkpoint of this package or the folder of a run, whose best one is taken, any file with a
            state_dict, hf://USER/NAME[@REVISION] of the Hugging Face Hub, or pretrained:NAME of this package.
        net: for a file that does not say of which net it is: class and arguments, or the dotted path of a function or
            class that makes one; without a checkpoint, the net itself with its weights.
        defense: what changes the images before the net sees them, such as EnergyDescent; attacks, if there are any, go
            through it.
        output: folder of the results; by default beside the checkpoint.
        channels_last: compute in NHWC memory, which is faster on a CPU and differs in the last digit; by default there,
            for nets of this package.
        processes: see ``launched``.

    Raises:
        InputError: if the net, its weights, the data or the devices are not there.
    """
    fabric = launched(**processes)
    _warn_of_random_weights(ckpt_path, net)
    loaded = defended(load_net(ckpt_path, net, data.num_classes), defense, attacks)
    suit_threads([loaded], data, data.eval_batch_size, fabric.device)
    with fabric.rank_zero_first(local=True):
        data.prepare_data()
    folder = output_folder(output, ckpt_path, loaded, kind)
    return Subject(fabric, loaded, ckpt_path, folder, in_channels_last([loaded], fabric.device, channels_last))


def defended(net: nn.Module, defense: Defense | None, attacks: Mapping[str, Attack]) -> nn.Module:
    """The net within its defense, with a word on what an attack's failure means then.

    Args:
        net: to be defended.
        defense: None leaves it as it is.
        attacks: that it is to be judged by.
    """
    if defense is None:
        return net
    ways = {getattr(attack, "way", "through") for attack in attacks.values() if getattr(attack, "adversarial", True)}
    if ways and not {"through", "around", "identity"} <= ways:
        warn(
            "a defense at test time can hide gradients, and an attack that fails proves little then; judge it by "
            "attacks through it, around it and as if it were the identity, as eval_cifar10_et3.yaml does",
            stacklevel=2,
        )
    return defense(net)


def _warn_of_random_weights(ckpt_path: str | None, net: Any) -> None:
    """Of a net that is made from its class; a function or a dotted path may bring its own."""
    downloaded = getattr(net, "weights", None) or getattr(net, "pretrained", False)
    if ckpt_path is None and isinstance(net, nn.Module) and not downloaded:
        warn(f"this {type(net).__name__} has random weights; give its ckpt_path", stacklevel=3)


def conditions(data: ImageData, split: Split, images: int, ckpt_path: str | None) -> dict[str, Any]:
    """What results were made on, for their report.

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
