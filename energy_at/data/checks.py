"""Refusals: what cannot be trained on is turned into one sentence that names its source and the remedy."""

import numpy as np

from energy_at.types import require, require_count


def check_arrays(
    images: np.ndarray, labels: np.ndarray, shape: tuple[int, int, int], num_classes: int, source: object
) -> None:
    """Refuse arrays that are not one labelled uint8 image set of the expected shape.

    Args:
        images: expected uint8 ``[N, C, H, W]``.
        labels: expected integers ``[N]`` in [0, num_classes - 1].
        shape: expected (C, H, W).
        num_classes: number of classes.
        source: where the arrays come from, for the message.

    Raises:
        InputError: if dtype, shape, length or a label is not as expected.
    """
    expected = f"uint8 [N, {', '.join(map(str, shape))}] with N > 0"
    require(
        images.dtype == np.uint8 and images.ndim == 4 and images.shape[1:] == shape and len(images) > 0,
        f"{source} holds images of {images.dtype} {list(images.shape)}, expected (channels first) {expected};"
        " convert or replace it",
    )
    require(
        np.issubdtype(labels.dtype, np.integer) and labels.shape == (len(images),),
        f"{source} holds labels of {labels.dtype} {list(labels.shape)}, expected {len(images)} integers; replace it",
    )
    low, high = int(labels.min()), int(labels.max())
    require(
        low >= 0 and high < num_classes,
        f"{source} has labels from {low} to {high}, expected 0 to {num_classes - 1}; replace it or relabel it",
    )


def check_sizes(batch_size: int, eval_batch_size: int, val_size: float, train_size: int | None, seed: int) -> None:
    """Refuse arguments that no data set could serve.

    Args:
        batch_size: at least 1.
        eval_batch_size: at least 1.
        val_size: an integer count from 0 on, or a fraction in [0, 1).
        train_size: at least 1, or None.
        seed: at least 0.

    Raises:
        InputError: if one is out of range.
    """
    require_count("batch_size", batch_size, 128)
    require_count("eval_batch_size", eval_batch_size, 500)
    require_count("seed", seed, 0, least=0)
    require(
        val_size >= 0 and (val_size < 1 or val_size == int(val_size)),
        f"val_size is {val_size}, expected a number of images or a fraction below 1 of the training images",
    )
    if train_size is not None:
        require_count("train_size", train_size, 10000)
