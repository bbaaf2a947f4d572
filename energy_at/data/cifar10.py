"""CIFAR-10."""

from typing import ClassVar

import numpy as np
from torchvision import datasets
from torchvision.datasets.utils import check_integrity

from energy_at.data.downloaded import DownloadedData
from energy_at.data.memory import Arrays


class CIFAR10(DownloadedData):
    """CIFAR-10: 50,000 training and 10,000 test images of 32x32 pixels in ten classes (Krizhevsky 2009).

    Augmentation: crops of 32 after padding by 4, and flips. See ``InMemoryData`` for the arguments.
    """

    dataset: ClassVar[type[datasets.CIFAR10]] = datasets.CIFAR10
    location = "cifar-10-batches-py"
    image_shape = (3, 32, 32)
    num_classes = 10
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)
    class_names: tuple[str, ...] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )

    def _open(self, split: str, download: bool) -> Arrays:
        try:
            source = self.dataset(self.root, train=split == "train", download=download)
        except RuntimeError as error:  # which does not say of which file
            raise RuntimeError(self._wrong_sums()) from error
        return source.data.transpose(0, 3, 1, 2), np.asarray(source.targets)

    def _wrong_sums(self) -> str:
        meta = self.dataset.meta
        files = [*self.dataset.train_list, *self.dataset.test_list, (meta["filename"], meta["md5"])]
        wrong = [name for name, md5 in files if not check_integrity(self.root / self.location / name, md5)]
        return f"not as published: {', '.join(wrong)}"
