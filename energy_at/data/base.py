"""What every image data set shares: its description, its split, its loaders, and the last step on the device."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from energy_at.data.augment import crop_flip
from energy_at.data.checks import check_sizes
from energy_at.data.cutout import check_cutout, cut_out
from energy_at.data.loaders import Loader
from energy_at.data.mixing import check_mix, mixed
from energy_at.data.sampling import ChosenBatches, EvalBatches, TrainBatches, Unshuffled, evenly, held_out
from energy_at.data.transform import check_transform
from energy_at.types import require, require_count, require_one_of

Split: TypeAlias = Literal["train", "val", "test"]


class ImageData(L.LightningDataModule, ABC):
    """Images in [0, 1] with labels, from a training set, a held-out part of it, and a test set.

    The training module receives ``(x, y)``: x float32 ``[N, C, H, W]`` in [0, 1], not normalised, and y int64 ``[N]``.
    Loaders yield uint8 images; ``on_after_batch_transfer`` augments and converts them on the batch's device.

    Args:
        root: folder that holds the data set.
        batch_size: training images per process and step; the global batch is this times the number of processes.
        eval_batch_size: validation and test images per process and step.
        val_size: training images held out for validation, a count or a fraction; the same ones for every ``seed``.
            With 0 every image is trained on and there is no validation loader.
        seed: of shuffling and augmentation; with (epoch, step) it determines every batch.
        augment: whether training images are augmented.
        train_size: training images kept of those not held out, drawn evenly from all classes, the same ones for every
            ``seed``; None keeps all.
        cutout: side in pixels of the square that is cut out of each augmented training image; 0 for none.
        transform: of each training image, uint8 ``[C, H, W]``, into another: one of ``torchvision.transforms.v2`` or
            any callable. Its random numbers depend on (seed, epoch, image) alone.
        mix: of each whole training batch, after all else: ``torchvision.transforms.v2.CutMix()``, ``MixUp()``, or any
            callable of images and labels; see ``mixing.mixed``.

    Raises:
        InputError: if a size or the seed is out of range, or transform or mix cannot be called.
    """

    num_classes: int
    class_names: tuple[str, ...] = ()
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    padding: int = 0

    def __init__(
        self,
        root: str | Path = "data",
        batch_size: int = 128,
        eval_batch_size: int = 500,
        val_size: int | float = 0.02,
        seed: int = 0,
        augment: bool = True,
        train_size: int | None = None,
        cutout: int = 0,
        transform: nn.Module | None = None,
        mix: nn.Module | None = None,
    ) -> None:
        super().__init__()
        check_sizes(batch_size, eval_batch_size, val_size, train_size, seed)
        check_cutout(cutout, augment)
        check_transform(transform)
        check_mix(mix)
        self.root = Path(root)
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.val_size, self.train_size, self.seed, self.augment = val_size, train_size, seed, augment
        self.cutout, self.transform, self.mix = cutout, transform, mix
        self._training: Loader[TrainBatches] | None = None
        self._resume_at: dict[str, Any] | None = None

    def train_dataloader(self) -> Loader[TrainBatches]:
        """Shuffled, augmented training batches without a last partial one.

        Raises:
            InputError: if ``cutout`` is larger than the images.
        """
        side = min(self.image_shape[1:])
        require(self.cutout <= side, f"cutout is {self.cutout}, but the images have {side} pixels a side; lower it")
        self._training = self._train_loader()
        self._training.mixes = self.mix is not None
        if self._resume_at is not None:
            self._training.load_state_dict(self._resume_at)
            self._resume_at = None
        return self._training

    def state_dict(self) -> dict[str, Any]:
        """How far the training loader came, so that a run resumed within an epoch continues with the next batch.

        The classes' names and the augmentation too, which a net that is shared would lose with its data.
        """
        if self._training is None:
            return {}
        about = {"class_names": list(self.class_names), "augmentation": self.augmentation if self.augment else ""}
        counts = {"global_batch": self._training.sampler.global_batch, "held_out": self._held_out()}
        return self._training.state_dict() | about | counts

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See ``state_dict``. Lightning restores a loader itself only if nobody asked for its length before.

        Raises:
            InputError: if the global batch is another one, or images would be held out that were trained on.
        """
        self.check_resumable(state_dict, self._rank()[1])
        tested = self.trainer is not None and self.trainer.testing  # on other images
        before, now = state_dict.get("held_out"), 0 if tested else self._held_out()
        require(
            before is None or now <= before,
            f"this training held out {before} images and was trained on others that would be among the {now} now; "
            f"give --data.val_size {before}",
        )
        self._resume_at = state_dict or None

    def check_resumable(self, state_dict: Mapping[str, Any], processes: int) -> None:
        """Refuse to go on with another global batch: steps, epochs and schedules would mean something else.

        Args:
            state_dict: of this data module in the checkpoint.
            processes: that go on.

        Raises:
            InputError: if the global batch is another one; with the batch size that keeps it.
        """
        now = self.batch_size * processes
        before = state_dict.get("global_batch", now)
        each = f"give --data.batch_size {before // processes}" if before % processes == 0 else "take a divisor of it"
        require(
            before == now,
            f"this training's batch is {before} images, but {processes} processes with batch_size {self.batch_size}"
            f" make it {now}; {each}",
        )

    def _held_out(self) -> int:
        return len(self.labels("val")) if self.val_size else 0

    def val_dataloader(self) -> Loader[EvalBatches] | list[Any]:
        """The held-out part of the training images; an empty list if ``val_size`` is 0."""
        return self._eval_loader("val", self._eval_batches(len(self.labels("val")))) if self.val_size else []

    def test_dataloader(self) -> Loader[EvalBatches]:
        """The test set, every image once."""
        return self._eval_loader("test", self._eval_batches(len(self.labels("test"))))

    def predict_dataloader(self) -> Loader[EvalBatches]:
        """The test set."""
        return self.test_dataloader()

    def batches(self, split: Split = "test", count: int | None = None, seed: int = 0) -> Loader[ChosenBatches]:
        """Images of a split in a fixed order and without augmentation, whole on every process.

        Args:
            split: "train", "val" (the held-out part of the training images) or "test".
            count: how many, drawn at random with each class giving its share; None means all.
            seed: of that draw.

        Returns:
            A loader of uint8 images ``[N, C, H, W]`` and labels ``[N]``, ``eval_batch_size`` at a time.

        Raises:
            InputError: if the split is unknown, or has fewer images than ``count``, or the seed is negative.
        """
        require_one_of("split", split, get_args(Split))
        require_count("seed", seed, 0, least=0)
        self.setup("test" if split == "test" else "validate")
        labels = np.asarray(self.labels(split))
        require(
            count is None or 1 <= count <= len(labels),
            f"count is {count}, but the {split} images are {len(labels)}; ask for 1 to {len(labels)}, or leave it out",
        )
        chosen = np.arange(len(labels)) if count is None else held_out(labels, count, seed)[1]
        return self._eval_loader(split, ChosenBatches(chosen, self.eval_batch_size))

    @property
    def augmentation(self) -> str:
        """What ``augment`` does to a training image, in words."""
        return f"shifted by up to {self.padding} pixel{'s' * (self.padding > 1)}" if self.padding else ""

    def title(self, split: Split) -> str:
        """What a split's images are called in a report."""
        return split

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int = 0) -> tuple[Tensor, Tensor]:
        """Augment and convert a batch on its own device.

        Args:
            batch: uint8 images ``[N, C, H, W]`` and labels ``[N]``; in training perhaps offsets, flips and the centres
                of the squares to cut out too, and the seed that the batch is mixed by.
            dataloader_idx: not used.

        Returns:
            Images, float32 in [0, 1], and labels: int64 ``[N]``, or of a mixed batch each class's share, ``[N, K]``.
        """
        images, labels, *augmentation = batch
        seed = augmentation.pop() if augmentation and isinstance(augmentation[-1], int) else None
        if augmentation:
            offsets, flips = augmentation[:2]
            images = crop_flip(images, offsets, flips, padding=self.padding)
        for centres in augmentation[2:]:
            images = cut_out(images, centres, self.cutout, self.mean)
        images = images.to(torch.float32).div_(255)
        if self.mix is None or seed is None:
            return images, labels
        return mixed(self.mix, images, labels, self.num_classes, seed)

    @abstractmethod
    def _train_loader(self) -> Loader[TrainBatches]:
        """The training loader."""

    @abstractmethod
    def labels(self, split: Split) -> np.ndarray | Tensor:
        """Labels [N] of a split's images."""

    @abstractmethod
    def _eval_loader(self, split: Split, sampler: Unshuffled) -> Loader[Unshuffled]:
        """The loader of a split without augmentation."""

    def _divided(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the images that are trained on, and of those held out: of any first ones all classes' share."""
        count = len(labels)
        held = max(1, round(self.val_size * count)) if 0 < self.val_size < 1 else int(self.val_size)
        require(
            held < count,
            f"val_size={self.val_size} holds out {held} of {count} training images in {self.root}; lower val_size",
        )
        kept, validation = held_out(labels, held)
        validation = validation[evenly(labels[validation])]  # for Trainer(limit_val_batches=...)
        if self.train_size is None:
            return kept, validation
        require(
            self.train_size <= len(kept),
            f"train_size is {self.train_size}, but {self.root} has {len(kept)} training images beside those held out;"
            " lower it, or leave it out",
        )
        return kept[held_out(labels[kept], self.train_size)[1]], validation

    def _train_batches(self, count: int, extra: int = 0, extra_fraction: float = 0.0) -> TrainBatches:
        repeat = getattr(self.trainer, "overfit_batches", 0) > 0
        return TrainBatches(count, self.batch_size, self.seed, *self._rank(), extra, extra_fraction, repeat)

    def _eval_batches(self, count: int) -> EvalBatches:
        return EvalBatches(count, self.eval_batch_size, *self._rank())

    def _rank(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


def as_tensors(images: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    """Contiguous tensors, labels int64, that share memory with the arrays where they can."""
    return torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels.astype(np.int64))
