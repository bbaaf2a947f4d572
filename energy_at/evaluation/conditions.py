"""What makes the numbers of a study comparable: versions, precision, hashes of weights and images."""

import platform
import re
from importlib import metadata
from typing import Any

import torch
from torch import nn

from energy_at import __version__
from energy_at.attacks import Attack
from energy_at.defense import EnergyDescent
from energy_at.evaluation.store import digest, settings, weights_sha256


def facts(net: nn.Module, device: torch.device, seed: int) -> dict[str, Any]:
    """How a study was computed.

    Args:
        net: whose weights are hashed.
        device: on which.
        seed: of the attacks' noise.
    """
    return {
        "seed": seed,
        "dtype": "float32",
        "device": device.type,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "energy_at": _without_commit(__version__),
        "pyautoattack": _version("pyautoattack"),
        "diffusers": _version("diffusers"),
        "weights_sha256": weights_sha256(net),
        **({"defense": net.options} if isinstance(net, EnergyDescent) else {}),
    }


def described(attack: Attack) -> dict[str, Any]:
    """Class and options of an attack, as plain values."""
    return {"class": type(attack).__name__, **settings(attack)}


def device_of(net: nn.Module, device: torch.device | str | None = None) -> torch.device:
    """The device asked for, or the one where the net is."""
    if device is None:
        return next((p.device for p in net.parameters()), torch.device("cpu"))
    return torch.empty(0, device=device).device  # "cuda" is to mean "cuda:0"


class DataHash:
    """Hash of all images and labels, the same whichever process had which batch."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, index: int, data: str) -> None:
        """Take the hash of batch number ``index``."""
        self._sum = (self._sum + int(digest(index, data), 16)) % 2**256

    def __str__(self) -> str:
        """In hexadecimal digits."""
        return f"{self._sum:064x}"


def _without_commit(version: str) -> str:
    """An editable install knows the commit of the day when it was made, which may not be the present one."""
    return re.sub(r"\.dev.*", ".dev", version)


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
