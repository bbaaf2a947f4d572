"""What is fitted to a data set class by class: its checks, its file and its device."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from energy_at.describe import Described
from energy_at.files import write_torch
from energy_at.generation.noise import choice
from energy_at.types import Images, InputError, Labels, kind_of, require


class Fitted(Described):
    """Fitted tensors under their names, with a file format.

    The tensors stay on the device of the images they were fitted to; ``to`` moves them, and samples are made there.
    """

    option_names: ClassVar[tuple[str, ...]] = ()  # of the constructor; kept in the file
    fit_options: ClassVar[tuple[str, ...]] = ()  # of these, the ones that the fitted tensors depend on

    def __init__(self) -> None:
        self._tensors: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        """A fitted tensor.

        Raises:
            InputError: before fit or load.
        """
        kind = type(self).__name__
        require(bool(self._tensors), f"this {kind} is not fitted yet; call fit(images, labels) or {kind}.load(path)")
        return self._tensors[name]

    @property
    def device(self) -> torch.device:
        """Where samples are made."""
        return self["counts"].device

    def to(self, device: torch.device | str) -> Self:
        """Move the fitted tensors to this device."""
        self._tensors = {name: tensor.to(device) for name, tensor in self._tensors.items()}
        return self

    def save(self, path: str | Path) -> None:
        """Write the fit to a file that holds plain numbers only; an interrupted write leaves an earlier file whole.

        Raises:
            InputError: before fit or load.
        """
        path, _ = Path(path), self["counts"]
        options = {name: getattr(self, name) for name in self.option_names}
        write_torch(path, {"kind": type(self).__name__, "options": options, "tensors": self._tensors})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a fit that ``save`` wrote, onto the CPU.

        Raises:
            InputError: if the file is missing, damaged or of another kind.
        """
        content = _read(path)
        require(
            content["kind"] == cls.__name__,
            f"{path} holds a fit of {content['kind']}, not of {cls.__name__}; load it with {content['kind']}.load",
        )
        loaded = cls(**content["options"])
        loaded._tensors = content["tensors"]
        return loaded

    def reuse(self, path: Path, fit: Callable[[], object]) -> Self:
        """Take the fitted tensors of a file; where it is missing or damaged, fit and write it.

        Args:
            path: whose name tells data and ``fit_options``.
            fit: fits this very object.
        """
        try:
            self._tensors = type(self).load(path)._tensors
        except InputError:
            fit()
            self.save(path)
        return self

    def draw_member(self, labels: Labels, seeds: Tensor, stream: int) -> Tensor:
        """Place of a random member of each label's class, [n], where members stand in the order of their classes."""
        return self["firsts"][labels] + choice(seeds, stream, self["counts"][labels])

    def check_request(self, labels: Labels, seeds: Tensor) -> tuple[Labels, Tensor]:
        """Labels and seeds of a request, each [n], moved to the fit's device.

        Raises:
            InputError: if they differ in length, or a label has no class.
        """
        tensors = isinstance(labels, Tensor) and isinstance(seeds, Tensor)
        require(
            tensors and labels.shape == seeds.shape and labels.dim() == 1,
            f"labels are {kind_of(labels)} and seeds {kind_of(seeds)}; give tensors with one of each a sample",
        )
        classes = len(self["counts"])
        bad = labels[(labels < 0) | (labels >= classes)]
        require(
            len(bad) == 0,
            f"label {bad[:1].sum()} was asked for, but the fit has the classes 0 to {classes - 1}; ask for one of them",
        )
        return labels.to(self.device, torch.int64), seeds.to(self.device, torch.int64)


class ClassTable(NamedTuple):
    """Where each class stands when the data are put into the order of their labels."""

    order: Tensor  # [N], the place in the data of each member, class after class
    firsts: Tensor  # [K], the place in that order of each class's first member
    counts: Tensor  # [K]

    def members(self, label: int) -> Tensor:
        """Places in the data of one class's members."""
        first = int(self.firsts[label])
        return self.order[first : first + int(self.counts[label])]


def class_table(labels: Labels, at_least: int = 1, why: str = "a fit of each class", option: str = "") -> ClassTable:
    """Sort the data by class.

    Args:
        labels: [N], in 0..K-1, each class at least once.
        at_least: images that a class needs.
        why: what needs them, for the message.
        option: that asks for so many.

    Raises:
        InputError: if a class has too few images; the message names it.
    """
    counts = torch.bincount(labels)
    label = int(counts.argmin())
    require(
        int(counts[label]) >= at_least,
        f"class {label} has {int(counts[label])} images, but {why} needs at least {at_least}; "
        f"give more images of the class{f', or lower {option}' if option else ''}",
    )
    return ClassTable(labels.argsort(stable=True), counts.cumsum(0) - counts, counts)


def check_data(images: Images, labels: Labels) -> None:
    """Refuse data that are not images in [0, 1] with a label each.

    Raises:
        InputError: naming what is wrong.
    """
    require(
        isinstance(images, Tensor) and images.dim() == 4 and images.is_floating_point() and len(images) > 0,
        f"images are {kind_of(images)}; give floating point [N, C, H, W]",
    )
    fits = isinstance(labels, Tensor) and labels.shape == images.shape[:1] and not labels.is_floating_point()
    require(
        fits and bool((labels >= 0).all()),
        f"labels are {kind_of(labels)}; give one integer of at least 0 for each image",
    )
    low, high = (float(value) for value in images.aminmax())
    require(low >= 0 and high <= 1, f"images lie in [{low:.3g}, {high:.3g}]; scale them to [0, 1]")


def _read(path: str | Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if set(content) != {"kind", "options", "tensors"}:
            raise TypeError("another file")
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; write it with save(path)") from None
    except Exception as error:  # a damaged file fails in many ways
        raise InputError(f"{path} is no fit ({type(error).__name__}); write it anew with save(path)") from error
    return content
