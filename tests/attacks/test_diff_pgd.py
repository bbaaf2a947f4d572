import copy
import inspect
import pickle

import pytest
import torch
from diffusers import DDIMPipeline, DDPMPipeline, DDPMScheduler

from energy_at.attacks import DiffPGD, Targeted
from energy_at.attacks.sdedit import SDEdit
from energy_at.describe import describe
from energy_at.evaluation.robustness import evaluate
from energy_at.evaluation.store import settings
from energy_at.types import InputError
from tests.attacks import NORMS, assert_valid, distances
from tests.attacks.diffusion import classifier, digits, trained, unet
from tests.attacks.test_base import assert_same, state_of

EPS = 0.1


def batch(n=40):
    x, y = digits()
    return classifier(), x[:n], y[:n]


def attack_with(model, **options):
    return DiffPGD(model, **{"eps": EPS, "alpha": 0.02, "steps": 10, **options})


def accuracy(net, x, y):
    return (net(x).argmax(dim=1) == y).float().mean().item()


@pytest.mark.parametrize("norm", NORMS)
def test_a_weakly_trained_net_is_broken_within_the_ball(norm):
    net, x, y = batch(200)
    options = {"eps": EPS, "alpha": 0.02} if norm == "Linf" else {"eps": 0.8, "alpha": 0.2}
    x_adv = attack_with(trained(), norm=norm, **options)(net, x, y)
    assert_valid(x_adv, x, options["eps"], norm)
    assert accuracy(net, x_adv, y) < accuracy(net, x, y) - 0.2
    assert not x_adv.requires_grad


def test_the_steps_are_those_made_by_hand_on_the_net_behind_sdedit():
    (net, x, y), model = batch(6), trained()
    generator = torch.Generator().manual_seed(5)
    edit = SDEdit(*model, t_star=60, steps=50)
    expected = (x + torch.empty_like(x).uniform_(-EPS, EPS, generator=generator)).clamp(0, 1)
    for _ in range(3):
        expected = expected.detach().requires_grad_()
        noise = torch.empty_like(x).normal_(generator=generator)
        loss = torch.nn.functional.cross_entropy(net(edit(expected, noise)), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, expected)
        expected = torch.min(torch.max(expected + 0.02 * gradient.sign(), x - EPS), x + EPS).clamp(0, 1)
    torch.testing.assert_close(attack_with(model, steps=3, seed=5)(net, x, y), expected.detach(), atol=1e-6, rtol=0)


def test_purified_is_the_sdedit_of_the_result_and_leaves_the_ball():
    (net, x, y), model = batch(), trained()
    plain, pure = (attack_with(model, steps=2, purify=purify)(net, x, y) for purify in (False, True))
    generator = torch.Generator().manual_seed(0)
    torch.empty_like(x).uniform_(generator=generator)  # the start
    for _ in range(2):
        torch.empty_like(x).normal_(generator=generator)
    edited = SDEdit(*model, t_star=60, steps=50)(plain, torch.empty_like(x).normal_(generator=generator))
    torch.testing.assert_close(pure, edited.detach(), atol=1e-6, rtol=0)
    assert distances(pure, x, "Linf").max() > EPS
    assert pure.min() >= 0
    assert pure.max() <= 1


def test_checkpointing_changes_nothing():
    (net, x, y), model = batch(), trained()
    kept, recomputed = (attack_with(model, steps=3, checkpointing=c)(net, x, y) for c in (False, True))
    assert torch.equal(kept, recomputed)


@pytest.mark.parametrize("pipeline", [DDPMPipeline, DDIMPipeline])
def test_a_saved_pipeline_is_the_object(tmp_path, pipeline):
    (net, x, y), model = batch(), trained()
    pipeline(*model).save_pretrained(tmp_path)
    attack = attack_with(str(tmp_path), steps=3)
    assert attack._loaded == {}  # a config can be read without the library and the model
    assert torch.equal(attack(net, x, y), attack_with(model, steps=3)(net, x, y))
    assert attack.scaled(0.5)._loaded is attack._loaded


def test_the_seed_decides_and_copies_go_on_with_the_same_noise():
    (net, x, y), model = batch(), trained()
    attack = attack_with(model, steps=2)
    assert torch.equal(attack(net, x, y), attack_with(model, steps=2)(net, x, y))
    copies = copy.deepcopy(attack), pickle.loads(pickle.dumps(attack))
    expected = attack(net, x, y)
    assert all(torch.equal(twin(net, x, y), expected) for twin in copies)
    assert not torch.equal(expected, attack_with(model, steps=2, seed=1)(net, x, y))


