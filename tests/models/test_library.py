import pytest
import timm
import torch
from torchvision import models

from energy_at.models import TimmNet, TorchvisionNet, library
from energy_at.types import InputError

MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)


def normalised(x):
    return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def test_torchvision_net_normalises_then_calls_the_library():
    net = TorchvisionNet("shufflenet_v2_x0_5", 7, mean=MEAN, std=STD).eval()
    reference = models.shufflenet_v2_x0_5(num_classes=7).eval()
    reference.load_state_dict(net.net.state_dict())
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(net(x), reference(normalised(x)))


def test_timm_net_normalises_then_calls_the_library():
    net = TimmNet("test_resnet", 7, mean=MEAN, std=STD).eval()
    reference = timm.create_model("test_resnet", num_classes=7).eval()
    reference.load_state_dict(net.net.state_dict())
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(net(x), reference(normalised(x)))


def test_options_reach_the_library():
    with torch.device("meta"):
        vit = TorchvisionNet("vit_b_16", 5, options={"image_size": 32})
        grey = TimmNet("resnet18", 5, mean=(0.5,), std=(0.5,), options={"in_chans": 1})
        assert vit(torch.rand(2, 3, 32, 32)).shape == (2, 5)
        assert grey(torch.rand(2, 1, 32, 32)).shape == (2, 5)


@pytest.mark.filterwarnings("ignore:The default weight initialization:FutureWarning")
def test_auxiliary_heads_are_off_in_training():
    with torch.device("meta"):
        assert TorchvisionNet("googlenet", 5).train()(torch.rand(2, 3, 64, 64)).shape == (2, 5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TorchvisionNet("resnet_50"), "torchvision network 'resnet_50' is unknown; use for example resnet50"),
        (lambda: TorchvisionNet("fcn_resnet50"), "'fcn_resnet50' is unknown"),
        (lambda: TorchvisionNet(weights="IMAGENET"), "weights of resnet50 'IMAGENET' is unknown; .* IMAGENET1K_V"),
        (lambda: TorchvisionNet(weights="DEFAULT", num_classes=9), "num_classes is 9, but DEFAULT has 1000; give 1000"),
        (lambda: TorchvisionNet(num_classes=0), "num_classes is 0, but it counts from 1"),
        (lambda: TimmNet("resnet_18"), "timm network 'resnet_18' is unknown; use for example .*resnet18"),
        (lambda: TimmNet(num_classes=0), "num_classes is 0, but it counts from 1"),
        (lambda: TimmNet(options={"in_chans": 1}), "mean is .* length 3; give one value"),
    ],
)
def test_bad_arguments_are_named(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_libraries_are_imported_only_where_they_are_used():
    assert not {"timm", "torchvision", "models"} & set(vars(library))
