"""The common corruptions of images (arXiv 1903.12261), by the kinds and severities of CIFAR-10-C.

The functions of this package take images, float64 ``[N, H, W, C]`` in [0, 1] with C of 1 or 3, a source of randomness,
and the parameters that ``published.py`` lists for each severity. They return images of the same shape, which may leave
[0, 1]. Everything is computed on the CPU, so that a seed gives the same images wherever the net is.
"""

from energy_at.corruptions.photographs import read_photographs
from energy_at.corruptions.published import BENCHMARK, KINDS, Kind, check_corruption, corrupt

__all__ = ["BENCHMARK", "KINDS", "Kind", "check_corruption", "corrupt", "read_photographs"]
