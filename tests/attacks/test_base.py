import copy
import pickle

import pytest
import torch
from torch import nn

from energy_at.attacks import FGSM, PGD, RSFGSM, Attack, Transfer
from energy_at.describe import init_parameters
from energy_at.net_state import in_mode, statistics_kept
from energy_at.types import InputError, Ratio
from tests.attacks import VARIANTS, assert_valid, images, labels, mlp, noisy_net, random_linear


@pytest.fixture(params=VARIANTS)
def attack(request):
    """Every attack, in every norm and with every loss."""
    return VARIANTS[request.param]()


def small_batch(dtype=torch.float32):
    return images(5, 1, 4, 4, dtype=dtype), labels(5, 3)


def state_of(net):
    """All that an attack could disturb, copied."""
    return {
        "modes": [layer.training for layer in net.modules()],
        "tracking": [getattr(layer, "track_running_stats", None) for layer in net.modules()],
        "flags": [p.requires_grad for p in net.parameters()],
        "grads": [None if p.grad is None else p.grad.clone() for p in net.parameters()],
        "tensors": {name: tensor.clone() for name, tensor in net.state_dict().items()},
        "random": torch.get_rng_state(),
    }


def assert_same(before, after):
    for key in ("modes", "tracking", "flags"):
        assert before[key] == after[key]
    for one, other in zip(before["grads"], after["grads"], strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)
    assert before["tensors"].keys() == after["tensors"].keys()
    for name, tensor in before["tensors"].items():
        assert torch.equal(tensor, after["tensors"][name]), name
    assert torch.equal(before["random"], after["random"])


def used_net():
    """A net in training mode with one layer frozen in evaluation mode, and with statistics, flags and gradients."""
    torch.manual_seed(0)
    net = noisy_net()
    net(torch.rand(8, 1, 4, 4)).square().sum().backward()
    net[0].weight.requires_grad_(False)
    net[6].bias.grad = None
    net[7].eval()
    return net


@pytest.mark.parametrize("training", [True, False])
def test_the_net_and_the_global_random_state_are_left_as_they_were(attack, training):
    net = used_net()
    if not training:
        net.eval()
    before = state_of(net)
    attack(net, *small_batch())
    assert_same(before, state_of(net))


