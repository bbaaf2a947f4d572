"""Tiny data sets in the real on-disk formats. Each writer returns ``{"train": (images, labels), "test": ...}``.

Images are uint8 ``[N, C, H, W]`` as the data modules must deliver them, up to JPEG where the format is lossy.
"""

import os
import pickle
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image
from scipy.io import savemat

from energy_at.data import CIFAR10, ImageData, ImageFolder, ImageNet

Arrays = tuple[np.ndarray, np.ndarray]


@contextmanager
def unchecked() -> Iterator[None]:
    """Let torchvision take files whose sums are not the official ones."""

    def exists(path: str, md5: str | None = None) -> bool:
        return os.path.isfile(path)

    with ExitStack() as patches:
        for module in ("cifar", "svhn", "utils"):
            patches.enter_context(mock.patch(f"torchvision.datasets.{module}.check_integrity", exists))
        yield


def random_arrays(count: int, shape: tuple[int, int, int], num_classes: int, seed: int = 0) -> Arrays:
    """Noise, with labels that go round the classes."""
    rng = np.random.default_rng([seed, count])
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8), np.arange(count) % num_classes


def write_cifar10(root: Path | str, n_per_batch: int = 20) -> dict[str, Arrays]:
    """Five training batches and a test batch of ``n_per_batch`` images each."""
    folder = _made(Path(root) / "cifar-10-batches-py")
    images, labels = random_arrays(5 * n_per_batch, (3, 32, 32), 10)
    for batch in range(5):
        part = slice(batch * n_per_batch, (batch + 1) * n_per_batch)
        _write_cifar(folder / f"data_batch_{batch + 1}", images[part], labels[part], "labels")
    test = random_arrays(n_per_batch, (3, 32, 32), 10, seed=1)
    _write_cifar(folder / "test_batch", *test, "labels")
    _pickle(folder / "batches.meta", {"label_names": [f"class {k}" for k in range(10)]})
    return {"train": (images, labels), "test": test}


def write_cifar100(root: Path | str, n_train: int = 200, n_test: int = 100) -> dict[str, Arrays]:
    folder = _made(Path(root) / "cifar-100-python")
    splits = {
        "train": random_arrays(n_train, (3, 32, 32), 100),
        "test": random_arrays(n_test, (3, 32, 32), 100, seed=1),
    }
    for split, arrays in splits.items():
        _write_cifar(folder / split, *arrays, "fine_labels")
    _pickle(folder / "meta", {"fine_label_names": [f"class {k}" for k in range(100)]})
    return splits


def write_svhn(root: Path | str, n_train: int = 100, n_test: int = 20) -> dict[str, Arrays]:
    _made(Path(root))
    splits = {
        "train": random_arrays(n_train, (3, 32, 32), 10),
        "test": random_arrays(n_test, (3, 32, 32), 10, seed=1),
    }
    for split, (images, labels) in splits.items():
        y = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]  # the files call the digit 0 class 10
        savemat(Path(root) / f"{split}_32x32.mat", {"X": images.transpose(2, 3, 1, 0), "y": y})
    return splits


def write_fashion_mnist(root: Path | str, n_train: int = 100, n_test: int = 20) -> dict[str, Arrays]:
    """Images of 28x28, not framed."""
    folder = _made(Path(root) / "FashionMNIST" / "raw")
    splits = {
        "train": random_arrays(n_train, (1, 28, 28), 10),
        "test": random_arrays(n_test, (1, 28, 28), 10, seed=1),
    }
    for name, (images, labels) in zip(("train", "t10k"), splits.values(), strict=True):
        _write_idx(folder / f"{name}-images-idx3-ubyte", images[:, 0])
        _write_idx(folder / f"{name}-labels-idx1-ubyte", labels.astype(np.uint8))
    return splits


