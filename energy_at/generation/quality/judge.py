"""Samples as an independent classifier sees them: class agreement, diversity, Frechet distance."""

from typing import NamedTuple

import torch
from torch import Tensor

from energy_at.generation.quality.features import Features
from energy_at.generation.quality.frechet import frechet_distance
from energy_at.types import Labels

CHUNK = 2048  # rows of distances in memory at a time


class Judgement(NamedTuple):
    """Samples beside real images, in a classifier's penultimate features.

    Args:
        agreement: share of the samples that the classifier assigns to their class.
        diversity: mean distance of two samples of a class, averaged over the classes.
        relative_diversity: the same, divided by the real images' own.
        frechet_distance: to the real images.
    """

    agreement: float
    diversity: float
    relative_diversity: float
    frechet_distance: float


def judged(samples: Features, real: Features) -> Judgement:
    """Judge samples by a classifier that had no part in making them.

    Args:
        samples: its features and logits of them.
        real: likewise of the training images.
    """
    of_samples = diversity(samples.vectors, samples.labels)
    classes = torch.isin(real.labels, samples.labels)
    return Judgement(
        float((samples.logits.argmax(1) == samples.labels).double().mean()),
        of_samples,
        of_samples / diversity(real.vectors[classes], real.labels[classes]),
        frechet_distance(samples.vectors, real.vectors[classes]),
    )


def diversity(vectors: Tensor, labels: Labels) -> float:
    """Mean over the classes of the mean Euclidean distance of two different vectors of the class.

    Classes with a single vector are left out; not-a-number if there is no other.

    Args:
        vectors: [N, D].
        labels: [N].
    """
    own = [vectors[labels == label] for label in labels.unique()]
    return float(torch.tensor([_mean_distance(rows) for rows in own if len(rows) > 1], dtype=torch.float64).mean())


def _mean_distance(rows: Tensor) -> float:
    rows = rows - rows.mean(0)  # smaller numbers lose less in |a|^2 - 2 ab + |b|^2
    total = 0.0
    for first in range(0, len(rows), CHUNK):
        distances = torch.cdist(rows[first : first + CHUNK], rows)
        distances.diagonal(first).zero_()  # rounding leaves an image at a distance from itself
        total += float(distances.sum(dtype=torch.float64))
    return total / (len(rows) * (len(rows) - 1))