def test_batches_are_attacked_one_after_the_other():
    (net, x, y), model = batch(10), trained()
    generator = torch.Generator().manual_seed(3)
    attack = attack_with(model, steps=2, batch_size=4)
    together = attack(net, x, y, start=x, generator=generator)
    generator.manual_seed(3)
    parts = [
        attack_with(model, steps=2)(net, *part, generator=generator)
        for part in zip(x.split(4), y.split(4), x.split(4), strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(parts), atol=1e-6, rtol=0)


@pytest.mark.parametrize("training", [True, False])
def test_net_and_diffusion_model_are_left_as_they_were(training):
    (net, x, y), (model, scheduler) = batch(6), trained()
    net, model = copy.deepcopy(net).train(training), model.train(training)
    model(x, 3).sample.sum().backward()
    before = state_of(net), state_of(model)
    with torch.inference_mode():
        attack_with((model, scheduler), steps=2)(net, x, y)
    assert_same(before[0], state_of(net))
    assert_same(before[1], state_of(model))


def test_dropout_of_the_diffusion_model_is_off():
    (net, x, y), (model, scheduler) = batch(6), trained()
    dropping = unet(dropout=0.5)
    dropping.load_state_dict(model.state_dict())
    expected = attack_with((model, scheduler), steps=2)(net, x, y)
    assert torch.equal(attack_with((dropping.train(), scheduler), steps=2)(net, x, y), expected)


def test_images_of_another_size_are_refused():
    with pytest.raises(InputError, match=r"images are \[3, 8, 8\], but the diffusion model takes \[1, 8, 8\]"):
        DiffPGD(trained())(classifier(), torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.long))


def test_it_can_be_aimed():
    (net, x, y), model = batch(100), trained()
    target = (y + 1) % 10
    x_adv = attack_with(model, targeted=True, eps=0.2, alpha=0.04)(net, x, target)
    before, after = (net(image).log_softmax(1)[range(100), target] for image in (x, x_adv))
    assert (after > before).float().mean() > 0.95
    aimed = Targeted(attack_with(model, targeted=True), "second")(net, x, y)
    assert accuracy(net, aimed, y) < accuracy(net, x, y)


def test_an_evaluation_keeps_the_results_of_each_diffusion_model_apart(tmp_path):
    (net, x, y), (model, scheduler) = batch(8), trained()
    DDPMPipeline(model, scheduler).save_pretrained(tmp_path / "model")
    attack = attack_with(str(tmp_path / "model"), steps=1)
    report = evaluate(net, [(x, y)], {"diff": attack}, store=tmp_path / "store")
    told = report.attacks[0].settings
    assert told["schedule"]["num_train_timesteps"] == 1000
    model.conv_out.weight.data += 1
    DDPMPipeline(model, scheduler).save_pretrained(tmp_path / "model")
    again = settings(attack_with(str(tmp_path / "model"), steps=1))
    assert {name for name in told if name != "class" and told[name] != again[name]} == {"unet"}
    assert settings(attack_with((model, scheduler))) != settings(attack_with((model, DDPMScheduler(clip_sample=False))))


def test_a_checkpoint_tells_the_arguments():
    attack = DiffPGD("folder/of/a/pipeline", eps="8/255")
    arguments = describe(attack)["init_args"]
    assert arguments.keys() == inspect.signature(DiffPGD).parameters.keys()
    assert (arguments["model"], arguments["eps"], arguments["alpha"]) == ("folder/of/a/pipeline", "8/255", "2/255")
    scaled = attack.scaled(0.5)
    assert (scaled.eps, scaled.alpha) == (4 / 255, 1 / 255)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"t_star": -1}, "t_star is -1, .*; write for example t_star: 60"),
        ({"diffusion_steps": 0}, "diffusion_steps is 0, but it counts from 1"),
        ({"batch_size": 0}, "batch_size is 0, but it counts from 1"),
        ({"eps": -1}, "eps is -1"),
        ({"loss": "kl", "targeted": True}, "loss 'kl' has no targeted form"),
    ],
)
def test_values_out_of_range_are_refused_with_the_remedy(options, message):
    with pytest.raises(InputError, match=message):
        DiffPGD("folder", **options)
