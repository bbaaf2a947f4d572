"""What a network sees in images: the vectors in which sets of images are compared."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from energy_at.files import read_arrays, write_arrays
from energy_at.net_state import in_mode
from energy_at.types import Images, InputError, Labels, require


class Features(NamedTuple):
    """A set of images as a network sees it.

    Args:
        vectors: [N, D], float32, on the CPU.
        logits: [N, K], float32, on the CPU; [N, 0] of a network without classes.
        labels: [N].
    """

    vectors: Tensor
    logits: Tensor
    labels: Labels


class Penultimate(nn.Module):
    """What a classifier's last linear layer receives, and what it returns.

    Args:
        net: maps images in [0, 1] to logits by a linear layer at its end.

    Raises:
        InputError: if it has no linear layer, or on a call, if that is not the last.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        linear = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
        require(bool(linear), f"{type(net).__name__} has no linear layer; give a net that returns features [N, D]")
        self.net, self._last = net, linear[-1]

    def forward(self, x: Images) -> tuple[Tensor, Tensor]:
        """Features [N, D] and logits [N, K] of images [N, C, H, W] in [0, 1]."""
        seen: list[Tensor] = []
        handle = self._last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            logits = self.net(x)
        finally:
            handle.remove()
        require(
            len(seen) == 1 and logits.shape == (len(x), self._last.out_features),
            f"{type(self.net).__name__} does not end in its last linear layer; give a net that returns features [N, D]",
        )
        return seen[0].flatten(1), logits


class Plain(nn.Module):
    """A network whose output are the features.

    Args:
        net: maps images in [0, 1] to vectors.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Images) -> tuple[Tensor, Tensor]:
        """Features [N, D] of images [N, C, H, W] in [0, 1], and no logits [N, 0]."""
        vectors = self.net(x).flatten(1)
        return vectors, vectors[:, :0]


def feature_net(net: nn.Module) -> nn.Module:
    """A classifier's (a net with ``num_classes``) penultimate layer and logits; any other net's output."""
    return Penultimate(net) if getattr(net, "num_classes", 0) else Plain(net)


@torch.no_grad()
def extract(net: nn.Module, batches: Iterable[tuple[Tensor, Labels]], device: torch.device) -> Features:
    """The features of a set of images; no more than a batch of images is in memory.

    Args:
        net: maps images [N, C, H, W] in [0, 1] to vectors [N, D] and logits [N, K].
        batches: of images, uint8 [N, C, H, W], and labels [N]; at least one.
        device: where to compute; the net is moved there.
    """
    net.to(device)
    with in_mode(net, training=False):
        parts = [(*net(images.to(device).float().div_(255)), labels) for images, labels in batches]
    return Features(*(torch.cat([part.cpu() for part in column]) for column in zip(*parts, strict=True)))


def kept_features(path: Path, compute: Callable[[], Features]) -> Features:
    """Features from a file, or computed and written there; a damaged file is written anew.

    Args:
        path: whose name tells network and images.
        compute: when there is no such file.
    """
    try:
        return Features(**read_arrays(path, Features._fields))
    except InputError:
        features = compute()
    write_arrays(path, features._asdict())
    return features
