"""What holds of every network: published sizes, arguments kept as plain values, formats, precisions, compilation."""

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import nn

from energy_at.describe import init_parameters
from energy_at.models import (
    DMPreActResNet,
    DMWideResNet,
    PreActResNet,
    ResNet,
    SmallNet,
    TimmNet,
    TorchvisionNet,
    WideResNet,
)

MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
SMALL = {
    PreActResNet: {
        "num_classes": 5,
        "width": 4,
        "blocks": (1, 2),
        "in_channels": 3,
        "shortcut": "input",
        "final_norm": False,
    },
    ResNet: {"num_classes": 5, "width": 4, "blocks": (1, 2), "in_channels": 3, "bottleneck": True},
    DMPreActResNet: {"num_classes": 5, "blocks": (1, 2), "width": 4, "activation": "silu", "in_channels": 3},
    DMWideResNet: {"num_classes": 5, "depth": 10, "width": 2, "activation": "relu", "in_channels": 3},
    WideResNet: {
        "num_classes": 5,
        "depth": 10,
        "widen_factor": 2,
        "activation": "silu",
        "dropout": 0.1,
        "in_channels": 3,
        "bias": False,
    },
    SmallNet: {
        "num_classes": 5,
        "width": 4,
        "blocks": (1, 1, 1),
        "in_channels": 3,
        "shortcut": "activation",
        "final_norm": True,
    },
    TorchvisionNet: {"name": "squeezenet1_1", "num_classes": 5, "weights": None, "options": {"dropout": 0.2}},
    TimmNet: {"name": "test_resnet", "num_classes": 5, "pretrained": False, "options": {"drop_rate": 0.2}},
}
OWN = [PreActResNet, ResNet, DMPreActResNet, DMWideResNet, WideResNet, SmallNet]


def build(cls):
    torch.manual_seed(0)
    return cls(**SMALL[cls], mean=MEAN, std=STD)


@pytest.mark.parametrize(
    ("build_net", "parameters"),
    [
        (PreActResNet, 11_172_170),
        (ResNet, 11_173_962),
        (WideResNet, 36_479_194),
        (lambda: WideResNet(depth=34), 46_160_474),
    ],
)
def test_full_size_has_the_published_number_of_parameters(build_net, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in build_net().parameters()) == parameters


@pytest.mark.parametrize("cls", SMALL)
def test_arguments_are_kept_under_their_names(cls):
    arguments = {**SMALL[cls], "mean": MEAN, "std": STD}
    assert set(init_parameters(cls)) == set(arguments)
    net = build(cls)
    assert {name: getattr(net, name) for name in arguments} == arguments


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the method's new name came after our oldest jsonargparse
@pytest.mark.parametrize("cls", SMALL)
def test_built_from_a_configuration(cls):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--net", type=nn.Module)
    arguments = {k: list(v) if isinstance(v, tuple) else v for k, v in {**SMALL[cls], "mean": MEAN, "std": STD}.items()}
    config = parser.parse_object({"net": {"class_path": f"energy_at.models.{cls.__name__}", "init_args": arguments}})
    net = parser.instantiate_classes(config).net
    assert isinstance(net, cls)
    assert net.mean == MEAN


@pytest.mark.parametrize("cls", OWN)
def test_memory_format_is_kept_and_makes_no_difference(cls):
    net, x = build(cls).double().eval(), torch.rand(2, 3, 8, 8).double()
    expected = net(x)
    formats = []
    for conv in (m for m in net.modules() if isinstance(m, nn.Conv2d)):
        conv.register_forward_hook(lambda _, __, y: formats.append(y.is_contiguous(memory_format=torch.channels_last)))
    actual = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)
    assert formats
    assert all(formats)


@pytest.mark.parametrize("cls", OWN)
def test_input_gradient_is_that_of_finite_differences(cls):
    net = build(cls).double().eval()
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(2)).double().requires_grad_()
    assert torch.autograd.gradcheck(net, x, eps=1e-7, atol=1e-5, fast_mode=True)


@pytest.mark.parametrize("cls", OWN)
def test_the_graph_has_no_break(cls):
    net, x = build(cls).eval(), torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(torch.compile(net, backend="eager", fullgraph=True)(x), net(x))
    torch.compiler.reset()


@pytest.mark.parametrize("cls", OWN)
def test_autocast_computes_near_float32(cls):
    net, x = build(cls).eval(), torch.rand(4, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(x)
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), net(x), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("cls", OWN)
def test_an_exported_net_takes_batches_of_any_size_and_computes_the_same(cls):
    net = build(cls).eval()
    images = torch.rand(7, 3, 16, 16)
    program = torch.export.export(net, (images[:2],), dynamic_shapes=({0: torch.export.Dim("images")},))
    for x in (images, images[:1]):
        torch.testing.assert_close(program.module()(x), net(x), rtol=1e-5, atol=1e-6)
