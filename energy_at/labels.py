"""Labels: of an image its class, y [N]; of an image mixed from several (CutMix, MixUp) every class's share, y [N, K].

Shares are probabilities, and everything that is linear in the label takes them: E(x, y) = sum_k y_k E(x, k), so that
CE(x, y) = E(x, y) - E(x) holds as it does for one class.
"""

from torch import Tensor

from energy_at.types import Labels


def are_shares(y: object) -> bool:
    """Whether labels are shares of classes, floating point [N, K]."""
    return isinstance(y, Tensor) and y.dim() == 2 and y.is_floating_point()


def main_class(y: Labels) -> Labels:
    """The class of each image, int64 [N]; of a mixed image the one with the largest share."""
    return y.argmax(dim=1) if are_shares(y) else y
