"""Carlini and Wagner's minimal perturbation in L2."""

from math import inf
from typing import Literal, Self

import torch
from torch import Tensor, nn

from energy_at.attacks.base import Attack
from energy_at.attacks.losses import margin
from energy_at.energy import full_precision
from energy_at.lengths import per_image
from energy_at.types import Images, Labels, PerSample, RatioLike, require, require_count

TANH_RANGE = 0.999999  # as in the published code: atanh(1) is infinite


class CarliniWagner(Attack):
    """min_w ||x* - x||_2^2 + c max(confidence - margin(x*), 0), x* = (tanh(w) + 1) / 2 (arXiv 1608.04644, section VI).

    Adam on w in the space where every x* is in [0, 1]; the margin is max_{k != y} f(x*)[k] - f(x*)[y] (f_6); the
    constant c of each image is searched by bisection, and of all successful x* the nearest is kept. An image that is
    adversarial already comes back unchanged, and so does one for which nothing was found. The images of a batch do not
    influence each other, and no noise is drawn.

    The same loss under Linf is ``PGD(norm="Linf", loss="margin")``, as the field evaluates it (arXiv 1706.06083).

    Args:
        steps: Adam's steps for each constant, at least 1.
        confidence: margin that counts as success, at least 0.
        binary_search_steps: constants tried for each image, at least 1.
        lr: Adam's learning rate in w, above 0. The published code's 0.01 needs about 500 steps to move pixels that lie
            at 0 or 1, where tanh is flat.
        norm: "L2".
        initial_const: the first c, above 0; it grows tenfold until an image succeeds.
        eps: images that need a longer perturbation than this come back unchanged; None keeps every success, and robust
            accuracy is then near 0 for every net.
        targeted: y holds the labels to reach.
        seed: not used; every attack has one.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(
        self,
        steps: int = 200,
        confidence: float = 0.0,
        binary_search_steps: int = 9,
        lr: float = 0.05,
        norm: Literal["L2"] = "L2",
        initial_const: float = 1e-3,
        eps: RatioLike | None = None,
        targeted: bool = False,
        seed: int = 0,
    ) -> None:
        require(norm == "L2", f"norm is {norm!r}, but this attack measures L2; for Linf use PGD with loss: margin")
        super().__init__(0 if eps is None else eps, norm, seed)
        require_count("steps", steps, 200)
        require_count("binary_search_steps", binary_search_steps, 9)
        require(0 <= confidence < inf, f"confidence is {confidence}, but it is finite and at least 0; write 0")
        require(0 < lr < inf, f"lr is {lr}, but a learning rate is finite and above 0; write for example lr: 0.05")
        require(0 < initial_const < inf, f"initial_const is {initial_const}, but it is finite and above 0; write 0.001")
        if eps is None:
            self.eps = None  # type: ignore[assignment] # the smallest perturbation, however long
        self.steps = steps
        self.confidence = confidence
        self.binary_search_steps = binary_search_steps
        self.lr = lr
        self.initial_const = initial_const
        self.targeted = targeted

    def perturb(self, net: nn.Module, x: Images, y: Labels, start: Images | None, generator: torch.Generator) -> Images:
        """See ``Attack``; with a start, Adam begins there."""
        w = torch.atanh((2 * (x if start is None else start).clamp(0, 1) - 1) * TANH_RANGE)
        with torch.no_grad():
            done = self._judge(net, x, y)[1]
        nearest, distance = x, torch.zeros(len(x), dtype=x.dtype, device=x.device).masked_fill(~done, inf)
        const = torch.full_like(distance, self.initial_const)
        low, high = torch.zeros_like(const), torch.full_like(const, inf)
        for _ in range(self.binary_search_steps):
            found, length = self._descend(net, x, y, w, const)
            nearest = torch.where(per_image(length < distance, x), found, nearest)
            distance = torch.minimum(length, distance)
            low, high = torch.where(length < inf, low, const), torch.where(length < inf, const, high)
            const = torch.where(high < inf, (low + high) / 2, 10 * const)
        reached = distance <= (inf if self.eps is None else self.eps)
        return torch.where(per_image(reached, x), nearest, x)

    def scaled(self, factor: float) -> Self:
        """See ``Attack``; without an eps there is no length to scale."""
        return self if self.eps is None else super().scaled(factor)

    def _descend(self, net: nn.Module, x: Images, y: Labels, w: Tensor, const: PerSample) -> tuple[Images, PerSample]:
        """For one constant, the nearest success on Adam's way and its distance, infinite where there is none."""
        w = w.clone().requires_grad_()
        adam = torch.optim.Adam([w], lr=self.lr)
        nearest, distance = x, torch.full_like(const, inf)
        for _ in range(self.steps):
            x_adv = (torch.tanh(w) + 1) / 2
            gap, success = self._judge(net, x_adv, y)
            squared = (x_adv - x).square().flatten(1).sum(dim=1)
            loss = squared + const * (self.confidence - gap).clamp(min=0)
            (w.grad,) = torch.autograd.grad(loss.sum(), w)  # backward() would fill the parameters' gradients
            adam.step()
            length = squared.detach().sqrt().masked_fill(~success, inf)
            nearest = torch.where(per_image(length < distance, x), x_adv.detach(), nearest)
            distance = torch.minimum(length, distance)
        return nearest, distance

    def _judge(self, net: nn.Module, x_adv: Images, y: Labels) -> tuple[PerSample, Tensor]:
        """By how much each image is adversarial [N], and whether that is enough."""
        logits = full_precision(net(x_adv))
        gap = -margin(logits, y) if self.targeted else margin(logits, y)
        return gap, ((logits.argmax(dim=1) == y) == self.targeted) & (gap >= self.confidence)
