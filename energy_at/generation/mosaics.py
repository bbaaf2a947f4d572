"""Pictures made of many small images: chains from start to end, and samples beside their nearest training images."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

STAGES = ("start", "middle of its steps", "end")
INCHES = 0.62  # of one image
MOST_CLASSES, MOST_COLUMNS = 40, 6  # in the overview


def draw_chains(stages: Tensor, name: str) -> Figure:
    """Samples of one class in columns; start, middle and end of their chains in rows.

    Args:
        stages: uint8 [p, 3, C, H, W].
        name: of the class.
    """
    figure = Figure(figsize=(INCHES * len(stages) + 1.6, INCHES * 3 + 0.5), layout="constrained")
    axes = figure.subplots()
    show_mosaic(axes, stages.transpose(0, 1).unbind(), STAGES)
    axes.set_title(name, parse_math=False)
    return figure


def draw_overview(stages: Tensor, labels: Tensor, class_names: Sequence[str]) -> Figure:
    """Starts, middles and ends of the chains of six samples side by side, a class in each row (the first 40 classes).

    Args:
        stages: uint8 [p, 3, C, H, W].
        labels: [p].
        class_names: of the labels.
    """
    classes = labels.unique()[:MOST_CLASSES]
    rows = [stages[labels == label] for label in classes]
    columns = min(MOST_COLUMNS, *map(len, rows))
    width, height = 3 * INCHES * columns + 1.6, INCHES * len(rows) + 0.5
    figure = Figure(figsize=(width, height), layout="constrained")
    for stage, axes in enumerate(figure.subplots(1, 3, squeeze=False)[0]):
        names = [class_names[label] for label in classes.tolist()] if stage == 0 else [""] * len(rows)
        show_mosaic(axes, [row[:columns, stage] for row in rows], names)
        axes.set_title(STAGES[stage])
    return figure


def draw_copies(samples: Tensor, nearest: Tensor, distances: Sequence[float]) -> Figure:
    """Samples in columns, the nearest training image of each below it.

    Args:
        samples: uint8 [p, C, H, W].
        nearest: uint8 [p, C, H, W], training images.
        distances: [p], between them.
    """
    figure = Figure(figsize=(INCHES * len(samples) + 1.9, INCHES * 2 + 0.6), layout="constrained")
    axes = figure.subplots()
    show_mosaic(axes, [samples, nearest], ("sample", "nearest training image"))
    axes.set_xticks(middles(samples.shape[-1], len(samples)), [f"{distance:.2f}" for distance in distances], fontsize=8)
    axes.set_title("the samples nearest to a training image, with their distance", fontsize=10)
    return figure


def show_mosaic(axes: Axes, rows: Sequence[Tensor], names: Sequence[str]) -> None:
    """Rows of images with a white line between them.

    Args:
        axes: to draw on.
        rows: each uint8 [columns, C, H, W].
        names: written before each row.
    """
    image = _joined([_joined(list(row), axis=2) for row in rows], axis=1)
    axes.imshow(image.permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks(middles(rows[0].shape[-2], len(rows)), names, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def middles(side: int, count: int) -> list[float]:
    """Where the middles of a mosaic's images lie along an axis, in its pixels.

    Args:
        side: of an image along it.
        count: of the images.
    """
    return [(side + 1) * place + (side + 1) / 2 - 1 for place in range(count)]


def _joined(images: list[Tensor], axis: int) -> Tensor:
    """Images [C, H, W] side by side along an axis, one white pixel apart."""
    pad = (0, 1, 0, 0) if axis == 2 else (0, 0, 0, 1)
    padded = [nn.functional.pad(image, pad, value=255) for image in images[:-1]]
    return torch.cat([*padded, images[-1]], dim=axis)
