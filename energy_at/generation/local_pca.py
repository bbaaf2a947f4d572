"""Starting points from the principal components of a neighbourhood within a class."""

from collections.abc import Callable

import torch
from torch import Tensor

from energy_at.generation.fitted import ClassTable, class_table
from energy_at.generation.noise import ANCHOR, START, normal
from energy_at.generation.pca import check_variance_and_scale, kept_components
from energy_at.generation.starts import ClassInit
from energy_at.types import Images, Labels, require_count

CHUNK = 500  # images whose features or distances are computed at a time
NEIGHBOURHOODS = 64  # held in memory at a time


class LocalPCA(ClassInit):
    """x0 = mu + sum_i s sigma_i z_i u_i over the leading components of a random neighbourhood within the class.

    An anchor is drawn at random among the class's images; mu, sigma_i and u_i are those of the PCA of the k images of
    the class nearest to it, itself among them. At small scales more diverse than the PCA of the class. Proposed in
    arXiv 2505.22486; there is no public code, so this is our form of it. A fit keeps the images.

    Args:
        neighbours: k, at least 2.
        variance: share of the neighbourhood's variance that the kept components explain at least, in (0, 1].
        scale: s, at least 0.
        features: maps images [n, C, H, W] to the vectors whose distances count, for example
            ``lambda x: net.features(net.normalize(x)).mean((2, 3))`` of a net in evaluation mode; None means pixels.
            Only ``fit`` uses it, so a file does without.

    Raises:
        InputError: if a value is out of its range.
    """

    option_names = ("neighbours", "variance", "scale")
    fit_options = ("neighbours",)

    def __init__(
        self,
        neighbours: int = 30,
        variance: float = 0.95,
        scale: float = 1.0,
        features: Callable[[Images], Tensor] | None = None,
    ) -> None:
        super().__init__()
        require_count("neighbours", neighbours, 30, least=2)
        check_variance_and_scale(variance, scale)
        self.neighbours = neighbours
        self.variance = variance
        self.scale = scale
        self.features = features

    def table(self, labels: Labels) -> ClassTable:
        """See ``ClassInit``."""
        return class_table(labels, self.neighbours, f"a neighbourhood of {self.neighbours}", "neighbours")

    def fit_classes(self, images: Images, table: ClassTable) -> dict[str, Tensor]:
        """See ``ClassInit``: the images in the order of their classes, and the places of each one's neighbours."""
        images = images[table.order]
        vectors = torch.cat([self._vectors(chunk) for chunk in images.split(CHUNK)])
        found = [nearest(own, self.neighbours) for own in vectors.split(table.counts.tolist())]
        neighbours = torch.cat([own + first for own, first in zip(found, table.firsts, strict=True)])
        return {"members": images.flatten(1).float(), "neighbours": neighbours}

    def draw(self, labels: Labels, seeds: Tensor) -> Tensor:
        """See ``ClassInit``."""
        chunks = zip(labels.split(NEIGHBOURHOODS), seeds.split(NEIGHBOURHOODS), strict=True)
        return torch.cat([self._draw_chunk(*chunk) for chunk in chunks])

    def _vectors(self, images: Images) -> Tensor:
        vectors = images if self.features is None else self.features(images)
        return vectors.reshape(len(images), -1).float()

    def _draw_chunk(self, labels: Labels, seeds: Tensor) -> Tensor:
        """The k images' own span serves as the basis: U diag(sigma) z = X^T P w / sqrt(k - 1), for w ~ N(0, 1) in R^k.

        P projects onto the leading eigenvectors of the Gram matrix X X^T of the centred images. It has neither their
        arbitrary signs nor the arbitrary order of equal eigenvalues, so a sample does not depend on its batch.
        """
        hood = self["members"][self["neighbours"][self.draw_member(labels, seeds, ANCHOR)]]  # [n, k, D]
        mean = hood.mean(dim=1, keepdim=True)
        hood -= mean
        values, vectors = torch.linalg.eigh(hood @ hood.mT)
        kept = kept_components(values.flip(1).clamp_min(0), self.variance).flip(1)
        vectors = vectors * kept.unsqueeze(1)
        white = normal(seeds, START, (self.neighbours, 1))
        weights = vectors @ (vectors.mT @ white) * (self.scale / (self.neighbours - 1) ** 0.5)
        return (mean + weights.mT @ hood).squeeze(1)


def nearest(vectors: Tensor, k: int) -> Tensor:
    """Places of the k vectors nearest to each, itself first, by Euclidean distance.

    Args:
        vectors: [n, D].
        k: at most n.

    Returns:
        [n, k].
    """
    vectors = vectors - vectors.mean(dim=0)  # smaller numbers lose less in |a|^2 - 2 ab + |b|^2
    places = torch.arange(len(vectors), device=vectors.device)
    found = []
    for own in places.split(CHUNK):
        distances = torch.cdist(vectors[own], vectors)
        distances[torch.arange(len(own)), own] = -1  # rounding may bring a twin before the image itself
        found.append(distances.topk(k, largest=False).indices)
    return torch.cat(found)
