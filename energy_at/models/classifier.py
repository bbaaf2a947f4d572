"""What all nets of this package share: they take images in [0, 1] and normalise inside themselves."""

from torch import nn

from energy_at.models.normalize import Normalize, Statistic, plain
from energy_at.types import require_count


class Classifier(nn.Module):
    """Maps images [N, C, H, W] in [0, 1] to logits [N, K].

    Args:
        num_classes: K, at least 1.
        in_channels: C, at least 1.
        mean: of the data in [0, 1], one value or one a channel; see ``Normalize``.
        std: likewise, above 0.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 3, mean: Statistic = None, std: Statistic = None
    ) -> None:
        super().__init__()
        require_count("num_classes", num_classes, 10)
        require_count("in_channels", in_channels, 3)
        self.num_classes, self.in_channels = num_classes, in_channels
        self.mean, self.std = plain(mean), plain(std)
        self.normalize = Normalize(mean, std, in_channels)
