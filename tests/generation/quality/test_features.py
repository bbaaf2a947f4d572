import pytest
import torch
from torch import nn
from torchvision.models import resnet18, vgg11

from energy_at.generation.quality.features import Features, Penultimate, Plain, extract, feature_net, kept_features
from energy_at.models import SmallNet, TimmNet
from energy_at.types import InputError
from tests.generation import ConvNet, digits

X, Y = digits()
BYTES = (X * 255).round().byte()
CPU = torch.device("cpu")


def batches(size):
    return zip(BYTES[:100].split(size), Y[:100].split(size), strict=True)


def test_features_of_our_nets_are_what_their_last_layer_receives():
    net = SmallNet(width=4).eval()
    with torch.no_grad():
        vectors, logits = Penultimate(net)(X[:9])
        assert torch.equal(vectors, net.features(net.normalize(X[:9])).mean((2, 3)))
        assert torch.equal(logits, net(X[:9]))


@pytest.mark.parametrize("build", [resnet18, vgg11, lambda **_: TimmNet("resnet18", 10)], ids=["resnet", "vgg", "timm"])
def test_other_libraries_classifiers_have_them_too(build):
    net = build(num_classes=10).eval()
    last = [layer for layer in net.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        vectors, logits = Penultimate(net)(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
        torch.testing.assert_close(last(vectors), logits)


def test_no_hook_is_left_behind():
    net = ConvNet().eval()
    Penultimate(net)(X[:3])
    assert not any(layer._forward_pre_hooks for layer in net.modules())


def test_nets_that_end_otherwise_are_refused():
    with pytest.raises(InputError, match="Conv2d has no linear layer; give a net that returns features"):
        Penultimate(nn.Conv2d(1, 4, 3))
    with pytest.raises(InputError, match="does not end in its last linear layer"):
        Penultimate(nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Unflatten(1, (2, 5))))(X[:3])


def test_a_net_without_classes_gives_its_output():
    net = nn.Conv2d(1, 2, 8)
    assert isinstance(feature_net(net), Plain)
    assert isinstance(feature_net(SmallNet(width=4)), Penultimate)
    vectors, logits = feature_net(net)(X[:5])
    assert torch.equal(vectors, net(X[:5]).flatten(1))
    assert logits.shape == (5, 0)


@pytest.mark.parametrize("size", [100, 33])
def test_extraction_is_in_evaluation_mode_and_in_order(size):
    net = ConvNet().train()
    found = extract(Penultimate(net), batches(size), CPU)
    assert net.training
    expected = Penultimate(net.eval())(BYTES[:100].float() / 255)
    torch.testing.assert_close(found.vectors, expected[0].detach())
    torch.testing.assert_close(found.logits, expected[1].detach())
    assert torch.equal(found.labels, Y[:100])
    assert not found.vectors.requires_grad


def test_features_are_computed_once_and_then_read(tmp_path):
    features, calls = Features(torch.rand(3, 2), torch.rand(3, 4), torch.arange(3)), []

    def compute():
        calls.append(1)
        return features

    path = tmp_path / "cache" / "features.npz"
    for _ in range(2):
        assert all(torch.equal(a, b) for a, b in zip(kept_features(path, compute), features, strict=True))
    assert len(calls) == 1
    path.write_bytes(path.read_bytes()[:40])
    kept_features(path, compute)
    assert len(calls) == 2
    assert [file.name for file in path.parent.iterdir()] == ["features.npz"]
