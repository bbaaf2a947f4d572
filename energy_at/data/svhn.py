"""Street View House Numbers."""

from torchvision import datasets

from energy_at.data.downloaded import DownloadedData
from energy_at.data.memory import Arrays


class SVHN(DownloadedData):
    """SVHN: 73,257 training and 26,032 test images of digits, 32x32 pixels (Netzer et al. 2011); "extra" is not used.

    Augmentation: crops of 32 after padding by 4, no flips. See ``InMemoryData`` for the arguments.
    """

    location = "{split}_32x32.mat"
    image_shape = (3, 32, 32)
    num_classes = 10
    mean = (0.4377, 0.4438, 0.4728)
    std = (0.1980, 0.2010, 0.1970)
    class_names = tuple("0123456789")
    flip = False

    def _open(self, split: str, download: bool) -> Arrays:
        source = datasets.SVHN(self.root, split=split, download=download)
        return source.data, source.labels
