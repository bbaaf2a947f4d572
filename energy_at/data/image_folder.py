"""The user's own images."""

from pathlib import Path
from typing import Any

from energy_at.data.decoding import decode_cached
from energy_at.data.folders import list_classes, list_images, require_same_classes
from energy_at.data.memory import Arrays, InMemoryData
from energy_at.reading import opened
from energy_at.types import require, require_count


class ImageFolder(InMemoryData):
    """Images in ``root/train/<class>/*.jpg`` and ``root/test/<class>/*.jpg``, held in memory.

    They may be .jpeg, .png, .webp or .bmp too; hidden files are left out. They are decoded once and cached in
    ``root/.energy_at_cache``; a changed folder is decoded again. Grey, palette, CMYK and transparent images become RGB.
    What does not fit in memory is read from disk by ``ImageNet``, which takes any number of classes.

    Args:
        root: folder with ``train`` and ``test``.
        image_size: side in pixels: images of another size are resized (shorter side) and cropped (centre). Without
            it every image must have the size of the first.
        num_classes: if given, the number of class folders that must be found.
        padding: pixels by which augmentation shifts images at most.
        flip: whether augmentation mirrors images.
        mean: per channel, in [0, 1], for the network's normalisation; the default is ImageNet's.
        std: per channel, in [0, 1], likewise.
        max_memory_gb: largest decoded size of one split, in GB, before it is refused.
        kwargs: see ``InMemoryData``.

    Raises:
        InputError: if the folders are missing or differ, an argument is out of range, or ``num_classes`` is not what
            was found.
    """

    def __init__(
        self,
        root: str | Path,
        image_size: int | None = None,
        num_classes: int | None = None,
        *,
        padding: int = 4,
        flip: bool = True,
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406),
        std: tuple[float, float, float] = (0.229, 0.224, 0.225),
        max_memory_gb: float = 16.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, download=False, **kwargs)
        require_count("padding", padding, 4, least=0)
        if image_size is not None:
            require_count("image_size", image_size, 64)
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
