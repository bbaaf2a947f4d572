"""Data sets small enough to be held in memory as uint8 arrays."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from energy_at.data.base import ImageData, Split, as_tensors
from energy_at.data.checks import check_arrays
from energy_at.data.corrupted import Corrupted
from energy_at.data.loaders import MemoryLoader, worker_count
from energy_at.data.sampling import TrainBatches, Unshuffled
from energy_at.data.synthetic import read_synthetic
from energy_at.data.transform import seeded
from energy_at.types import require, require_count

Arrays: TypeAlias = tuple[np.ndarray, np.ndarray]
MOST_WORKERS = 4  # that are started unasked


class InMemoryData(ImageData):
    """An image set in memory: whole batches are gathered at once, without worker processes.

    A data set says in ``_read`` where its arrays come from, and in class attributes what they are.

    Args:
        root: folder that holds the data set.
        download: whether a missing data set is downloaded.
        synthetic: npz file with ``image`` (uint8 ``[M, H, W, C]``) and ``label`` (``[M]``), extra training images drawn
            at random. An epoch stays (original training images) // (global batch) steps long.
        synthetic_fraction: share of synthetic images in each global batch, in [0, 1].
        corruption: what the test images are judged under; None leaves them clean.
        num_workers: processes that apply ``transform``, if there is one; 0 applies it in the training process, and None
            takes one for each core, at most 4.
        kwargs: see ``ImageData``; augmentation shifts images by up to ``padding`` pixels and, if the class says so,
            mirrors them.

    Raises:
        InputError: if an argument is out of range.
    """

    padding = 4
    flip = True

    def __init__(
        self,
        root: str | Path = "data",
        *,
        download: bool = True,
        synthetic: str | Path | None = None,
        synthetic_fraction: float = 0.7,
        corruption: Corrupted | None = None,
        num_workers: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, **kwargs)
        require(0 <= synthetic_fraction <= 1, f"synthetic_fraction is {synthetic_fraction}, expected 0 to 1")
        require(
            corruption is None or isinstance(corruption, Corrupted),
            f"corruption is {corruption!r}, expected Corrupted(kind); on the command line --data.corruption.kind fog",
        )
        require_count("num_workers", worker_count(num_workers, MOST_WORKERS), MOST_WORKERS, least=0)
        self.download, self.num_workers = download, num_workers
        self.synthetic, self.synthetic_fraction = synthetic, synthetic_fraction
        self.corruption = corruption
        self._arrays: dict[str, tuple[Tensor, Tensor]] = {}
        self._extra: tuple[Tensor, Tensor] | None = None

    def setup(self, stage: str | None = None) -> None:
        """Load what a stage needs, once.

        Args:
            stage: Lightning's "fit", "validate", "test", "predict", or ``None`` for everything.

        Raises:
            InputError: if files are missing, damaged, or not what the data set should be.
        """
        if stage in (None, "fit", "validate"):
            self.arrays("train")
        if stage in (None, "fit") and self.synthetic and self._extra is None:
            self._extra = as_tensors(*read_synthetic(Path(self.synthetic), self.image_shape, self.num_classes))
        if stage in (None, "test", "predict"):
            self.arrays("test")

    def arrays(self, split: Split) -> tuple[Tensor, Tensor]:
        """All images and labels of one split, without augmentation or synthetic images.

        Args:
            split: "train", "val" (the held-out part of the training images) or "test".

        Returns:
            Images, uint8 ``[N, C, H, W]``, and labels, int64 ``[N]``.

        Raises:
            InputError: if the split is unknown or its files cannot be used.
        """
        require(split in ("train", "val", "test"), f"split is {split!r}, expected 'train', 'val' or 'test'")
        if split not in self._arrays:
            self._arrays.update(self._load("test" if split == "test" else "train"))
        return self._arrays[split]

    def _load(self, official: str) -> dict[str, tuple[Tensor, Tensor]]:
        images, labels = self._test_set() if official == "test" else self._read(official)
        source = self.corruption.files if official == "test" and self.corruption is not None else None
        where = f"the {official} set in {source or self.root}"
        check_arrays(images, labels, self.image_shape, self.num_classes, where)
        classes = len(np.unique(labels))
        require(
            source is None or classes == self.num_classes,
            f"{where} has images of {classes} classes, expected {self.num_classes}; give this data set's own folder",
        )
        if official == "test":
            return {"test": as_tensors(images, labels)}
        kept, held = self._divided(labels)
        return {
            "train": as_tensors(images[kept], labels[kept]),
            "val": as_tensors(images[held], labels[held]),
        }

    def _test_set(self) -> Arrays:
        if self.corruption is None:
            return self._read("test")
        if self.corruption.files is not None:
            return self.corruption.read()
        images, labels = self._read("test")
        return self.corruption.of(images), labels

    def _train_loader(self) -> MemoryLoader[TrainBatches]:
        images, labels = self.arrays("train")
        count, extra = len(labels), 0
        if self._extra is not None:
            images, labels = torch.cat([images, self._extra[0]]), torch.cat([labels, self._extra[1]])
            extra = len(self._extra[1])
        sampler = self._train_batches(count, extra, self.synthetic_fraction)
        padding, workers = self.padding if self.augment else None, worker_count(self.num_workers, MOST_WORKERS)
        transform = seeded(self.transform, self.seed, workers)
        augmentation = (padding, self.flip, self.cutout > 0, transform, workers)
        return MemoryLoader(images, labels, sampler, *augmentation)

    @property
    def augmentation(self) -> str:
        """See ``ImageData``."""
        return ", ".join(filter(None, [super().augmentation, "half of them mirrored" if self.flip else ""]))

    def title(self, split: Split) -> str:
        """See ``ImageData``; "fog-3 test" under a corruption."""
        return f"{self.corruption} test" if split == "test" and self.corruption is not None else split

    def labels(self, split: Split) -> Tensor:
        """See ``ImageData``."""
        return self.arrays(split)[1]

    def _eval_loader(self, split: Split, sampler: Unshuffled) -> MemoryLoader[Unshuffled]:
        return MemoryLoader(*self.arrays(split), sampler)

    @abstractmethod
    def _read(self, split: str) -> Arrays:
        """Images, uint8 ``[N, C, H, W]``, and integer labels ``[N]`` of the official "train" or "test" set."""
