"""The user's own images."""

from pathlib import Path

from energy_at.data.corrupted import Corrupted
from energy_at.data.decoding import decode_cached
from energy_at.data.folders import list_classes, list_images, require_same_classes
from energy_at.data.memory import Arrays, InMemoryData
from energy_at.reading import opened
from energy_at.types import require


class ImageFolder(InMemoryData):
    """Images in ``root/train/<class>/*.jpg`` and ``root/test/<class>/*.jpg`` (or .jpeg, .png), held in memory.

    They are decoded once and cached in ``root/.energy_at_cache``; a changed folder is decoded again. Grey, palette,
    CMYK and transparent images become RGB. What does not fit in memory is read from disk by ``ImageNet``, which takes
    any number of classes.

    Args:
        root: folder with ``train`` and ``test``.
        image_size: side in pixels: images of another size are resized (shorter side) and cropped (centre). Without
            it every image must have the size of the first.
        num_classes: if given, the number of class folders that must be found.
        batch_size: training images per process and step.
        eval_batch_size: validation and test images per process and step.
        val_size: training images held out for validation, a count or a fraction; 0 for none.
        seed: of shuffling and augmentation.
        augment: whether training images are augmented.
        padding: pixels by which augmentation shifts images at most.
        flip: whether augmentation mirrors images.
        mean: per channel, in [0, 1], for the network's normalisation; the default is ImageNet's.
        std: per channel, in [0, 1], likewise.
        max_memory_gb: largest decoded size of one split, in GB, before it is refused.
        synthetic: npz file of extra training images; see ``InMemoryData``.
        synthetic_fraction: share of synthetic images in each global batch, in [0, 1].
        train_size: training images kept of those not held out, drawn evenly from all classes, the same ones for every
            ``seed``; None keeps all.
        cutout: side in pixels of the square that is cut out of each augmented training image; 0 for none.
        corruption: what the test images are judged under; None leaves them clean.

    Raises:
        InputError: if the folders are missing or differ, an argument is out of range, or ``num_classes`` is not what
            was found.
    """

    def __init__(
        self,
        root: str | Path,
        image_size: int | None = None,
        num_classes: int | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 500,
        val_size: int | float = 0.02,
        seed: int = 0,
        augment: bool = True,
        padding: int = 4,
        flip: bool = True,
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406),
        std: tuple[float, float, float] = (0.229, 0.224, 0.225),
        max_memory_gb: float = 16.0,
        synthetic: str | Path | None = None,
        synthetic_fraction: float = 0.7,
        train_size: int | None = None,
        cutout: int = 0,
        corruption: Corrupted | None = None,
    ) -> None:
        super().__init__(
            *(root, batch_size, eval_batch_size, val_size, seed, augment),
            *(False, synthetic, synthetic_fraction, train_size, cutout, corruption),
        )
        require(padding >= 0, f"padding is {padding}, expected 0 or more pixels")
        require(image_size is None or image_size >= 1, f"image_size is {image_size}, expected at least 1 pixel")
        self.image_size, self.max_memory_gb = image_size, max_memory_gb
        self.padding, self.flip = padding, flip
        self.mean, self.std = tuple(mean), tuple(std)
        self.class_names = tuple(list_classes(self.root / "train"))
        self.num_classes = len(self.class_names)
        require(
            num_classes in (None, self.num_classes),
            f"{self.root / 'train'} has {self.num_classes} class folders, not num_classes={num_classes};"
            " correct the number or the folders",
        )
        require_same_classes(self.root / "train", self.root / "test")
        self.image_shape = (3, *self._size())

    def prepare_data(self) -> None:
        """Decode and cache all images, on one process.

        Raises:
            InputError: if an image is damaged, of another size, or there are too many for the memory allowed.
        """
        self.arrays("train")
        self.arrays("test")

    def _size(self) -> tuple[int, int]:
        if self.image_size is not None:
            return self.image_size, self.image_size
        first = list_images(self.root / "train", list(self.class_names[:1]))[0][0]
        with opened(first) as image:
            return image.height, image.width

    def _read(self, split: str) -> Arrays:
        files, labels = list_images(self.root / split, list(self.class_names))
        _, height, width = self.image_shape
        gigabytes = len(files) * 3 * height * width / 1e9
        require(
            gigabytes <= self.max_memory_gb,
            f"the images in {self.root / split} take {gigabytes:.1f} GB decoded, more than max_memory_gb="
            f"{self.max_memory_gb}; use ImageNet(num_classes={self.num_classes}, eval_folder='test'), which reads"
            " images from disk, or a smaller image_size",
        )
        resize = self.image_size is not None
        return decode_cached(files, (height, width), resize, self.root, split), labels
