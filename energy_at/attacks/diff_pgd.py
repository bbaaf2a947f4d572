"""Diff-PGD: projected gradient ascent whose iterate passes through a diffusion model before it meets the net."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from energy_at.attacks.losses import AttackLoss, LossName
from energy_at.attacks.pgd import PGD
from energy_at.attacks.sdedit import SDEdit, load_diffusion
from energy_at.attacks.threat import Norm
from energy_at.net_state import in_mode
from energy_at.types import Images, Labels, Logits, Ratio, RatioLike, require_count


class DiffPGD(PGD):
    """PGD from a uniform start on x -> f(SDEdit(x)) (arXiv 2305.16494, algorithm 1).

    Each pass draws its own noise, and the gradient goes through all denoising steps, see ``SDEdit``. The result is the
    last iterate, which lies in the ball. ``purify`` returns its SDEdit instead, the picture that the paper shows; it
    lies in [0, 1] but NOT in the ball, so its numbers belong to no threat model.

    Needs ``pip install 'energy-at[diffusion]'``.

    Args:
        model: an unconditional UNet2DModel of diffusers with its noise schedule: folder or hub name of a pipeline such
            as DDPMPipeline; or, in Python, the pair (unet, scheduler).
        eps: radius of the ball, at least 0, images in [0, 1]; "16/255" is read too.
        alpha: step length in the same units, above 0; None means 2.5 eps / steps.
        steps: gradient steps, at least 1.
        t_star: timestep of the schedule (usually of 1000) up to which the iterate is noised, at least 0.
        diffusion_steps: DDIM steps that span the WHOLE schedule, at least 1; those up to ``t_star`` are taken, by
            default four.
        norm: "Linf" or "L2".
        loss: what the attack climbs, see ``energy_at.attacks.losses``; or a function of the same form.
        targeted: y holds the labels to reach, and the attack descends; for cross_entropy and margin.
        purify: return SDEdit of the last iterate.
        checkpointing: keep the activations of one denoising step at a time, for one more forward pass of each.
        batch_size: images attacked at once, at least 1; None means all.
        seed: of the attack's own generator.

    Raises:
        InputError: if a value is out of its range; on a call, if the library is missing or the model unfit.
    """

    def __init__(
        self,
        model: str | tuple[nn.Module, Any],
        eps: RatioLike = Ratio("16/255"),
        alpha: RatioLike | None = Ratio("2/255"),
        steps: int = 10,
        t_star: int = 60,
        diffusion_steps: int = 50,
        norm: Norm = "Linf",
        loss: LossName | AttackLoss = "cross_entropy",
        targeted: bool = False,
        purify: bool = False,
        checkpointing: bool = True,
        batch_size: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(eps, alpha, steps, norm, loss, targeted=targeted, seed=seed)
        require_count("t_star", t_star, 60, least=0)
        for name, value in {"diffusion_steps": diffusion_steps, "batch_size": batch_size}.items():
            if value is not None:
                require_count(name, value, 50)
        self.model = model
        self.t_star = t_star
        self.diffusion_steps = diffusion_steps
        self.purify = purify
        self.checkpointing = checkpointing
        self.batch_size = batch_size
        self._loaded: dict[str, tuple[nn.Module, Any]] = {}  # shared by scaled copies

    @property
    def facts(self) -> dict[str, Any]:
        """What decides the result and no argument tells: the diffusion model's weights and noise schedule."""
        unet, scheduler = self._diffusion()
        return {"unet": unet, "schedule": dict(scheduler.config)}

    def perturb(
        self,
        net: nn.Module,
        x: Images,
        y: Labels,
        start: Images | None,
        generator: torch.Generator | None = None,
    ) -> Images:
        """See ``Attack``; a start is the first iterate, before its SDEdit.

        Raises:
            InputError: if the library is missing, or the model does not fit the images.
        """
        generator = generator or self.generator(x.device)
        unet, scheduler = self._diffusion()
        unet = unet.to(x.device) if isinstance(self.model, str) else unet
        sdedit = SDEdit(unet, scheduler, self.t_star, self.diffusion_steps, self.checkpointing)

        def purified(x: Images) -> Images:
            return sdedit(x, torch.empty_like(x).normal_(generator=generator))

        results = []
        with in_mode(unet, False):
            for part in torch.arange(len(x), device=x.device).split(self.batch_size or len(x)):
                begin = None if start is None else start[part]
                x_adv = super().perturb(_Purifying(net, purified), x[part], y[part], begin, generator)
                with torch.no_grad():
                    results.append(purified(x_adv) if self.purify else x_adv)
        return torch.cat(results)

    def _diffusion(self) -> tuple[nn.Module, Any]:
        if not isinstance(self.model, str):
            return self.model
        if self.model not in self._loaded:
            self._loaded[self.model] = load_diffusion(self.model)
        return self._loaded[self.model]


class _Purifying(nn.Module):
    def __init__(self, net: nn.Module, purified: Callable[[Images], Images]) -> None:
        super().__init__()
        self.net, self.purified = net, purified

    def forward(self, x: Images) -> Logits:
        return self.net(self.purified(x))
