"""Images per second delivered augmented and as floats, against torchvision's per-image transforms in a DataLoader.

Both deliver one epoch of 50,000 32x32 images in batches of 128: crops of 32 after padding by 4, flips, float32 in
[0, 1]. The reference has as many worker processes as there are cores.
"""

import os
import time

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from energy_at.data import InMemoryData

COUNT, BATCH = 50_000, 128


class Noise(InMemoryData):
    """Random images in CIFAR's shape."""

    num_classes, image_shape, mean, std = 10, (3, 32, 32), (0.5,) * 3, (0.25,) * 3

    def _read(self, split):
        rng = np.random.default_rng(0)
        return rng.integers(0, 256, (COUNT, 3, 32, 32), dtype=np.uint8), np.arange(COUNT) % 10


class PerImage(Dataset):
    """The same images as torchvision's data sets hand them out: one Pillow image at a time."""

    transform = transforms.Compose(
        [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    )

    def __init__(self, images, labels):
        self.images, self.labels = images.permute(0, 2, 3, 1).contiguous().numpy(), labels.tolist()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def ours(data):
    """What a training module receives."""
    for batch in data.train_dataloader():
        yield data.on_after_batch_transfer(batch, 0)


def textbook(data):
    """What a torchvision tutorial would deliver."""
    dataset = PerImage(*data.arrays("train"))
    return DataLoader(dataset, BATCH, shuffle=True, drop_last=True, num_workers=os.cpu_count() or 1)


def images_per_second(batches):
    """Rate of one epoch."""
    start, count = time.perf_counter(), 0
    for x, _ in batches:
        count += len(x)
    return count / (time.perf_counter() - start)


def rows() -> list[dict]:
    """One row: images per second of both, and their ratio."""
    data = Noise(batch_size=BATCH, val_size=0)
    data.setup("fit")
    fast = max(images_per_second(ours(data)) for _ in range(3))
    slow = images_per_second(textbook(data))
    return [
        {
            "name": "augmented 32x32 images per second",
            "ours": round(fast),
            "reference": round(slow),
            "ratio": round(fast / slow, 1),
            "threads": torch.get_num_threads(),
        }
    ]


if __name__ == "__main__":
    for row in rows():
        print(row)
