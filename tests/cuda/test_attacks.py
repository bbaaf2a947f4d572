from functools import partial

import pytest
import torch

from energy_at.attacks import FGSM, NFGSM, PGD, RSFGSM, AutoAttack, CarliniWagner, Corruption, Targeted
from energy_at.attacks.cuda_graph import CudaGraphs
from energy_at.net_state import in_mode
from tests.attacks import VARIANTS, assert_valid
from tests.cuda.nets import EPS, digits, on, residual_net, small_net, start_near

STARTED = {name: build for name, build in VARIANTS.items() if "restarts" not in name}
OTHERS = {
    "Targeted": partial(Targeted, PGD(eps=EPS, steps=3, targeted=True)),
    "CarliniWagner": partial(CarliniWagner, steps=5, binary_search_steps=2),
    "AutoAttack": partial(
        AutoAttack, eps=EPS, version="custom", attacks=["apgd-ce", "square"], iterations=3, queries=5
    ),
}


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", STARTED)
def test_an_attack_finds_what_it_finds_on_the_cpu(name, training, device):
    net, (x, y), attack = small_net().train(training), digits(), STARTED[name]()
    start = start_near(x)
    moved = attack(*on(device, net, x, y, start))
    torch.testing.assert_close(moved.cpu(), attack(net, x, y, start), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", VARIANTS | OTHERS)
def test_noise_is_drawn_on_the_device_and_is_the_same_each_time(name, device):
    net, x, y = on(device, small_net().eval(), *digits())
    first, second = ((VARIANTS | OTHERS)[name]()(net, x, y) for _ in range(2))
    assert first.device == device
    assert torch.equal(first, second)
    if name not in OTHERS:
        attack = VARIANTS[name]()
        assert_valid(first, x, 3 * EPS if "NFGSM" in name else EPS, attack.norm)


def test_the_carlini_wagner_attack_finds_what_it_finds_on_the_cpu(device):
    net, (x, y), attack = small_net().eval(), digits(), CarliniWagner(steps=5, binary_search_steps=2)
    torch.testing.assert_close(attack(*on(device, net, x, y)).cpu(), attack(net, x, y), rtol=0, atol=1e-4)


@pytest.mark.parametrize("half", [True, False], ids=["bf16", "fp32"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(
    "kind", [FGSM, RSFGSM, NFGSM, PGD, partial(PGD, loss="kl", start="gaussian"), partial(FGSM, start="ternary")]
)
def test_a_graph_gives_the_attacks_own_images_after_every_update(kind, training, half, gpu):
    net, attack, graphs = on(gpu, residual_net()), kind(eps=EPS), CudaGraphs()
    source = torch.Generator(gpu).manual_seed(0)
    for step in range(4):
        x, y = torch.rand(16, 3, 32, 32, device=gpu), torch.randint(10, (16,), device=gpu)
        before = {name: value.clone() for name, value in net.state_dict().items()}
        with in_mode(net, training), torch.autocast("cuda", torch.bfloat16, enabled=half):
            eager = attack(net, x, y, None, source.manual_seed(step))
            assert torch.equal(graphs(attack, net, x, y, None, source.manual_seed(step)), eager)
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(1.1)  # as an update does it, in place
    assert len(graphs.recordings.graphs) == 1


def test_odd_shapes_run_eagerly_once_the_graphs_are_recorded(gpu):
    net, attack, graphs = on(gpu, small_net().eval()), PGD(eps=EPS), CudaGraphs(most=2)
    for count in (32, 7, 5, 32, 5):
        x, y = on(gpu, *digits(count))
        generators = [torch.Generator(gpu).manual_seed(3) for _ in range(2)]
        assert torch.equal(graphs(attack, net, x, y, None, generators[0]), attack(net, x, y, None, generators[1]))
    assert len(graphs.recordings.graphs) == 2


def test_labels_and_shares_of_classes_have_a_graph_each(gpu):
    net, attack, graphs = on(gpu, small_net().eval()), PGD(eps=EPS), CudaGraphs()
    x, y = on(gpu, *digits())
    shares = torch.rand(len(y), 10, device=gpu).softmax(dim=1)
    generators = [torch.Generator(gpu).manual_seed(0) for _ in range(2)]
    for labels in (y, shares, y, shares.roll(1, 0)):
        found = graphs(attack, net, x, labels, None, generators[0])
        assert torch.equal(found, attack(net, x, labels, None, generators[1]))
    assert len(graphs.recordings.graphs) == 2


def test_a_corruption_is_the_same_on_every_device(device):
    attack, made = Corruption("snow", 5), []
    for place in ("cpu", device):
        generator, (x, y) = torch.Generator(place).manual_seed(3), on(place, *digits())
        with pytest.warns(UserWarning, match="published for images of 32x32"):
            made.append(attack(torch.nn.Identity(), x, y, generator=generator))
    assert made[1].device == device
    assert torch.equal(made[0], made[1].cpu())
