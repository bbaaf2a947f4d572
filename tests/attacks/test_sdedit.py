import sys

import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, LDMPipeline, UNet2DModel, VQModel
from diffusers.schedulers import ScoreSdeVeScheduler
from torch import nn

from energy_at.attacks.sdedit import SDEdit, load_diffusion
from energy_at.types import InputError
from tests.attacks import images
from tests.attacks.diffusion import digits, trained, unet


def noise_like(x, seed=1):
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)


def double_precision(**options):
    """A model without clipping, smooth everywhere."""
    net, _ = trained()
    return net.double(), DDPMScheduler(clip_sample=False, **options)


def ddim_by_hand(net, x, noise, timesteps):
    """Equation 12 of arXiv 2010.02502 with sigma = 0, in double precision."""
    a = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float32), 0)
    z = a[timesteps[0]] ** 0.5 * (2 * x - 1) + (1 - a[timesteps[0]]) ** 0.5 * noise
    for t, previous in zip(timesteps, [*timesteps[1:], None], strict=True):
        after = 1.0 if previous is None else a[previous]
        predicted = net(z, t).sample
        x0 = (z - (1 - a[t]) ** 0.5 * predicted) / a[t] ** 0.5
        z = after**0.5 * x0 + (1 - after) ** 0.5 * predicted
    return ((z + 1) / 2).clamp(0, 1)


@torch.no_grad()
def test_the_chain_is_that_of_the_paper_from_t_star_down():
    net, scheduler = double_precision()
    x = images(4, 1, 8, 8, low=0.3, high=0.7)
    noise = noise_like(x)
    edited = SDEdit(net, scheduler, t_star=79, steps=50)(x, noise)
    torch.testing.assert_close(edited, ddim_by_hand(net, x, noise, [60, 40, 20, 0]), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("t_star", "steps", "expected"), [(60, 50, 4), (59, 50, 3), (0, 50, 1), (999, 20, 20)])
def test_the_steps_up_to_t_star_are_taken(t_star, steps, expected):
    timesteps = SDEdit(unet(), DDPMScheduler(), t_star, steps).timesteps
    assert len(timesteps) == expected
    assert timesteps.tolist() == [i * 1000 // steps for i in reversed(range(expected))]


@torch.no_grad()
def test_a_trained_model_brings_noised_images_back_towards_their_own():
    (net, scheduler), (x, _) = trained(), digits()
    x, noise = x[:200], noise_like(x[:200])
    noised = (scheduler.add_noise(2 * x - 1, noise, torch.tensor([100])) + 1) / 2
    edited = SDEdit(net, scheduler, t_star=100, steps=50)(x, noise)
    assert (edited - x).square().mean() < 0.65 * (noised.clamp(0, 1) - x).square().mean()
    assert edited.min() >= 0
    assert edited.max() <= 1


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_gradient_passes_through_the_whole_chain(prediction_type, checkpointing):
    edit = SDEdit(*double_precision(prediction_type=prediction_type), t_star=200, steps=25, checkpointing=checkpointing)
    x, weight = images(3, 1, 8, 8, low=0.3, high=0.7).requires_grad_(), images(3, 1, 8, 8, seed=1)
    noise, direction = noise_like(x), noise_like(x, 2)

    def value(x):
        return (weight * edit(x, noise).square()).sum()

    (gradient,) = torch.autograd.grad(value(x), x)
    assert (gradient != 0).all()
    with torch.no_grad():
        slope = (value(x + 1e-6 * direction) - value(x - 1e-6 * direction)) / 2e-6
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-5, atol=1e-8)


def test_with_the_published_clipping_the_gradient_reaches_every_pixel():
    (net, scheduler), (x, _) = trained(), digits()
    x = x[:20].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(SDEdit(net, scheduler, 60, 50)(x, noise_like(x)).square().sum(), x)
    assert scheduler.config.clip_sample
    assert (gradient != 0).all()
    assert all(parameter.grad is None for parameter in net.parameters())


def gradient_and_kept_bytes(checkpointing, t_star):
    """Gradient at the images, and the size of what the graph keeps for it."""
    net, scheduler = trained()
    edit, x = SDEdit(net, scheduler, t_star, 50, checkpointing), digits()[0][:8].clone().requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
        edited = edit(x, noise_like(x))
    return torch.autograd.grad(edited.square().sum(), x)[0], sum(kept)


