"""Results kept on disk, one small file a batch and attack, so that a killed evaluation goes on where it stopped.

A file's name says what it is the result of: net, settings of the attack, images. Whatever differs, differs in the name,
so nothing is ever reused for another question; processes that share batches can share the folder.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from energy_at.describe import class_path
from energy_at.files import read_arrays, write_arrays
from energy_at.types import InputError, Ratio


class Store:
    """Results by name, each of them named arrays.

    Args:
        folder: made when the first result is kept; None keeps nothing.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = None if folder is None else Path(folder)

    def load(self, name: str) -> dict[str, Tensor] | None:
        """The result of this name; None where there is none, or where its file is damaged."""
        if self.folder is None:
            return None
        try:
            return read_arrays(self.folder / f"{name}.npz")
        except InputError:
            return None

    def keep(self, name: str, result: Mapping[str, Tensor]) -> None:
        """Write a result as a whole or not at all, whenever the process ends."""
        if self.folder is not None:
            write_arrays(self.folder / f"{name}.npz", result)


def digest(*parts: object) -> str:
    """Sha256 of tensors (type, shape, content) and of other values as they print."""
    total = sha256()
    for part in parts:
        if isinstance(part, Tensor):
            total.update(f"{part.dtype} {list(part.shape)};".encode())
            part = part.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        else:
            part = f"{part!r};".encode()
        total.update(part)
    return total.hexdigest()


def weights_sha256(net: nn.Module) -> str:
    """Hash of the names and values of all parameters and buffers."""
    tensors = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    return digest(*(part for name in sorted(tensors) for part in (name, tensors[name])))


def net_sha256(net: nn.Module) -> str:
    """Hash of the weights, the classes of all layers and their plain settings: what decides the logits."""
    layers = [(name, class_path(layer), _plain_settings(layer)) for name, layer in net.named_modules()]
    return digest(weights_sha256(net), repr(net), *layers)


def settings(instance: object) -> dict[str, Any]:
    """Public attributes of an object as plain values that print alike in every process.

    Args:
        instance: an attack, whose constructor's arguments are attributes; what decides its result beside them, such as
            the weights of a model that it loads, is in its ``facts``.
    """
    known = {**vars(instance), **getattr(instance, "facts", {})}
    return {name: plain(value) for name, value in sorted(known.items()) if not name.startswith("_")}


def plain(value: Any) -> Any:
    """A value as numbers, text, lists and dicts; functions and nets by their content."""
    match value:
        case Ratio():
            return str(value) if "/" in str(value) else float(value)
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case Tensor():
            return digest(value)
        case nn.Module():
            return f"{class_path(value)} {net_sha256(value)}"
        case partial():
            return [plain(value.func), plain(value.args), plain(value.keywords)]
        case FunctionType():
            cells = [plain(cell.cell_contents) for cell in value.__closure__ or ()]
            code = value.__code__
            return (
                f"{value.__module__}.{value.__qualname__} {digest(code.co_code, code.co_consts, code.co_names, cells)}"
            )
        case Iterable():
            return [plain(item) for item in value]
    return {"class": class_path(value), **settings(value)} if hasattr(value, "__dict__") else repr(value)


def _plain_settings(layer: nn.Module) -> list[tuple[str, Any]]:
    kinds = (bool, int, float, str, tuple, list)
    return sorted((k, plain(v)) for k, v in vars(layer).items() if k != "training" and isinstance(v, kinds))
