"""Starting points from the principal components of each class, and from its Gaussian."""

from math import inf
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from energy_at.generation.fitted import ClassTable, class_table
from energy_at.generation.noise import START, normal
from energy_at.generation.starts import ClassInit
from energy_at.types import Images, Labels, require, require_count

CHUNK = 1024  # columns turned to float64 at a time


class ClassPCA(ClassInit):
    """x0 = mu_c + sum_i s sigma_i z_i u_i, z ~ N(0, 1), over the leading components of class c (arXiv 2407.06315).

    u_i and sigma_i^2 are the eigenvectors and eigenvalues of the class's covariance (divisor n - 1).

    Args:
        variance: share of the class's variance that the kept components explain at least, in (0, 1].
        scale: s, at least 0. 1 gives starts the variance of the class; the published code's 0.005 times the singular
            value is 0.35 at 5,000 images.
        components: how many components to keep, in place of the share of the variance.

    Raises:
        InputError: if a value is out of its range.
    """

    option_names: ClassVar[tuple[str, ...]] = ("variance", "scale", "components")
    fit_options: ClassVar[tuple[str, ...]] = ("variance", "components")

    def __init__(self, variance: float = 0.95, scale: float = 1.0, components: int | None = None) -> None:
        super().__init__()
        check_variance_and_scale(variance, scale)
        if components is not None:
            require_count("components", components, 50)
        self.variance = variance
        self.scale = scale
        self.components = components

    def table(self, labels: Labels) -> ClassTable:
        """See ``ClassInit``."""
        if self.components is None:
            return class_table(labels, 2, "a covariance")
        return class_table(labels, self.components + 1, f"a PCA with {self.components} components", "components")

    def fit_classes(self, images: Images, table: ClassTable) -> dict[str, Tensor]:
        """See ``ClassInit``; classes with fewer components are padded by zeros."""
        fits = [self._fit_class(images[table.members(label)].flatten(1)) for label in range(len(table.counts))]
        mean, std, components = zip(*fits, strict=True)
        most = max(map(len, std))
        return {
            "mean": torch.stack(mean),
            "std": torch.stack([F.pad(s, (0, most - len(s))) for s in std]),
            "components": torch.stack([F.pad(u, (0, 0, 0, most - len(u))) for u in components]),
        }

    def draw(self, labels: Labels, seeds: Tensor) -> Tensor:
        """See ``ClassInit``."""
        std = self["std"]
        weights = self.scale * std[labels] * normal(seeds, START, (std.shape[1],))
        x0 = self["mean"][labels]
        for label in labels.unique().tolist():  # a gather of each sample's components would fill the memory
            rows = labels == label
            x0[rows] += weights[rows] @ self["components"][label]
        return x0

    def _fit_class(self, members: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, variances, components = principal_components(members)
        kept = self.components or int(kept_components(variances, self.variance).sum())
        return mean, variances[:kept].sqrt().float(), components[:kept].clone()


class GaussianInit(ClassPCA):
    """x0 ~ N(mu_c, Sigma_c), the class's mean and covariance: every component at its full length.

    A file holds min(n - 1, D) vectors of D numbers a class; for images past 32x32, ClassPCA is smaller.
    """

    option_names = fit_options = ()

    def __init__(self) -> None:
        super().__init__(variance=1.0, scale=1.0)


def principal_components(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Principal components by the eigenvectors of the smaller of X^T X and X X^T, in float64.

    Args:
        rows: [n, D], n at least 2.

    Returns:
        The mean [D], the variances [r], largest first and in float64, and the components [r, D] as rows of unit length
        with r = min(n - 1, D).
    """
    n, dim = rows.shape
    mean = rows.mean(dim=0, dtype=torch.float64).float()
    centred = rows - mean
    values, vectors = torch.linalg.eigh(_gram(centred if n <= dim else centred.T) / (n - 1))
    values, vectors = values.flip(0).clamp_min_(0), vectors.flip(1).float()  # rounding makes a zero negative
    rank = min(n - 1, dim)
    components = vectors.T if n > dim else F.normalize(vectors.T @ centred, dim=1)
    return mean, values[:rank], components[:rank]


def kept_components(variances: Tensor, share: float) -> Tensor:
    """Mask of the leading components that explain at least this share of the variance, and of one at least.

    Args:
        variances: [..., r], largest first.
        share: in (0, 1]; 1 keeps all.
    """
    total = variances.sum(dim=-1, keepdim=True)
    before = variances.cumsum(dim=-1) - variances
    return (before < share * total) | (share == 1) | (total == 0)


def check_variance_and_scale(variance: float, scale: float) -> None:
    """Refuse a share of the variance or a scale out of its range.

    Raises:
        InputError: naming the value.
    """
    require(0 < variance <= 1, f"variance is {variance}, but a share lies in (0, 1]; write for example variance: 0.95")
    require(0 <= scale < inf, f"scale is {scale}, but it is finite and at least 0; write for example scale: 1")


def _gram(a: Tensor) -> Tensor:
    """A A^T in float64, without a copy of A in float64."""
    gram = a.new_zeros(len(a), len(a), dtype=torch.float64)
    for columns in a.split(CHUNK, dim=1):
        columns = columns.double()
        gram.addmm_(columns, columns.T)
    return gram
