"""An epoch of augmented small images, against torchvision's per-image transforms in a DataLoader.

Both deliver 50,000 images of 32x32 in batches of 128 on the device: crops of 32 after padding by 4, flips, float32 in
[0, 1]. The reference has as many worker processes as there are cores. The limit is the memory copy: what reading the
bytes once and writing the floats once would take.
"""

from collections.abc import Iterable
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.limits import best_copy, share
from benchmarks.setting import Setting
from benchmarks.timing import Goal, alternate, compare, constant
from benchmarks.watch import cores
from energy_at.data import InMemoryData

COUNT, BATCH = 50_000, 128
BYTES = 3 * 32 * 32 * (1 + 4)  # of an image, as integers and as floats
RATE = 20_000  # images a second


class Noise(InMemoryData):
    """Random images in CIFAR's shape."""

    num_classes, image_shape, mean, std = 10, (3, 32, 32), (0.5,) * 3, (0.25,) * 3

    def _read(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        return rng.integers(0, 256, (COUNT, 3, 32, 32), dtype=np.uint8), np.arange(COUNT) % 10


class PerImage(Dataset):
    """The same images as torchvision's data sets hand them out: one Pillow image at a time."""

    transform = transforms.Compose(
        [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    )

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images.permute(0, 2, 3, 1).contiguous().numpy(), labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def images(batch_size: int) -> Noise:
    """Random images in memory, cropped and mirrored like CIFAR-10's."""
    data = Noise(batch_size=batch_size, val_size=0)
    data.setup("fit")
    return data


def per_image_loader(data: Noise, device: torch.device) -> DataLoader:
    """What a torchvision tutorial would deliver."""
    dataset, pinned = PerImage(*data.arrays("train")), device.type == "cuda"
    return DataLoader(dataset, data.batch_size, shuffle=True, drop_last=True, num_workers=cores(), pin_memory=pinned)


def to_device(batch: Iterable[Tensor], device: torch.device) -> tuple[Tensor, ...]:
    """As Lightning moves a batch."""
    return tuple(tensor.to(device, non_blocking=True) for tensor in batch)


def ours(data: Noise, device: torch.device, batches: int) -> None:
    """An epoch of what a training module receives."""
    for batch in islice(data.train_dataloader(), batches):
        data.on_after_batch_transfer(to_device(batch, device))


def theirs(loader: DataLoader, device: torch.device, batches: int) -> None:
    """An epoch of the reference."""
    for batch in islice(loader, batches):
        to_device(batch, device)


def rows(setting: Setting) -> list[dict[str, Any]]:
    """Time of an epoch: the reference's over ours, and ours over the goal's."""
    data, copy, batches = images(BATCH), best_copy(setting), 20 if setting.quick else COUNT // BATCH
    steps = {
        "ours": partial(ours, data, setting.device, batches),
        "reference": partial(theirs, per_image_loader(data, setting.device), setting.device, batches),
        "copy": copy.step,
    }
    took = alternate(steps, setting, number=1, wall=True)
    delivered = batches * BATCH
    goal, limit = constant(delivered / RATE, took["ours"]), share(took["ours"], delivered * BYTES, took["copy"], copy)
    found = [
        compare("augmented 32x32 images: torchvision's loader / ours", took["reference"], took["ours"]),
        compare(f"augmented 32x32 images / {RATE:,} a second", took["ours"], goal, Goal(1.0)) | {"limit": limit},
    ]
    rates = {name: round(delivered / took[name].shortest) for name in ("ours", "reference")}
    return [row | {"images_per_second": rates} for row in found]
