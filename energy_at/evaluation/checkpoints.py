"""Nets to judge: from this package's checkpoints, from others' state_dicts, or from a user's own code."""

import pickle
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from energy_at.describe import class_path, init_arguments
from energy_at.evaluation.weights import CHOICES, apply_weights, state_in
from energy_at.hub.bundle import read_bundle
from energy_at.hub.sources import located
from energy_at.types import InputError, require

DOTTED = re.compile(r"(?!.*\.(?:ckpt|pth?|pkl|bin|safetensors|tar)$)[^\W\d]\w*(?:\.[^\W\d]\w*)+")


def load_net(
    source: str | Path | None = None,
    net: nn.Module | str | None = None,
    num_classes: int | None = None,
    new_head: bool = False,
) -> nn.Module:
    """A net in evaluation mode with the weights of a checkpoint, or a user's own.

    Args:
        source: a checkpoint of this package, or the folder of a run, of which the best one is taken; any file with a
            state_dict (``FILE:last`` or ``FILE:best`` of one that holds both); ``hf://USER/NAME[@REVISION]`` of the
            Hugging Face Hub, ``pretrained:NAME`` or a folder that ``energy-at push`` has written; or the dotted path of
            a net. Files cannot run code: they are read with ``weights_only=True``, or are safetensors.
        net: receives the weights, in place; or its dotted path. A checkpoint of this package describes its own.
        num_classes: K that the data has, to be compared with the net's.
        new_head: to train on: where ``net`` has another number of classes than the source, it keeps its own last layer.

    Raises:
        InputError: if there is no such file, if it is no checkpoint or holds pickled objects, if no net is known for
            it, or if weights, classes and net do not fit each other.
    """
    loaded = _loaded(source, net_by_path(net) if isinstance(net, str) else net, new_head)
    classes = count_classes(loaded)
    require(
        num_classes is None or classes in (None, num_classes),
        f"the net has {classes} classes, but the data {num_classes}; use the checkpoint of a net for this data",
    )
    return loaded.eval()


def _loaded(source: str | Path | None, net: nn.Module | None, new_head: bool) -> nn.Module:
    if source is None:
        if net is None:
            raise InputError("there is neither a checkpoint nor a net; give one of them")
        return net
    if net is None and not Path(source).exists() and DOTTED.fullmatch(str(source)):
        return net_by_path(str(source))
    path, choice = path_and_choice(source)
    content = read_checkpoint(path)
    net = rebuilt(content, source) if net is None else net
    try:
        apply_weights(net, state_in(content, path, choice), source, new_head)
    except InputError as error:
        raise InputError(f"{error}{difference(described(content), net)}") from None
    return net


def difference(description: Mapping[str, Any], net: nn.Module) -> str:
    """In what a net that a checkpoint describes is another than this one, in brackets; empty where nothing is known."""
    if description.get("class_path", class_path(net)) != class_path(net):
        return f" (it is of {description['class_path']})"
    theirs, ours = description.get("init_args", {}).items(), init_arguments(net) or {}
    told = [(name, value) for name, value in theirs if name not in ("mean", "std")]  # which every net can take
    different = [f"{name} {value}" for name, value in told if ours.get(name, value) != value]
    return f" (it has {', '.join(different)})" if different else ""


def path_and_choice(source: str | Path) -> tuple[Path, str | None]:
    """The file of ``FILE``, ``FILE:last`` or ``FILE:best``, wherever it lies, and what is chosen of it."""
    path, _, choice = str(source).rpartition(":")
    return (located(path), choice) if choice in CHOICES and path else (located(source), None)


def net_by_path(path: str) -> nn.Module:
    """The net at a dotted path: a module, or a class or function that makes one without arguments.

    Raises:
        InputError: if there is none.
    """
    require("." in path, f"{path} is no dotted path; write one such as energy_at.{path} or torchvision.models.resnet18")
    found = imported(path)
    if not isinstance(found, nn.Module) and callable(found):
        try:
            found = found()
        except TypeError as error:
            raise InputError(
                f"{path} cannot be called without arguments ({error}); give a function that can"
            ) from error
    if isinstance(found, nn.Module):
        return found
    raise InputError(f"{path} gives a {type(found).__name__}; give a torch.nn.Module")


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """The content of a checkpoint file, read without running code from it.

    Raises:
        InputError: if there is no such file, if it is no checkpoint, or if it holds pickled objects.
    """
    require(path.is_file(), f"there is no file {path}; give the path of a checkpoint, or the dotted path of a net")
    if path.suffix == ".safetensors":
        return read_bundle(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise anything, from EOFError to KeyError
        pickled = re.search(r"(?:GLOBAL|class) ([\w.]+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and pickled:
            raise InputError(
                f"{path} holds pickled objects ({pickled[1]}), which could run code when they are read;"
                " save the net's state_dict() and load that"
            ) from error
        raise InputError(f"{path} is no checkpoint that torch can read; give a file written by torch.save") from error
    if isinstance(content, Mapping):
        return content
    raise InputError(f"{path} holds a {type(content).__name__}, but no weights; save the net's state_dict()")


def rebuilt(content: Mapping[str, Any], source: object) -> nn.Module:
    """The net that a checkpoint of this package describes, without weights.

    Raises:
        InputError: if it describes none, or none that can be made here.
    """
    description = described(content)
    require(
        "class_path" in description,
        f"{source} holds weights but does not say of which net; give the net too",
    )
    return _instance(description)


def described(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The net of a checkpoint of this package, as class_path and init_args; empty where it describes none."""
    description = content.get("hyper_parameters", {}).get("net")
    return description if isinstance(description, Mapping) else {}


def _instance(description: Mapping[str, Any]) -> nn.Module:
    cls = imported(description["class_path"])
    # a file may name anything, os.system too; only nets are made from it
    require(
        isinstance(cls, type) and issubclass(cls, nn.Module),
        f"the checkpoint wants {description['class_path']}, which is no torch.nn.Module; give the net yourself",
    )
    arguments = {key: _argument(value) for key, value in description.get("init_args", {}).items()}
    for download in {"weights", "pretrained"} & arguments.keys():
        arguments[download] = None if download == "weights" else False  # the checkpoint brings its own
    try:
        return cls(**arguments)
    except TypeError as error:
        raise InputError(f"{description['class_path']} has changed ({error}); give the net yourself") from error


def _argument(value: Any) -> Any:
    return _instance(value) if isinstance(value, Mapping) and "class_path" in value else value


def imported(path: str) -> Any:
    """What lies at a dotted path.

    Raises:
        InputError: if nothing does.
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be imported ({error}); check its spelling, and that it is installed"
        ) from error


def count_classes(net: nn.Module) -> int | None:
    """K as the net says it, or as its last layer does; None where neither tells."""
    layers = [layer for layer in net.modules() if next(layer.parameters(recurse=False), None) is not None]
    last = layers[-1].out_features if layers and isinstance(layers[-1], nn.Linear) else None
    return getattr(net, "num_classes", last)
