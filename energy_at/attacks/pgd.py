"""Projected gradient ascent on any attack loss (PGD), the engine of every gradient attack here."""

from collections.abc import Callable
from math import inf
from typing import Literal, Self, TypeAlias, get_args

import torch
from torch import Tensor, nn

from energy_at.attacks.base import Attack
from energy_at.attacks.losses import LOSSES, AttackLoss, LossName
from energy_at.attacks.threat import Norm
from energy_at.energy import full_precision
from energy_at.labels import main_class
from energy_at.lengths import per_image
from energy_at.types import Images, Labels, Logits, PerSample, Ratio, RatioLike, require, require_count, require_one_of

Start: TypeAlias = Literal["zero", "uniform", "gaussian", "ternary"]
Objective: TypeAlias = Callable[[Logits], PerSample]

TRADES_START_STD = 0.001  # arXiv 1901.08573, appendix and published code


class PGD(Attack):
    """x_{t+1} = project(x_t + alpha step(grad_x loss)), arXiv 1706.06083, section 2.1.

    Args:
        eps: radius of the ball, at least 0, images in [0, 1]; "8/255" is read too.
        alpha: step length in the same units, above 0; None means 2.5 eps / steps.
        steps: gradient steps, at least 1.
        norm: "Linf" or "L2".
        loss: what the attack climbs, see ``energy_at.attacks.losses``; or a function of the same form.
        start: "zero" (at x), "uniform" in the ball, "gaussian": x + 0.001 N(0, 1), as TRADES has it, or, for Linf,
            "ternary": x - eps, x or x + eps in each value, each as probable.
        restarts: independent runs, at least 1; per image a misclassified result wins, then the higher loss.
        targeted: y holds the labels to reach, and the attack descends; for cross_entropy and margin.
        seed: of the attack's own generator.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(
        self,
        eps: RatioLike = Ratio("8/255"),
        alpha: RatioLike | None = None,
        steps: int = 10,
        norm: Norm = "Linf",
        loss: LossName | AttackLoss = "cross_entropy",
        start: Start = "uniform",
        restarts: int = 1,
        targeted: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(eps, norm, seed)
        require_count("steps", steps, 10)
        require_count("restarts", restarts, 1)
        require_one_of("start", start, get_args(Start))
        require(start != "ternary" or norm == "Linf", f"start: ternary is one of Linf, norm is {norm}; use uniform")
        require(
            restarts == 1 or start != "zero", f"{restarts} restarts from x itself repeat one run; use start: uniform"
        )
        if not callable(loss):
            require_one_of("loss", loss, LOSSES)
            require(
                not targeted or loss in ("cross_entropy", "margin"),
                f"loss {loss!r} has no targeted form; use cross_entropy or margin, or leave targeted: false",
            )
        self.steps = steps
        self.loss = loss
        self.start = start
        self.restarts = restarts
        self.targeted = targeted
        self.alpha = Ratio(2.5 * self.eps / steps if alpha is None else alpha)
        require(
            0 < self.alpha < inf or not (self.alpha or self.eps),
            f"alpha is {self.alpha}, but a step is finite and longer than 0; write for example alpha: 2/255",
        )

    def perturb(
        self,
        net: nn.Module,
        x: Images,
        y: Labels,
        start: Images | None,
        generator: torch.Generator | None = None,
    ) -> Images:
        """See ``Attack``; without a generator the attack's own draws what has to be drawn."""
        objective = self._objective(net, x, y)
        x_adv = self.ascend(net, x, start if start is not None else self.draw_start(x, generator), objective)
        if self.restarts == 1:
            return x_adv
        best, (success, loss) = x_adv, self._judge(net, x_adv, y, objective)
        for _ in range(self.restarts - 1):
            x_adv = self.ascend(net, x, self.draw_start(x, generator), objective)
            new_success, new_loss = self._judge(net, x_adv, y, objective)
            better = torch.where(new_success == success, new_loss > loss, new_success)
            best = torch.where(per_image(better, x), x_adv, best)
            success, loss = success | new_success, torch.where(better, new_loss, loss)
        return best

    def draw_start(self, x: Images, generator: torch.Generator | None = None) -> Images:
        """The first iterate x_0 for images x [N, C, H, W]."""
        generator = generator or self.generator(x.device)
        match self.start:
            case "uniform":
                return self.project(x + self.threat.noise(x, self.eps, generator), x)
            case "gaussian":
                return torch.empty_like(x).normal_(std=TRADES_START_STD, generator=generator).add_(x)
            case "ternary":
                sign = torch.randint(-1, 2, x.shape, generator=generator, dtype=x.dtype, device=x.device)
                return self.project(x + self.eps * sign, x)
        return x

    def project(self, x_adv: Images, x: Images) -> Images:
        """Back into the eps-ball around x and into [0, 1]."""
        return self.threat.project(x_adv, x, self.eps)

    def ascend(self, net: nn.Module, x: Images, x_adv: Images, objective: Objective) -> Images:
        """All steps from the iterate x_adv."""
        for _ in range(self.steps):
            grad = input_gradient(net, x_adv, objective)
            x_adv = self.project(self.threat.step(x_adv.detach(), grad, self.alpha), x)
        return x_adv

    def scaled(self, factor: float) -> Self:
        """See ``Attack``."""
        scaled = super().scaled(factor)
        scaled.alpha = Ratio(self.alpha * factor)
        return scaled

    @property
    def takes_shares(self) -> bool:
        """See ``Attack``; a margin has one class to be compared with the others."""
        return self.loss not in ("margin", LOSSES["margin"])

    def _objective(self, net: nn.Module, x: Images, y: Labels) -> Objective:
        loss = self.loss if callable(self.loss) else LOSSES[self.loss]
        sign = -1 if self.targeted else 1
        logits = None
        if self.loss == "kl" or callable(self.loss):
            with torch.no_grad():
                logits = full_precision(net(x))
        return lambda logits_adv: sign * loss(logits_adv, y, logits)

    @torch.no_grad()
    def _judge(self, net: nn.Module, x_adv: Images, y: Labels, objective: Objective) -> tuple[PerSample, PerSample]:
        logits = full_precision(net(x_adv))
        return (logits.argmax(dim=1) == main_class(y)) == self.targeted, objective(logits)


def input_gradient(net: nn.Module, x: Images, objective: Objective) -> Tensor:
    """Gradient of the summed objective at x [N, C, H, W]; no parameter's gradient is computed or touched.

    The sum, not the mean: in half precision a mean over a large batch underflows.
    """
    x = x.detach().requires_grad_()
    return torch.autograd.grad(objective(full_precision(net(x))).sum(), x)[0]