class Failing(nn.Module):
    """Passes images on, until it has been called too often."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def forward(self, x):
        self.calls -= 1
        if self.calls < 0:
            raise RuntimeError("the net broke")
        return x + torch.zeros_like(x).normal_(std=0.01)


@pytest.mark.parametrize("calls", [0, 1, 2])
def test_everything_is_left_as_it_was_when_the_net_raises(calls):
    net = nn.Sequential(used_net(), Failing(calls))
    net[0][7].eval()
    before = state_of(net)
    with torch.no_grad(), pytest.raises(RuntimeError, match="the net broke"):
        PGD(loss="kl", restarts=2, steps=1)(net, *small_batch())
    assert_same(before, state_of(net))
    assert torch.is_grad_enabled()


def test_the_result_is_a_new_detached_tensor_like_the_images_and_the_inputs_are_unchanged(attack):
    for dtype in (torch.float32, torch.float64):
        net, (x, y) = mlp(16, 3, dtype=dtype), small_batch(dtype)
        x_before, y_before = x.clone(), y.clone()
        x_adv = attack(net, x, y)
        assert not x_adv.requires_grad
        assert x_adv.is_leaf
        assert (x_adv.shape, x_adv.dtype, x_adv.device) == (x.shape, x.dtype, x.device)
        assert x_adv.data_ptr() != x.data_ptr()
        assert torch.equal(x, x_before)
        assert torch.equal(y, y_before)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda net, x, y: (lambda images: net(images), x, y), "the net is a function; wrap it in a torch.nn.Module"),
        (lambda net, x, y: (net, x.numpy(), y), r"images are a ndarray; give floating point \[N, C, H, W\]"),
        (lambda net, x, y: (net, x[0], y[:1]), r"images are float32 \[1, 4, 4\]; give floating point"),
        (lambda net, x, y: (net, (255 * x).byte(), y), r"images are uint8 \[5, 1, 4, 4\]; give floating point"),
        (lambda net, x, y: (net, x, y.numpy()), r"labels are a ndarray; give int64 \[5\]"),
        (lambda net, x, y: (net, x, y.int()), r"labels are int32 \[5\]; give int64 \[5\]"),
        (lambda net, x, y: (net, x, nn.functional.one_hot(y)), r"labels are int64 \[5, \d\]; give int64 \[5\]"),
        (lambda net, x, y: (net, x, y[:3]), r"labels are int64 \[3\]; give int64 \[5\]"),
    ],
)
def test_what_are_no_images_labels_and_net_is_refused_in_every_call(attack, changed, message):
    given = mlp(16, 3, dtype=torch.float32), *small_batch()
    attack(*given)
    with pytest.raises(InputError, match=message):
        attack(*changed(*given))


def test_an_attack_shows_itself_as_the_call_that_makes_it(attack):
    again = eval(repr(attack), {type(attack).__name__: type(attack)})
    assert type(again) is type(attack)
    for name in init_parameters(type(attack)):
        assert getattr(again, name) == getattr(attack, name), name


def test_what_is_shown_is_as_it_was_written_and_of_a_net_its_name():
    assert repr(FGSM(eps="8/255")).startswith("FGSM(eps=8/255, ")
    assert "norm='L2'" in repr(FGSM(norm="L2"))
    wrapped = Transfer(FGSM(eps=0.1), noisy_net())
    assert repr(wrapped) == f"Transfer(attack={wrapped.attack!r}, source=Sequential(...))"


def test_a_start_is_left_unchanged_and_takes_the_images_dtype():
    net, (x, y) = mlp(16, 3, dtype=torch.float32), small_batch()
    start = (x.double() + 0.01).requires_grad_()
    before = start.detach().clone()
    x_adv = PGD(steps=2)(net, x, y, start=start)
    assert x_adv.dtype == torch.float32
    assert torch.equal(start, before)
    assert torch.equal(x_adv, PGD(steps=2)(net, x, y, start=before.float()))


def test_images_in_a_graph_get_no_gradient():
    net, (x, y) = mlp(16, 3, dtype=torch.float32), small_batch()
    x.requires_grad_()
    assert not PGD(steps=2)(net, 2 * x / 2, y).requires_grad
    assert x.grad is None


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_works_without_gradients_on_inputs_made_there(attack, context):
    net, (x, y) = mlp(16, 3, dtype=torch.float32), small_batch()
    twin = copy.deepcopy(attack)
    with context():
        x_there, y_there, start = x.clone(), y.clone(), (x + 0.01).clamp(0, 1)
        inside = attack(net, x_there, y_there)
        inside_started = attack(net, x_there, y_there, start=start)
    assert torch.equal(inside, twin(net, x, y))
    assert torch.equal(inside_started, twin(net, x, y, start=(x + 0.01).clamp(0, 1)))
    assert not inside.is_inference()


def test_under_bfloat16_autocast_the_perturbation_stays_in_full_precision(attack):
    net, (x, y) = mlp(16, 3, dtype=torch.float32), small_batch()
    seen = []
    net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        x_adv = attack(net, x, y)
    assert set(seen) == {torch.float32}
    assert x_adv.dtype == torch.float32
    assert not torch.equal(x_adv, x_adv.bfloat16().float())


def weight_gradients(attack, warm_up):
    """Gradients of a training step that has, or has not, attacked inside the same autocast context."""
    torch.manual_seed(1)
    net, (x, y) = noisy_net(), small_batch()
    with torch.autocast("cpu", torch.bfloat16):
        if warm_up:
            with torch.no_grad(), statistics_kept(net), torch.random.fork_rng():
                net(x)
        if attack:
            attack(net, x, y)
        loss = nn.functional.cross_entropy(net(x).float(), y)
    loss.backward()
    return [p.grad for p in net.parameters()]


@pytest.mark.parametrize("warm_up", [False, True])
def test_an_attack_inside_autocast_does_not_change_the_weights_gradients(attack, warm_up):
    plain, attacked = weight_gradients(None, False), weight_gradients(attack, warm_up)
    assert all(gradient is not None for gradient in attacked)
    assert all(torch.equal(one, other) for one, other in zip(plain, attacked, strict=True))
    assert plain[0].any()


@pytest.mark.parametrize("loss", ["cross_entropy", "kl"])
def test_attacks_under_autocast_after_a_natural_pass_in_inference_mode(loss):
    net, (x, y) = mlp(16, 3, dtype=torch.float32), small_batch()
    with torch.autocast("cpu", torch.bfloat16):
        expected = PGD(loss=loss)(net, x, y)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        net(x)
        assert torch.equal(PGD(loss=loss)(net, x, y), expected)


@pytest.mark.parametrize("attack", [RSFGSM(), PGD(), PGD(norm="L2", start="gaussian", loss="kl")])
def test_the_same_seed_gives_the_same_result_and_calls_in_succession_differ(attack):
    net, (x, y) = mlp(16, 3), small_batch(torch.float64)
    twin = copy.deepcopy(attack)
    first, second = attack(net, x, y), attack(net, x, y)
    assert torch.equal(first, twin(net, x, y))
    assert torch.equal(second, twin(net, x, y))
    assert not torch.equal(first, second)


def test_different_seeds_give_different_noise():
    x, _ = small_batch()
    assert not torch.equal(RSFGSM(seed=0).draw_start(x), RSFGSM(seed=1).draw_start(x))
    assert torch.equal(RSFGSM(seed=1).draw_start(x), RSFGSM(seed=1).draw_start(x))


def test_the_global_seed_has_no_influence():
    net, (x, y) = mlp(16, 3), small_batch(torch.float64)
    torch.manual_seed(1)
    first = PGD()(net, x, y)
    torch.manual_seed(2)
    assert torch.equal(first, PGD()(net, x, y))


def test_a_given_generator_is_used_in_place_of_the_attacks_own():
    net, (x, y) = mlp(16, 3), small_batch(torch.float64)
    attack = PGD(seed=5)
    given = [attack(net, x, y, generator=torch.Generator().manual_seed(seed)) for seed in (7, 7, 8)]
    assert torch.equal(given[0], given[1])
    assert not torch.equal(given[0], given[2])
    assert torch.equal(given[0], PGD(seed=6)(net, x, y, generator=torch.Generator().manual_seed(7)))
    assert torch.equal(attack(net, x, y), PGD(seed=5)(net, x, y))  # its own noise was not spent


def test_copies_and_pickles_continue_with_the_same_noise(attack):
    net, (x, y) = mlp(16, 3), small_batch(torch.float64)
    attack(net, x, y)
    copies = copy.deepcopy(attack), pickle.loads(pickle.dumps(attack))
    expected = attack(net, x, y)
    assert all(torch.equal(twin(net, x, y), expected) for twin in copies)


def test_scaling_multiplies_all_lengths_and_leaves_the_original(attack):
    scaled = attack.scaled(0.25)
    assert type(scaled) is type(attack)
    assert (scaled.eps, scaled.alpha) == (0.25 * attack.eps, 0.25 * attack.alpha)
    assert attack.eps == 0.1
    net, (x, y) = mlp(16, 3), small_batch(torch.float64)
    arguments = {name: getattr(attack, name) for name in init_parameters(type(attack))}
    built = type(attack)(**{**arguments, "eps": 0.025, "alpha": 0.25 * attack.alpha})
    torch.testing.assert_close(scaled(net, x, y), built(net, x, y), atol=1e-12, rtol=0)


def test_scaling_by_zero_gives_back_the_images(attack):
    net, (x, y) = mlp(16, 3), small_batch(torch.float64)
    assert torch.equal(attack.scaled(0.0)(net, x, y), x)


def test_a_scaled_attack_draws_from_the_same_source_of_noise():
    x, _ = small_batch(torch.float64)
    x = 0.5 + 0 * x
    attack, twin = RSFGSM(eps=0.1), RSFGSM(eps=0.1)
    noise = [attack.scaled(0.5).draw_start(x) - x, attack.scaled(0.5).draw_start(x) - x]
    expected = [twin.draw_start(x) - x, twin.draw_start(x) - x]
    torch.testing.assert_close([2 * n for n in noise], expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("eps", "named"), [(-0.1, "-0.1"), ("-8/255", "-8/255"), (float("nan"), "nan"), (float("inf"), "inf")]
)
def test_a_radius_that_is_negative_or_not_finite_is_refused_with_the_remedy(eps, named):
    for attack in (FGSM, RSFGSM, PGD):
        with pytest.raises(InputError, match=f"eps is {named}, but .*; write for example eps: 8/255"):
            attack(eps=eps)


def test_a_radius_in_grey_levels_is_refused_in_linf_alone():
    for attack in (FGSM, RSFGSM, PGD):
        with pytest.raises(InputError, match=r"eps is 8 in Linf, but images lie in .0, 1.; .* eps: 8/255"):
            attack(eps="8")
        assert attack(eps=1).eps == 1
    assert PGD(eps=8, norm="L2").eps == 8


def test_an_unknown_norm_is_refused_with_the_remedy():
    with pytest.raises(InputError, match="norm 'L1' is unknown; use Linf or L2"):
        PGD(norm="L1")


def test_eps_prints_as_it_was_written():
    assert str(PGD(eps="4/255").eps) == "4/255"
    assert str(PGD(eps=Ratio("4/255")).eps) == str(FGSM(eps="4/255").alpha) == "4/255"


def test_a_new_attack_needs_only_its_perturbation():
    class Brighter(Attack):
        def perturb(self, net, x, y, start, generator):
            assert torch.is_grad_enabled()
            return self.threat.project(x + 1, x, self.eps)

    x, y = small_batch()
    with torch.inference_mode():
        x_adv = Brighter(eps=0.1)(nn.Identity(), x, y)
    torch.testing.assert_close(x_adv, (x + 0.1).clamp(max=1))


def test_a_mode_holds_inside_and_every_layer_returns_to_its_own():
    net = used_net()
    modes = [layer.training for layer in net.modules()]
    with in_mode(net, training=False):
        assert not any(layer.training for layer in net.modules())
    assert [layer.training for layer in net.modules()] == modes
    with pytest.raises(RuntimeError, match="conv2d"), in_mode(net, training=True):
        net(torch.rand(3))
    assert [layer.training for layer in net.modules()] == modes
    assert len(set(modes)) == 2


@pytest.mark.parametrize(
    "layer",
    [
        nn.BatchNorm2d(3),
        nn.BatchNorm2d(3, momentum=None),
        nn.InstanceNorm2d(3, track_running_stats=True),
        nn.InstanceNorm2d(3),
    ],
)
def test_kept_statistics_change_no_output_of_the_training_mode(layer):
    x = torch.rand(4, 3, 5, 5)
    expected = copy.deepcopy(layer)(x)
    before = {name: buffer.clone() for name, buffer in layer.named_buffers()}
    with statistics_kept(layer):
        torch.testing.assert_close(layer(x), expected)
    assert before.keys() == dict(layer.named_buffers()).keys()
    assert all(torch.equal(buffer, before[name]) for name, buffer in layer.named_buffers())
    layer(x)
    assert all(not torch.equal(layer.get_buffer(name), before[name]) for name in before if "running" in name)


def test_kept_statistics_leave_evaluation_mode_alone():
    layer, x = nn.BatchNorm2d(3), torch.rand(4, 3, 5, 5)
    layer(x)
    layer.eval()
    expected = layer(x)
    with statistics_kept(layer):
        assert torch.equal(layer(x), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_nets_and_images_give_valid_half_precision_images(attack, dtype):
    net, (x, y) = random_linear(16, 3, dtype=dtype), small_batch(dtype)
    x_adv = attack(net, x, y)
    assert x_adv.dtype == dtype
    assert_valid(x_adv, x, 0.3 if "NFGSM" in type(attack).__name__ else 0.1, attack.norm)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_cuda_device_result_and_random_state_stay_there(attack):
    net = used_net().cuda()
    x, y = (t.cuda() for t in small_batch())
    before, cuda_before = state_of(net), torch.cuda.get_rng_state()
    assert attack(net, x, y).device == x.device
    assert_same(before, state_of(net))
    assert torch.equal(cuda_before, torch.cuda.get_rng_state())
