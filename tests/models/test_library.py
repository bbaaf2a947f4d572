from urllib.error import URLError

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


@pytest.mark.filterwarnings("ignore:The default weight initialization:FutureWarning")
@pytest.mark.parametrize(("name", "layers"), [("resnet18", 62), ("googlenet", 173)])
def test_pretrained_weights_get_a_new_last_layer_for_other_classes(name, layers, monkeypatch):
    torch.manual_seed(1)
    options = {"aux_logits": True} if name == "googlenet" else {}
    theirs = models.get_model(name, **options).state_dict()
    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", lambda self, **_: theirs)
    net = TorchvisionNet(name, 7, weights="DEFAULT")
    *below, weight, bias = net.net.named_parameters()
    assert len(below) + 2 == layers
    assert all(torch.equal(parameter, theirs[key]) for key, parameter in below)
    assert (weight[1].shape[0], bias[1].shape[0]) == (7, 7)
    x = torch.rand(2, 3, 64, 64)
    again = TorchvisionNet(name, 7)  # as a checkpoint's description makes it, without a download
    again.load_state_dict(net.state_dict())
    assert torch.equal(net.eval()(x), again.eval()(x))
    assert net.train()(x).shape == (2, 7)


@pytest.mark.filterwarnings("ignore:The default weight initialization:FutureWarning")
def test_pretrained_weights_with_their_own_classes_are_the_librarys(monkeypatch):
    theirs = models.get_model("resnet18").state_dict()
    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", lambda self, **_: theirs)
    x = torch.rand(2, 3, 64, 64)
    ours, library = TorchvisionNet("resnet18", 1000, "DEFAULT", mean=MEAN, std=STD), models.resnet18(weights="DEFAULT")
    assert torch.equal(ours.eval()(x), library.eval()(normalised(x)))


@pytest.mark.parametrize(
    ("make", "library", "words"),
    [
        (lambda: TorchvisionNet("resnet18", weights="DEFAULT"), "torch.hub.download_url_to_file", "DEFAULT of torchv"),
        (
            lambda: TimmNet("resnet18", pretrained=True),
            "timm.models._builder.load_state_dict_from_hf",
            "the weights of",
        ),
    ],
)
def test_weights_that_cannot_be_downloaded_are_named_with_the_remedy(make, library, words, monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise URLError("no route")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(library, offline)
    with pytest.raises(InputError, match=f"{words}.* cannot be downloaded .*no route.*; make the net once where there"):
        make()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TorchvisionNet("resnet_50"), "torchvision network 'resnet_50' is unknown; use for example resnet50"),
        (lambda: TorchvisionNet("fcn_resnet50"), "'fcn_resnet50' is unknown"),
        (lambda: TorchvisionNet(weights="IMAGENET"), "weights of resnet50 'IMAGENET' is unknown; .* IMAGENET1K_V"),
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