def write_tiny_imagenet(root: Path | str, n_train: int = 2, n_test: int = 200) -> dict[str, Arrays]:
    """All 200 classes, with ``n_train`` training images each and ``n_test`` validation images in all."""
    folder = _made(Path(root) / "tiny-imagenet-200")
    wnids = [f"n{k:08d}" for k in range(200)]
    (folder / "wnids.txt").write_text("\n".join(reversed(wnids)) + "\n")
    images, labels = random_arrays(n_train * 200, (3, 64, 64), 200)
    order = np.argsort(labels, kind="stable")
    images, labels = images[order], labels[order]
    train = _write_jpegs(
        [folder / "train" / wnids[k] / "images" / f"{wnids[k]}_{i:06d}.JPEG" for i, k in enumerate(labels)], images
    )
    images, test_labels = random_arrays(n_test, (3, 64, 64), 200, seed=1)
    names = [f"val_{i:06d}.JPEG" for i in range(n_test)]
    test = _write_jpegs([folder / "val" / "images" / name for name in names], images)
    rows = [f"{name}\t{wnids[k]}\t0\t0\t63\t63" for name, k in zip(names, test_labels, strict=True)]
    (folder / "val" / "val_annotations.txt").write_text("\n".join(rows) + "\n")
    return {"train": (train, labels), "test": (test, test_labels)}


def write_image_folder(
    root: Path | str,
    classes: tuple[str, ...] = ("cat", "dog"),
    n_train: int = 10,
    n_test: int = 4,
    size: tuple[int, int] = (16, 16),
    suffix: str = ".png",
    test_name: str = "test",
) -> dict[str, Arrays]:
    """``n_train`` and ``n_test`` images of each class."""
    splits = {}
    for seed, (split, count) in enumerate({"train": n_train, test_name: n_test}.items()):
        images, labels = random_arrays(count * len(classes), (3, *size), len(classes), seed)
        labels = np.sort(labels)
        paths = [Path(root) / split / classes[k] / f"{i:04d}{suffix}" for i, k in enumerate(labels)]
        splits["train" if split == "train" else "test"] = (_write_jpegs(paths, images), labels)
    return splits


def write_imagenet(
    root: Path | str, size: int = 40, num_classes: int = 3, n_train: int = 8, n_val: int = 4
) -> dict[str, Arrays]:
    """``train/<wnid>/*.JPEG`` and ``val/<wnid>/*.JPEG``, images ``size`` high and a quarter wider."""
    wnids = tuple(f"n{k:08d}" for k in range(num_classes))
    return write_image_folder(root, wnids, n_train, n_val, (size, size * 5 // 4), ".JPEG", "val")


def written_data_sets(folder: Path) -> list[tuple[type[ImageData], dict[str, object]]]:
    """A data set of each way to read images (arrays, a folder in memory, files on disk), and what it is made with."""
    write_cifar10(folder / "cifar")
    write_image_folder(folder / "folder")
    write_imagenet(folder / "imagenet")
    return [
        (CIFAR10, {"root": folder / "cifar", "download": False}),
        (ImageFolder, {"root": folder / "folder"}),
        (ImageNet, {"root": folder / "imagenet", "num_classes": 3, "image_size": 16, "resize": 20}),
    ]


def write_synthetic(path: Path | str, count: int, shape: tuple[int, int, int], num_classes: int) -> Arrays:
    """An npz file of extra images; returns them channels first."""
    images, labels = random_arrays(count, shape, num_classes, seed=2)
    np.savez(path, image=images.transpose(0, 2, 3, 1), label=labels)
    return images, labels


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _pickle(path: Path, content: dict) -> None:
    path.write_bytes(pickle.dumps(content))


def _write_cifar(path: Path, images: np.ndarray, labels: np.ndarray, key: str) -> None:
    _pickle(path, {"data": images.reshape(len(images), -1), key: labels.tolist()})


def _write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(header + array.tobytes())


def _write_jpegs(paths: list[Path], images: np.ndarray) -> np.ndarray:
    """Write the files and return what Pillow reads back."""
    read = []
    for path, image in zip(paths, images, strict=True):
        _made(path.parent)
        Image.fromarray(image.transpose(1, 2, 0)).save(path)
        read.append(np.asarray(Image.open(path)).transpose(2, 0, 1))
    return np.stack(read)
