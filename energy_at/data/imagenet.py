"""ImageNet, and any folder of images too large for memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from energy_at.data.base import ImageData, Split
from energy_at.data.cutout import cut_out, draw_centres
from energy_at.data.decoding import CACHE, resize_crop
from energy_at.data.folders import require_same_classes
from energy_at.data.listing import ImageFiles, listed
from energy_at.data.loaders import FileLoader, worker_count
from energy_at.data.random_crop import random_resized_crop
from energy_at.data.sampling import TrainBatches, Unshuffled, generator
from energy_at.data.shards import ImageShards
from energy_at.data.transform import SeededTransform, seeded
from energy_at.reading import in_mode
from energy_at.types import require, require_count

Stored: TypeAlias = ImageFiles | ImageShards
MOST_WORKERS = 8  # that are started unasked


class ImageNet(ImageData):
    """ImageNet from ``root/train/<wnid>/*.JPEG`` and ``root/val/<wnid>/*.JPEG``, decoded by worker processes.

    Training: a random crop of 8 to 100 % of the area, resized, and flips. Evaluation: shorter side to ``resize``, then
    the central ``image_size``. The test split is the official validation folder; validation uses held-out training
    images. A subset, or any other folder of images, works by giving its ``num_classes``.

    Args:
        root: folder with ``train`` and ``eval_folder``.
        num_classes: number of class folders, which must be found.
        image_size: side of the delivered images in pixels.
        resize: shorter side before the central crop, at least ``image_size``.
        num_workers: decoding processes of each loader; 0 decodes in the training process, and None takes one for each
            core, at most 8.
        eval_folder: name of the folder with the test images.
        shards: folder that ``energy-at pack`` has written, from which the same images are read in place of ``root``.
        kwargs: see ``ImageData``; the crop of an image depends on (seed, epoch, image) alone.

    Raises:
        InputError: if an argument is out of range.
    """

    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def __init__(
        self,
        root: str | Path = "data/imagenet",
        *,
        batch_size: int = 256,
        eval_batch_size: int = 256,
        val_size: int | float = 0.01,
        num_classes: int = 1000,
        image_size: int = 224,
        resize: int = 256,
        num_workers: int | None = None,
        eval_folder: str = "val",
        shards: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(shards or root, batch_size, eval_batch_size, val_size, **kwargs)
        require_count("num_classes", num_classes, 1000, least=2)
        require_count("num_workers", worker_count(num_workers, MOST_WORKERS), MOST_WORKERS, least=0)
        require(
            1 <= image_size <= resize,
            f"image_size is {image_size} and resize {resize}, expected 1 <= image_size <= resize",
        )
        self.num_classes, self.image_shape = num_classes, (3, image_size, image_size)
        self.resize, self.num_workers, self.eval_folder = resize, num_workers, eval_folder
        self.shards = shards
        self._parts: dict[str, tuple[Stored, np.ndarray]] = {}

    def prepare_data(self) -> None:
        """List the folders on one process; the others read what it keeps beside them.

        Raises:
            InputError: as ``setup``.
        """
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """List and check the folders, once.

        Args:
            stage: not used; both folders are checked before anything starts.

        Raises:
            InputError: if a folder, a shard or a class is missing or empty, or the number of classes is not
                ``num_classes``.
        """
        if self._parts:
            return
        train = self._stored("train")
        require(
            len(train.classes) == self.num_classes,
            f"{self.root / 'train'} has {len(train.classes)} class folders, not num_classes={self.num_classes};"
            " correct the number or the folders",
        )
        if self.shards is None:
            require_same_classes(self.root / "train", self.root / self.eval_folder)
        test = self._stored(self.eval_folder)
        self.class_names = tuple(train.classes)
        kept, held = self._divided(train.labels)
        self._parts = {"train": (train, kept), "val": (train, held), "test": (test, np.arange(len(test.labels)))}

    def _stored(self, split: str) -> Stored:
        if self.shards is not None:
            return ImageShards(self.root, split)
        return listed(self.root / split, self.root / CACHE)

    @property
    def augmentation(self) -> str:
        """See ``ImageData``."""
        return "random crops of 8 to 100 % of the area, half of them mirrored"

    def labels(self, split: Split) -> np.ndarray:
        """See ``ImageData``."""
        stored, chosen = self._parts[split]
        return stored.labels[chosen]

    def _train_loader(self) -> FileLoader[TrainBatches]:
        seed = self.seed if self.augment else None
        workers = worker_count(self.num_workers, MOST_WORKERS)
        size, transform = self.image_shape[1], seeded(self.transform, self.seed, workers)
        read = ReadImage(*self._parts["train"], size, self.resize, seed, self.cutout, self.mean, transform)
        return FileLoader(read, self._train_batches(len(self._parts["train"][1])), workers)

    def _eval_loader(self, split: Split, sampler: Unshuffled) -> FileLoader[Unshuffled]:
        read = ReadImage(*self._parts[split], self.image_shape[1], self.resize)
        return FileLoader(read, sampler, worker_count(self.num_workers, MOST_WORKERS))


@dataclass(frozen=True)
class ReadImage:
    """Reads and crops one image, in a worker process.

    Args:
        stored: what the images are read from.
        chosen: int64 [N], which of them make up the split.
        size: side of the crop in pixels.
        resize: shorter side before the central crop.
        seed: of random crops, flips and squares; ``None`` for central crops.
        cutout: side in pixels of the square that is cut out of random crops; 0 for none.
        mean: colour of the square, [3] in [0, 1].
        transform: of each crop, before the square.
    """

    stored: Stored
    chosen: np.ndarray
    size: int
    resize: int
    seed: int | None = None
    cutout: int = 0
    mean: tuple[float, ...] = ImageNet.mean
    transform: SeededTransform | None = None

    def __call__(self, index: int, epoch: int) -> tuple[Tensor, int]:
        """The image, uint8 ``[3, size, size]``, and its label."""
        place = int(self.chosen[index])
        rng = None if self.seed is None else generator(self.seed, epoch, 1 + index)
        with self.stored.opened(place) as image:
            found = as_tensor(self._crop(image, rng))
        if self.transform is not None:
            found = self.transform(found, index, epoch)
        if rng is not None and self.cutout:
            centres = draw_centres(rng, 1, self.size, self.size)
            found = cut_out(found[None], centres, self.cutout, self.mean)[0]
        return found, int(self.stored.labels[place])

    def _crop(self, image: Image.Image, rng: np.random.Generator | None) -> Image.Image:
        if rng is None:
            return resize_crop(in_mode(image, "RGB"), self.resize, self.size)
        return random_resized_crop(image, self.size, rng)


def as_tensor(image: Image.Image) -> Tensor:
    """An RGB image as uint8 ``[3, H, W]``."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
