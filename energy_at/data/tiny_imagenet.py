"""Tiny-ImageNet."""

import os
import tempfile
from pathlib import Path

import numpy as np
from torchvision.datasets.utils import download_url, extract_archive

from energy_at.data.decoding import decode_cached
from energy_at.data.downloaded import REMEDY
from energy_at.data.folders import list_images
from energy_at.data.memory import Arrays, InMemoryData
from energy_at.files import writing
from energy_at.reading import readable
from energy_at.types import require

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"


class TinyImageNet(InMemoryData):
    """Tiny-ImageNet: 100,000 training images of 64x64 pixels in 200 classes, and 10,000 labelled validation images.

    The test split is the official validation folder, because the official test labels are not public; validation uses
    held-out training images. A class's label is the place of its wnid in sorted order. Images are decoded once and
    cached. Augmentation: crops of 64 after padding by 4, and flips. See ``InMemoryData`` for the arguments.
    """

    image_shape = (3, 64, 64)
    num_classes = 200
    mean = (0.4802, 0.4481, 0.3975)
    std = (0.2770, 0.2691, 0.2821)

    @property
    def folder(self) -> Path:
        """Where the extracted data set lies."""
        return self.root / "tiny-imagenet-200"

    def prepare_data(self) -> None:
        """Download, extract and decode, on one process, what is missing.

        Raises:
            InputError: if the files are missing or damaged and cannot be downloaded.
        """
        if self.download and not self.folder.is_dir():
            with readable(self.root / "tiny-imagenet-200.zip", REMEDY), writing(self.root):
                self._download()
        self.arrays("train")
        self.arrays("test")

    def _download(self) -> None:
        download_url(URL, self.root, md5=MD5)
        # renamed only once complete: an interrupted extraction is never mistaken for the data set
        with tempfile.TemporaryDirectory(dir=self.root) as partial:
            extract_archive(str(self.root / "tiny-imagenet-200.zip"), partial)
            os.rename(Path(partial) / self.folder.name, self.folder)

    def _read(self, split: str) -> Arrays:
        with readable(self.folder / "wnids.txt", REMEDY):
            wnids = sorted((self.folder / "wnids.txt").read_text().split())
        require(
            len(wnids) == self.num_classes,
            f"{self.folder / 'wnids.txt'} lists {len(wnids)} classes, expected {self.num_classes}; {REMEDY}",
        )
        self.class_names = tuple(wnids)
        if split == "train":
            files, labels = list_images(self.folder / "train", wnids, within="images")
        else:
            files, labels = self._official_validation(wnids)
        return decode_cached(files, self.image_shape[1:], False, self.folder, split), labels

    def _official_validation(self, wnids: list[str]) -> tuple[list[str], np.ndarray]:
        annotations = self.folder / "val" / "val_annotations.txt"
        with readable(annotations, REMEDY):
            rows = [line.split("\t") for line in annotations.read_text().splitlines()]
            files = [str(self.folder / "val" / "images" / row[0]) for row in rows]
            return files, np.array([wnids.index(row[1]) for row in rows])
