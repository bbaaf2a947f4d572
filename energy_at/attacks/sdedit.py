"""SDEdit: images noised up to some timestep of a diffusion model and denoised again, differentiably."""

from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from energy_at.types import Images, InputError, require

LIBRARY_MISSING = "DiffPGD needs the library diffusers; pip install 'energy-at[diffusion]'"


class SDEdit:
    """z = sqrt(a_t) (2 x - 1) + sqrt(1 - a_t) noise at t = t_star, then DDIM back to an image (arXiv 2108.01073).

    The steps are DDIM's deterministic ones (arXiv 2010.02502, eq. 12 with sigma = 0), so the gradient passes through
    the whole chain.

    Args:
        unet: an unconditional UNet2DModel of diffusers; used in the mode in which it is given.
        scheduler: of diffusers; its schedule of noise is taken, the object is left as it is.
        t_star: where to begin, in timesteps of the schedule; the largest step not above it is taken.
        steps: DDIM steps that span the whole schedule, of which those up to ``t_star`` are taken.
        checkpointing: keep the activations of one step at a time, at the price of one more forward pass of each.

    Raises:
        InputError: if the library is missing, the model is of another kind, or no step lies at or below ``t_star``.
    """

    def __init__(self, unet: Any, scheduler: Any, t_star: int, steps: int, checkpointing: bool = False) -> None:
        self.unet, self.scheduler, self.checkpointing = unet, _ddim(unet, scheduler), checkpointing
        most = self.scheduler.config.num_train_timesteps
        require(steps <= most, f"diffusion_steps is {steps}, but the model has {most} timesteps; take fewer steps")
        self.scheduler.set_timesteps(steps)
        self.timesteps = self.scheduler.timesteps[self.scheduler.timesteps <= t_star]
        require(
            len(self.timesteps) > 0, f"none of the {steps} diffusion steps lies at or below t_star {t_star}; raise it"
        )

    def __call__(self, x: Images, noise: Tensor) -> Images:
        """Images [N, C, H, W] in [0, 1] of those given and standard normal noise of their shape.

        Raises:
            InputError: if the images are not of the UNet's size, channels and device.
        """
        self._check(x)
        timesteps = self.timesteps.to(x.device)
        z = self.scheduler.add_noise(2 * x - 1, noise, timesteps[:1].expand(len(x)))
        for t in timesteps:
            # nothing in a step is random, so there is no random state to keep
            z = (
                checkpoint(self._denoised, z, t, use_reentrant=False, preserve_rng_state=False)
                if self.checkpointing
                else self._denoised(z, t)
            )
        return ((z + 1) / 2).clamp(0, 1)

    def _denoised(self, z: Tensor, t: Tensor) -> Tensor:
        # a UNet that learned variances too puts them behind the prediction
        prediction = self.unet(z.to(self.unet.dtype), t).sample[:, : z.shape[1]]
        return self.scheduler.step(prediction.to(z.dtype), t, z, eta=0.0).prev_sample

    def _check(self, x: Images) -> None:
        channels, size = self.unet.config.in_channels, self.unet.config.sample_size
        expected = [channels, *(2 * [size] if isinstance(size, int) else size or x.shape[2:])]
        require(
            list(x.shape[1:]) == expected,
            f"images are {list(x.shape[1:])}, but the diffusion model takes {expected}; give one of this data",
        )
        require(
            self.unet.device == x.device,
            f"the diffusion model is on {self.unet.device}, the images on {x.device}; move the model there",
        )


def load_diffusion(name: str) -> tuple[nn.Module, Any]:
    """UNet (in evaluation mode, without gradients) and scheduler of a diffusers pipeline.

    Args:
        name: folder written by ``save_pretrained``, or name on the hub.

    Raises:
        InputError: if the library is missing, or there is no such pipeline of a UNet and a scheduler alone.
    """
    try:
        from diffusers import DiffusionPipeline
    except ImportError:
        raise InputError(LIBRARY_MISSING) from None
    try:
        pipeline = DiffusionPipeline.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].partition(" (")[0].removesuffix(".")
        raise InputError(
            f"no diffusion model can be loaded from {name!r} ({reason}); give the folder of a diffusers pipeline, or"
            " the name of one on the hub"
        ) from error
    require(
        set(pipeline.components) == {"unet", "scheduler"},
        f"{name!r} is a {type(pipeline).__name__}; give one of a UNet and a scheduler alone, such as DDPMPipeline",
    )
    return pipeline.unet.eval().requires_grad_(False), pipeline.scheduler


def _ddim(unet: nn.Module, scheduler: Any) -> Any:
    try:
        from diffusers import DDIMScheduler, UNet2DModel
    except ImportError:
        raise InputError(LIBRARY_MISSING) from None
    require(
        isinstance(unet, UNet2DModel) and unet.class_embedding is None,
        f"the diffusion model is a {type(unet).__name__}; give a UNet2DModel without classes",
    )
    require(
        "beta_schedule" in scheduler.config,
        f"{type(scheduler).__name__} has no schedule for DDIM; give a model of DDPM's kind",
    )
    return DDIMScheduler.from_config(scheduler.config)
