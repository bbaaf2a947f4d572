"""Folders of images, one subfolder a class."""

import os
from pathlib import Path

import numpy as np

from energy_at.reading import FILES, images_in, readable
from energy_at.types import require


def list_classes(folder: Path) -> list[str]:
    """The class names: the sorted names of the subfolders.

    Args:
        folder: what holds one subfolder a class.

    Raises:
        InputError: if the folder is missing or has fewer than two subfolders.
    """
    layout = f"expected {folder}/<class>/<image>.jpg (or .png, .webp, ...): put the images there or correct root"
    require(folder.is_dir(), f"there is no folder {folder}; {layout}")
    with readable(folder, "correct the folder"), os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    require(len(names) > 0, f"{folder} has no class folders; {layout}")
    require(len(names) > 1, f"{folder} has one class folder, but a classifier tells two or more apart; add another")
    return names


def require_same_classes(train: Path, other: Path) -> None:
    """Refuse a second folder whose classes are not those of the training folder.

    Args:
        train: the training folder.
        other: the validation or test folder.

    Raises:
        InputError: if a class is in one of the two only.
    """
    differing = sorted(set(list_classes(train)) ^ set(list_classes(other)))
    require(
        not differing,
        f"{other} and {train} have different classes ({', '.join(differing[:5])} in one only);"
        " give both the same class folders",
    )


def list_images(folder: Path, classes: list[str], within: str = "") -> tuple[list[str], np.ndarray]:
    """The image files of all classes, sorted by class and name.

    Args:
        folder: what holds one subfolder a class.
        classes: the class names; a class's label is its place here.
        within: a folder inside each class folder that holds the images.

    Returns:
        Paths, and labels int64 ``[N]``.

    Raises:
        InputError: if a class has no images.
    """
    per_class = [images_in(folder / name / within) for name in classes]
    for name, files in zip(classes, per_class, strict=True):
        require(
            len(files) > 0,
            f"class folder {folder / name / within} has no {FILES}; add some or remove the folder",
        )
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in per_class])
    return [file for files in per_class for file in files], labels
