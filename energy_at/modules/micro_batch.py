"""A batch in parts: attack and loss of a few images at a time, with the gradients of the whole batch."""

from collections.abc import Callable, Sequence
from math import ceil, inf
from typing import Any, Literal, TypeAlias

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from energy_at.types import require

MicroBatch: TypeAlias = int | Literal["auto"] | None
Outputs: TypeAlias = dict[str, Tensor]


class MicroBatches:
    """Runs an objective part by part; the loss that it returns carries the gradients of the whole batch.

    L = sum_i (n_i / N) L_i for every objective that averages over images, and so for its gradients. They are taken
    part by part and kept; the one backward pass that follows, through the returned loss, only hands them out. Whoever
    runs that pass (accumulation over steps, clipping, DDP's synchronisation) sees one batch.

    Args:
        limit: images at a time, at least 1; None for the whole batch; "auto" to begin with the whole batch and to
            halve the part, for good, whenever the GPU runs out of memory.

    Raises:
        InputError: if the limit is none of these.
    """

    def __init__(self, limit: MicroBatch = None) -> None:
        counts = isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1
        require(
            counts or limit in (None, "auto"),
            f"micro_batch is {limit!r}, but it counts images from 1; write for example micro_batch: 32",
        )
        self.limit = limit
        self.size: float = limit if isinstance(limit, int) and counts else inf

    def check_device(self, device: torch.device) -> None:
        """Refuse "auto" where nobody tells that the memory is full.

        Raises:
            InputError: on anything but a CUDA device.
        """
        require(
            self.limit != "auto" or device.type == "cuda",
            f"micro_batch auto waits for a GPU's memory to be full, and this is a {device.type}; "
            "write a number of images, for example micro_batch: 32",
        )

    def splits(self, count: int) -> bool:
        """Whether a batch of this many images is more than one plain pass."""
        return self.limit == "auto" or count > self.size

    def __call__(
        self, objective: Callable[[slice], Outputs], count: int, params: Sequence[nn.Parameter], scale: Tensor
    ) -> Outputs:
        """Outputs of a whole batch.

        Args:
            objective: outputs of a part of the batch: "loss", the mean over its images, and values [n, ...] of each.
            count: N, images of the batch.
            params: leaves whose gradients the loss is to carry.
            scale: scalar by which the loss is multiplied while gradients are taken, against underflow in float16.

        Returns:
            The parts' outputs joined and detached, but for "loss", the scalar to call ``backward`` on.

        Raises:
            torch.OutOfMemoryError: if the memory does not suffice for a part; with "auto", for a single image.
        """
        parts, gradients = [], _Gradients(params)

        def run(part: slice) -> None:
            outputs = objective(part)
            outputs["loss"] = outputs["loss"] * ((part.stop - part.start) / count)
            gradients.add(outputs["loss"] * scale)
            parts.append({name: value.detach() for name, value in outputs.items()})

        self._cover(count, run)
        outputs = {name: torch.cat([part[name] for part in parts]) for name in parts[0] if name != "loss"}
        loss = torch.stack([part["loss"] for part in parts]).sum()
        return {**outputs, "loss": _GradientsKnown.apply(loss, scale, gradients.sums(), *params)}

    def _cover(self, count: int, run: Callable[[slice], None]) -> None:
        size, begin = self.size, 0
        while begin < count:
            part = slice(begin, begin + self._next(count - begin))
            if self._fits(part, run):
                begin = part.stop
            else:
                self.size = (part.stop - part.start) // 2
                torch.cuda.empty_cache()
        if self.size < size:
            rank_zero_warn(f"the memory does not suffice for {count} images; micro_batch is {self.size} from now on")

    def _next(self, left: int) -> int:
        # parts of equal size: batch norm has nothing to say about a last part of one image
        return ceil(left / ceil(left / self.size)) if left > self.size else left

    def _fits(self, part: slice, run: Callable[[slice], None]) -> bool:
        try:
            run(part)
        except torch.OutOfMemoryError:
            if self.limit != "auto" or part.stop - part.start == 1:
                raise
            return False
        return True


class _Gradients:
    """Sum of the gradients of several losses."""

    def __init__(self, params: Sequence[nn.Parameter]) -> None:
        self.params = params
        self.totals = [torch.zeros_like(parameter) for parameter in params]
        self.reached = [False] * len(params)

    def add(self, loss: Tensor) -> None:
        """Add this loss's, or nothing if the memory does not suffice."""
        for i, grad in enumerate(torch.autograd.grad(loss, self.params, allow_unused=True)):
            if grad is not None:
                self.totals[i].add_(grad)
                self.reached[i] = True

    def sums(self) -> list[Tensor | None]:
        """Of every parameter; None where no loss depends on it, as after one backward pass."""
        return [total if reached else None for total, reached in zip(self.totals, self.reached, strict=True)]


class _GradientsKnown(torch.autograd.Function):
    """The loss as it is; its backward pass hands out the gradients that are known already."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, scale: Tensor, gradients: list[Tensor | None], *params: Tensor) -> Tensor:
        ctx.scale, ctx.gradients = scale, gradients
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        factor = grad / ctx.scale
        return None, None, None, *(None if known is None else known * factor for known in ctx.gradients)
