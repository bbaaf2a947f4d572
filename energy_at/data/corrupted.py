"""Test images under a common corruption: made here, or read from the published files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from energy_at.corruptions import Kind, check_corruption, corrupt, read_photographs
from energy_at.data.sampling import generator
from energy_at.reading import readable
from energy_at.types import require

IMAGES = 10_000  # of each severity in the published files
REMEDY = "put the published file there, or leave files out to corrupt the test images here"
_AT_ONCE = 500


@dataclass(frozen=True)
class Corrupted:
    """A corruption of a data set's test images, by kind and severity of CIFAR-10-C (arXiv 1903.12261).

    Args:
        kind: a corruption; see ``energy_at.corruptions.KINDS``.
        severity: 1 to 5, as published for images of 32x32 pixels.
        files: folder of the published CIFAR-10-C or CIFAR-100-C (``fog.npy``, ..., ``labels.npy``), whose images and
            labels take the place of the test images; None corrupts these.
        photographs: for frost without files, a folder of photographs of frost, which the package does not bring.
        seed: of the corruption's noise; files have theirs.

    Raises:
        InputError: if kind or severity is unknown, or frost has neither files nor photographs.
    """

    kind: Kind
    severity: int = 3
    files: str | Path | None = None
    photographs: str | Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_corruption(self.kind, self.severity, self.photographs, self.seed)
        if self.kind == "frost" and self.files is None:
            read_photographs(self.photographs)

    def __str__(self) -> str:
        """Kind and severity, such as "fog-3" where it is made here, and "published fog-3" where it is read."""
        return f"{'published ' if self.files else ''}{self.kind}-{self.severity}"

    def of(self, images: np.ndarray) -> np.ndarray:
        """Corrupt images, uint8 ``[N, C, H, W]``; the result depends on their order and the seed alone."""
        return np.concatenate(list(self._parts(images)))

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """The published images, uint8 ``[10000, 3, 32, 32]``, and labels ``[10000]`` of this kind and severity.

        Raises:
            InputError: if a file is missing, damaged, or not as published.
        """
        rows = slice(IMAGES * (self.severity - 1), IMAGES * self.severity)
        images, labels = (
            _published(Path(self.files or "") / f"{name}.npy", shape)[rows]
            for name, shape in ((self.kind, (5 * IMAGES, 32, 32, 3)), ("labels", (5 * IMAGES,)))
        )
        return images.transpose(0, 3, 1, 2), labels

    def _parts(self, images: np.ndarray) -> Iterator[np.ndarray]:
        photographs = read_photographs(self.photographs) if self.kind == "frost" else None
        for start in range(0, len(images), _AT_ONCE):
            rng = generator(self.seed, 1 + start)
            yield corrupt(images[start : start + _AT_ONCE], self.kind, self.severity, rng, photographs)


def _published(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    with readable(path, REMEDY):
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    require(
        found.shape == shape and found.dtype == np.uint8,
        f"{path} holds {found.dtype} {list(found.shape)}, expected uint8 {list(shape)}; {REMEDY}",
    )
    return found
