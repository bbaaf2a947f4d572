"""Networks that take images in [0, 1] and normalise them inside."""

from energy_at.models.classifier import Classifier
from energy_at.models.deepmind import DMPreActResNet, DMWideResNet
from energy_at.models.library import TimmNet, TorchvisionNet
from energy_at.models.normalize import Normalize
from energy_at.models.resnet import PreActResNet, ResidualNet, ResNet, SmallNet
from energy_at.models.wide_resnet import WideResNet

__all__ = [
    "Classifier",
    "DMPreActResNet",
    "DMWideResNet",
    "Normalize",
    "PreActResNet",
    "ResNet",
    "ResidualNet",
    "SmallNet",
    "TimmNet",
    "TorchvisionNet",
    "WideResNet",
]
