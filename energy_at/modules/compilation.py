"""The net compiled for the training's whole batches, and eager for everything else."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


class Compilation:
    """Compiles a net's forward and backward pass in place, so that no checkpoint and no state_dict changes.

    Args:
        wanted: whether anything is compiled at all.
    """

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self._shape: torch.Size | None = None

    def begin(self, net: nn.Module) -> None:
        """From now on the net's calls are compiled."""
        self._shape = None
        if self.wanted:
            net.compile(dynamic=False)

    def end(self, net: nn.Module) -> None:
        """From now on they are not."""
        if self.wanted:
            net._compiled_call_impl = None

    def for_batch(self, x: Tensor) -> Any:
        """Context of a training step: eager where the batch has not the shape of the first one."""
        self._shape = self._shape or x.shape
        return nullcontext() if x.shape == self._shape else self.eager()

    def eager(self) -> Any:
        """Context in which the net runs as it is written."""
        return torch.compiler.set_stance("force_eager") if self.wanted else nullcontext()

    def for_attack(self, net: nn.Module) -> Any:
        """Context of an attack: a compiled backward pass computes the gradient of all that requires one."""
        return frozen(net) if self.wanted else nullcontext()


@contextmanager
def frozen(net: nn.Module) -> Iterator[None]:
    """No parameter requires a gradient; afterwards those do that did."""
    params = [parameter for parameter in net.parameters() if parameter.requires_grad]
    for parameter in params:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in params:
            parameter.requires_grad_(True)