def test_checkpointing_gives_the_same_gradient_and_keeps_no_activations():
    (short, kept_short), (plain, kept_plain) = (gradient_and_kept_bytes(False, t_star) for t_star in (60, 380))
    (same, small), (again, large) = (gradient_and_kept_bytes(True, t_star) for t_star in (60, 380))
    assert torch.equal(short, same)
    assert torch.equal(plain, again)
    assert kept_plain > 4 * kept_short
    assert large - small < 0.02 * (kept_plain - kept_short)


def test_a_variance_predicted_behind_the_noise_is_left_out():
    net = unet(out_channels=2)
    x = images(2, 1, 8, 8, dtype=torch.float32)
    edited = SDEdit(net, DDPMScheduler(), 60, 50)(x, noise_like(x))
    without, last = unet(), ("conv_out.weight", "conv_out.bias")
    without.load_state_dict({name: t[:1] if name in last else t for name, t in net.state_dict().items()})
    torch.testing.assert_close(edited, SDEdit(without, DDPMScheduler(), 60, 50)(x, noise_like(x)))


def test_the_given_scheduler_is_left_as_it_was():
    scheduler = DDIMScheduler()
    scheduler.set_timesteps(7)
    before = scheduler.timesteps.clone()
    SDEdit(unet(), scheduler, 60, 50)(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    assert torch.equal(scheduler.timesteps, before)
    assert scheduler.num_inference_steps == 7


def test_a_saved_pipeline_is_loaded_frozen(tmp_path):
    net, scheduler = trained()
    DDPMPipeline(net.train(), scheduler).save_pretrained(tmp_path)
    loaded, schedule = load_diffusion(str(tmp_path))
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    assert schedule.config.num_train_timesteps == 1000


def test_a_folder_without_a_pipeline_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no diffusion model .* \(Error no file named model_index.json .*\); give"):
        load_diffusion(str(tmp_path))


def test_a_hub_that_cannot_be_reached_is_told_in_one_sentence(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"no diffusion model .* 'energy-at/none' \(.*\); give the folder") as error:
        load_diffusion("energy-at/none")
    assert "\n" not in str(error.value)


def test_a_pipeline_of_latents_is_refused(tmp_path):
    LDMPipeline(VQModel(), unet(), DDIMScheduler()).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="is a LDMPipeline; give one of a UNet and a scheduler alone"):
        load_diffusion(str(tmp_path))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SDEdit(nn.Identity(), DDPMScheduler(), 60, 50), "is a Identity; give a UNet2DModel without classes"),
        (lambda: SDEdit(unet(num_class_embeds=3), DDPMScheduler(), 60, 50), "give a UNet2DModel without classes"),
        (lambda: SDEdit(unet(), ScoreSdeVeScheduler(), 60, 50), "ScoreSdeVeScheduler has no schedule for DDIM"),
        (lambda: SDEdit(unet(), DDPMScheduler(), 60, 1001), "diffusion_steps is 1001, .* 1000 timesteps"),
        (
            lambda: SDEdit(unet(), DDPMScheduler(timestep_spacing="trailing"), 60, 10),
            "none of the 10 diffusion steps lies at or below t_star 60",
        ),
    ],
)
def test_unfit_models_and_steps_are_refused(build, message):
    with pytest.raises(InputError, match=message):
        build()


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 8, 8), (1, 8, 16)])
def test_images_of_another_size_are_refused(shape):
    x = torch.zeros(2, *shape)
    with pytest.raises(InputError, match=r"images are \[.*\], but the diffusion model takes \[1, 8, 8\]; give one"):
        SDEdit(unet(), DDPMScheduler(), 60, 50)(x, x)


def test_a_model_without_a_size_takes_any():
    x = torch.rand(2, 1, 16, 8)
    assert SDEdit(unet(sample_size=None), DDPMScheduler(), 60, 50)(x, noise_like(x)).shape == x.shape
    assert SDEdit(unet(sample_size=(16, 8)), DDPMScheduler(), 60, 50)(x, noise_like(x)).shape == x.shape


def test_without_the_library_the_extra_is_named(monkeypatch):
    net = unet()
    monkeypatch.setitem(sys.modules, "diffusers", None)
    for call in (lambda: load_diffusion("any"), lambda: SDEdit(net, DDPMScheduler(), 60, 50)):
        with pytest.raises(InputError, match=r"pip install 'energy-at\[diffusion\]'"):
            call()
    assert isinstance(net, UNet2DModel)
