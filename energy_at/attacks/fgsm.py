"""The single-step attacks of fast adversarial training."""

from math import inf
from typing import Any, ClassVar

import torch

from energy_at.attacks.losses import AttackLoss, LossName
from energy_at.attacks.pgd import PGD, Start
from energy_at.attacks.threat import Norm
from energy_at.types import Images, Ratio, RatioLike, require


class SingleStep(PGD):
    """One step of PGD.

    Args:
        eps: radius of the ball, at least 0, images in [0, 1]; "8/255" is read too.
        alpha: step length in the same units; None means as the attack's paper has it.
        norm: "Linf" or "L2".
        loss: what the attack climbs, see ``energy_at.attacks.losses``.
        targeted: y holds the labels to reach.
        seed: of the attack's own generator.
        start: see ``PGD``; None means as the attack's paper has it.

    Raises:
        InputError: if a value is out of its range.
    """

    published_alpha: ClassVar[float]  # in multiples of eps
    published_start: ClassVar[Start]

    def __init__(
        self,
        eps: RatioLike = Ratio("8/255"),
        alpha: RatioLike | None = None,
        norm: Norm = "Linf",
        loss: LossName | AttackLoss = "cross_entropy",
        targeted: bool = False,
        seed: int = 0,
        start: Start | None = None,
    ) -> None:
        if alpha is None:
            alpha = eps if self.published_alpha == 1 else self.published_alpha * Ratio(eps)  # 8/255 stays as written
        super().__init__(eps, alpha, 1, norm, loss, start or self.published_start, targeted=targeted, seed=seed)


class FGSM(SingleStep):
    """x* = project(x + alpha step(grad_x loss)), alpha = eps: one step from x (arXiv 1412.6572, eq. 2).

    With ``start: ternary`` a third of the perturbation's values are 0 and the others -eps or eps, as ``PGI``'s are; a
    relative begins at -eps/2 or eps/2 (Bernoulli noise, arXiv 2011.14969). In narrow nets at eps 16/255 it kept FGSM
    from catastrophic overfitting for nothing (docs/results.md).

    Arguments: see ``SingleStep``.
    """

    published_alpha = 1.0
    published_start = "zero"


class RSFGSM(SingleStep):
    """FGSM from a uniform random start, alpha = 1.25 eps, projected to the ball (arXiv 2001.03994, algorithm 3).

    Arguments: see ``SingleStep``.
    """

    published_alpha = 1.25
    published_start = "uniform"


class NFGSM(SingleStep):
    """FGSM around a noisy image: x* = clip_[0,1](x + eta + alpha step(grad at x + eta)) (arXiv 2202.01181, eq. 5).

    eta is uniform in the ball of radius ``noise`` eps. As published, the result is NOT projected back to the eps-ball:
    it can be up to noise eps + alpha away from x, alpha = eps. It is the one training attack here that leaves its ball.

    Args:
        noise: radius of the starting noise in multiples of eps, above 0.
        kwargs: see ``SingleStep``.

    Raises:
        InputError: if a value is out of its range.
    """

    published_alpha = 1.0
    published_start = "uniform"

    def __init__(
        self,
        eps: RatioLike = Ratio("8/255"),
        alpha: RatioLike | None = None,
        noise: float = 2.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(eps, alpha, **kwargs)
        require(
            0 < noise < inf, f"noise is {noise}, but the starting noise has a finite radius above 0; write noise: 2"
        )
        require(self.start == self.published_start, "NFGSM starts from noise of its own; leave start out")
        self.noise = noise

    def draw_start(self, x: Images, generator: torch.Generator | None = None) -> Images:
        """X + eta, within [0, 1]."""
        noise = self.threat.noise(x, self.noise * self.eps, generator or self.generator(x.device))
        return self.project(x + noise, x)

    def project(self, x_adv: Images, x: Images) -> Images:
        """Into [0, 1] only, as published."""
        return x_adv.clamp(0, 1)
