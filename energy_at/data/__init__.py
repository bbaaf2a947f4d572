"""Data modules: images in [0, 1] in batches ``(x, y)``, reproducible from (seed, epoch, step) on any device."""

from energy_at.data.augment import crop_flip
from energy_at.data.base import ImageData
from energy_at.data.cifar10 import CIFAR10
from energy_at.data.cifar100 import CIFAR100
from energy_at.data.corrupted import Corrupted
from energy_at.data.digits import Digits
from energy_at.data.fashion_mnist import FashionMNIST
from energy_at.data.image_folder import ImageFolder
from energy_at.data.imagenet import ImageNet
from energy_at.data.memory import InMemoryData
from energy_at.data.svhn import SVHN
from energy_at.data.tiny_imagenet import TinyImageNet

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "SVHN",
    "Corrupted",
    "Digits",
    "FashionMNIST",
    "ImageData",
    "ImageFolder",
    "ImageNet",
    "InMemoryData",
    "TinyImageNet",
    "crop_flip",
]
