"""Starting points that are images of a folder, of whatever they show."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from energy_at.generation.fitted import ClassTable
from energy_at.generation.noise import START, choice
from energy_at.generation.starts import ClassInit
from energy_at.reading import fitted, images_below
from energy_at.types import Images, require_count


class FolderInit(ClassInit):
    """x0 is a random image of a folder and its subfolders, whatever the class; for images outside the distribution.

    They are cropped in their middle and resized to the size of the images that this is fitted to, and kept in memory.

    Args:
        folder: of .jpg, .jpeg, .png, .webp or .bmp files.
        limit: the most images that are read, at least 1, evenly over the sorted paths.

    Raises:
        InputError: if the limit is below 1; when it is fitted, if there are no images or one cannot be read.
    """

    option_names: ClassVar[tuple[str, ...]] = ("folder", "limit")
    fit_options: ClassVar[tuple[str, ...]] = ("folder", "limit")

    def __init__(self, folder: str, limit: int = 10_000) -> None:
        super().__init__()
        require_count("limit", limit, 10000)
        self.folder = folder
        self.limit = limit

    def fit_classes(self, images: Images, table: ClassTable) -> dict[str, Tensor]:
        """Reads the folder; of the images fitted to, the shape alone matters."""
        paths = images_below(self.folder)
        step = max(1, -(-len(paths) // self.limit))
        _, channels, height, width = images.shape
        read = np.stack([fitted(path, (channels, height, width)) for path in paths[::step]])
        return {"outside": torch.from_numpy(read).to(images.device)}

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        """See ``ClassInit``."""
        outside = self["outside"]
        places = choice(seeds, START, torch.full_like(seeds, len(outside)))
        return outside[places].flatten(1).to(torch.float32) / 255
