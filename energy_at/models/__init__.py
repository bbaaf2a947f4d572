"""Networks that take images in [0, 1] and normalise them inside."""

from energy_at.models.deepmind import DMPreActResNet, DMWideResNet
from energy_at.models.library import TimmNet, TorchvisionNet
from energy_at.models.normalize import Normalize
from energy_at.models.resnet import PreActResNet, ResNet, SmallNet
from energy_at.models.wide_resnet import WideResNet

__all__ = [
    "DMPreActResNet",
    "DMWideResNet",
    "Normalize",
    "PreActResNet",
    "ResNet",
    "SmallNet",
    "TimmNet",
    "TorchvisionNet",
    "WideResNet",
]
