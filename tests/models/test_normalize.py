import pytest
import torch
from torchvision.transforms import functional

from energy_at.models import Normalize
from energy_at.types import InputError

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.262)


def test_equals_torchvision():
    x = torch.rand(2, 3, 5, 4)
    torch.testing.assert_close(Normalize(MEAN, STD)(x), functional.normalize(x, MEAN, STD))


def test_one_value_serves_all_channels():
    x = torch.rand(2, 3, 4, 4)
    layer = Normalize((0.5,), STD)
    assert layer.mean.shape == layer.std.shape == (1, 3, 1, 1)
    torch.testing.assert_close(layer(x), functional.normalize(x, [0.5] * 3, STD))


def test_buffers_follow_dtype_and_state():
    layer = Normalize((0, 0, 0), (1, 1, 1))
    assert layer.mean.dtype == torch.float32
    layer.load_state_dict(Normalize(MEAN, STD).state_dict())
    torch.testing.assert_close(layer.mean.flatten(), torch.tensor(MEAN))
    assert set(layer.state_dict()) == {"mean", "std"}
    assert layer.double()(torch.rand(1, 3, 2, 2).double()).dtype == torch.float64


def test_autocast_keeps_float32():
    x = torch.rand(2, 3, 4, 4)
    layer = Normalize(MEAN, STD)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.float32
    assert torch.equal(y, layer(x))


@pytest.mark.parametrize(
    ("mean", "std", "channels", "message"),
    [
        ((0.5,), (0.0,), 1, r"std is \(0.0,\), but must be positive"),
        ((0.5,), (0.2, -0.1, 0.2), 3, r"std is \(0.2, -0.1, 0.2\)"),
        ((0.5,), (float("nan"),), 3, "std is .*nan.* positive"),
        ((0.5, 0.5), (0.2,), 3, "mean is .* length 2; give one value, or one for each of the 3 channels"),
        ((0.5, 0.5), (0.2, 0.2, 0.2), None, "mean is .* length 2"),
        ((0.5,), (0.2,) * 3, 1, "std is .* length 3; give one value"),
    ],
)
def test_bad_values_are_named(mean, std, channels, message):
    with pytest.raises(InputError, match=message):
        Normalize(mean, std, channels)


def test_grey_images_are_not_broadcast_to_colour():
    with pytest.raises(InputError, match="images have 1 channels, but the net takes 3; set in_channels"):
        Normalize(MEAN, STD)(torch.rand(2, 1, 4, 4))
