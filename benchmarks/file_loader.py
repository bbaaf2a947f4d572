"""ImageNet's training loader on JPEG files and on packed ones, against decoding alone, and against torchvision.

The files are of ImageNet's size, 500x375 pixels and some 100 KB, with noise of all scales as natural images have; they
lie in a temporary folder, and in memory once they were read. All use as many worker processes as there are
cores: ours gives random crops of 224, resized and mirrored, as bytes, which become floats on the device; torchvision's
data set and transforms give floats; one bound decodes each file with Pillow and throws the pixels away, the other
crops and resizes them before. What is above that one is the way from the worker to the device.
"""

import random
import tempfile
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.loader import to_device
from benchmarks.setting import Setting
from benchmarks.timing import alternate, compare
from benchmarks.watch import cores
from energy_at.data import ImageNet
from energy_at.data.listing import listed
from energy_at.data.shards import pack

WIDTH, HEIGHT, BATCH = 500, 375, 32
PICTURES = 16  # different ones; the rest are copies under other names


def rows(setting: Setting) -> list[dict[str, Any]]:
    """An epoch over the bound, and the reference's over ours."""
    with tempfile.TemporaryDirectory() as folder:
        count = cores() * BATCH * (2 if setting.quick else 8)  # every worker gets as many batches
        write_images(Path(folder), count)
        return compared(Path(folder), count, setting)


def compared(folder: Path, count: int, setting: Setting) -> list[dict[str, Any]]:
    """The rows, on a folder of images."""
    data, packed = (
        ImageNet(folder, batch_size=BATCH, val_size=0, num_classes=2, num_workers=cores(), shards=shards)
        for shards in (None, pack_images(folder))
    )
    data.setup("fit")
    packed.setup("fit")
    pixels, crops = loading(folder, decoded), loading(folder, cropped)
    seen = loading(folder, torchvision_transform())
    loader = data.train_dataloader()
    steps = {
        "ours": partial(deliver, loader, setting, data.on_after_batch_transfer),
        "bytes": partial(deliver, loader, setting),
        "packed": partial(deliver, packed.train_dataloader(), setting),
        "decoding": partial(deliver, pixels, setting),
        "bound": partial(deliver, crops, setting),
        "reference": partial(deliver, seen, setting),
    }
    took = alternate(steps, setting, number=1, wall=True)
    rates = {name: round(count / measured.shortest) for name, measured in took.items()}
    found = [
        compare("crops of 224 from JPEG files: ours as bytes / decoding alone", took["bytes"], took["decoding"]),
        compare("crops of 224 from JPEG files: ours as bytes / decoding and cropping", took["bytes"], took["bound"]),
        compare("crops of 224 from packed JPEGs: as bytes / decoding and cropping", took["packed"], took["bound"]),
        compare("crops of 224 from JPEG files: torchvision's loader / ours", took["reference"], took["ours"]),
    ]
    return [row | {"images_per_second": rates, "workers": cores()} for row in found]


def pack_images(folder: Path) -> Path:
    """The same images in shards."""
    shards = folder / "shards"
    for split in ("train", "val"):
        pack(listed(folder / split, folder), shards, split, per_shard=100)
    return shards


def deliver(loader: Any, setting: Setting, last: Callable[[Any], Any] = lambda batch: batch) -> None:
    """An epoch to the device."""
    for batch in loader:
        last(to_device(batch, setting.device))


def loading(folder: Path, transform: Callable[[Image.Image], Tensor]) -> DataLoader:
    """The files as a torchvision data set."""
    workers = {"num_workers": cores(), "persistent_workers": True, "pin_memory": torch.cuda.is_available()}
    return DataLoader(ImageFolder(folder / "train", transform), BATCH, shuffle=True, drop_last=True, **workers)


def decoded(image: Image.Image) -> Tensor:
    """Nothing of an image that ``ImageFolder`` has decoded."""
    return torch.empty(0)


def cropped(image: Image.Image) -> Tensor:
    """Nothing of a random crop that was resized; the crop is drawn as cheaply as can be."""
    width, height = image.size
    side = random.uniform(0.08, 1) ** 0.5
    box = (0, 0, width * side, height * side)
    image.resize((224, 224), Image.Resampling.BILINEAR, box=box)
    return torch.empty(0)


def torchvision_transform() -> transforms.Compose:
    """As in its ImageNet example."""
    crop = transforms.RandomResizedCrop(224)
    return transforms.Compose([crop, transforms.RandomHorizontalFlip(), transforms.ToTensor()])


def write_images(folder: Path, count: int) -> None:
    """Two classes, one of them for each half of the training images; and an image of each to test."""
    pictures = [jpeg(seed) for seed in range(PICTURES)]
    for split, images in {"train": count, "val": 2}.items():
        for index in range(images):
            file = folder / split / f"class_{index % 2}" / f"{index}.JPEG"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(pictures[index % PICTURES])


def jpeg(seed: int) -> bytes:
    """Noise of all scales, the coarser the stronger, as in a photograph."""
    source, pixels = torch.Generator().manual_seed(seed), torch.zeros(1, 3, HEIGHT, WIDTH)
    for scale in (1, 2, 4, 8, 16, 32, 64, 128):
        grid = torch.randn(1, 3, HEIGHT // scale + 2, WIDTH // scale + 2, generator=source)
        grid = grid.mean(1, keepdim=True) + 0.3 * grid  # colours change less than brightness
        pixels += scale**0.2 * F.interpolate(grid, (HEIGHT, WIDTH), mode="bilinear")
    values = (128 + 40 * pixels / pixels.std()).clamp(0, 255).byte()
    file = BytesIO()
    Image.fromarray(values[0].permute(1, 2, 0).contiguous().numpy()).save(file, "JPEG", quality=94)
    return file.getvalue()
