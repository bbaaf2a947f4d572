"""Which corruptions there are, and their parameters for each severity.

The numbers are those with which CIFAR-10-C was made, for images of 32x32 pixels: ImageNet-C/create_c/make_cifar_c.py
of github.com/hendrycks/robustness.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from energy_at.corruptions import blur, digital, noise, weather
from energy_at.corruptions.elastic import elastic_transform
from energy_at.corruptions.filters import eight_bits
from energy_at.corruptions.photographs import REMEDY
from energy_at.corruptions.spatter import spatter
from energy_at.types import require, require_count, require_one_of

Kind: TypeAlias = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
    "speckle_noise",
    "gaussian_blur",
    "spatter",
    "saturate",
]
KINDS: tuple[str, ...] = get_args(Kind)
BENCHMARK = KINDS[:15]  # over which the published means are; the others are for validation

_PUBLISHED: dict[str, tuple[Callable[..., np.ndarray], Sequence[Any]]] = {
    "gaussian_noise": (noise.gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": (noise.shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": (noise.impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus_blur": (blur.defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    "glass_blur": (blur.glass_blur, ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))),
    "motion_blur": (blur.motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))),
    "zoom_blur": (blur.zoom_blur, (1.06, 1.11, 1.16, 1.21, 1.26)),
    "snow": (
        weather.snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "frost": (weather.frost, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))),
    "fog": (weather.fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "brightness": (digital.brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (digital.contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "elastic_transform": (
        elastic_transform,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ),
    "pixelate": (digital.pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg_compression": (digital.jpeg_compression, (80, 65, 58, 50, 40)),
    "speckle_noise": (noise.speckle_noise, (0.06, 0.1, 0.12, 0.16, 0.2)),
    "gaussian_blur": (blur.gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1)),
    "spatter": (
        spatter,
        (
            (0.62, 0.1, 0.7, 0.7, 0.5, False),
            (0.65, 0.1, 0.8, 0.7, 0.5, False),
            (0.65, 0.3, 1, 0.69, 0.5, False),
            (0.65, 0.1, 0.7, 0.69, 0.6, True),
            (0.65, 0.1, 0.5, 0.68, 0.6, True),
        ),
    ),
    "saturate": (digital.saturate, ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))),
}


def check_corruption(kind: str, severity: int, photographs: object, seed: int) -> None:
    """Refuse what is no corruption.

    Args:
        kind: one of ``KINDS``.
        severity: 1 to 5.
        photographs: folder of frost's; None for every other kind.
        seed: at least 0.

    Raises:
        InputError: if an argument is none of these.
    """
    require_one_of("kind", kind, KINDS)
    whole = isinstance(severity, int) and severity in range(1, 6)
    require(whole, f"severity is {severity!r}, but severities are 1 to 5; write severity: 3")
    require_count("seed", seed, 0, least=0)
    require(photographs is None or kind == "frost", f"{kind} takes no photographs; leave them out, or use kind: frost")


def corrupt(
    images: np.ndarray,
    kind: Kind,
    severity: int,
    rng: np.random.Generator,
    photographs: Sequence[np.ndarray] | None = None,
) -> np.ndarray:
    """Images under a corruption, cut off to eight bits as the published ones are.

    Args:
        images: uint8 ``[N, C, H, W]`` with C of 1 or 3; severities are published for 32x32 pixels.
        kind: one of ``KINDS``.
        severity: 1 to 5.
        rng: source of randomness.
        photographs: for frost, as ``read_photographs`` gives them.

    Returns:
        uint8 of the same shape.

    Raises:
        InputError: if the images have another number of channels, or frost has no photographs larger than them.
    """
    channels, *size = images.shape[1:]
    require(
        channels in (1, 3), f"images have {channels} channels, but a corruption takes 1 or 3; give grey or RGB ones"
    )
    if size != [32, 32]:
        warnings.warn(
            f"severities of corruptions are published for images of 32x32 pixels, and these are {size[1]}x{size[0]}: "
            "the result is comparable with no published one",
            stacklevel=2,
        )
    function, severities = _PUBLISHED[kind]
    parameters = severities[severity - 1]
    parameters = parameters if isinstance(parameters, tuple) else (parameters,)
    if kind == "frost":
        require(
            bool(photographs) and all(min(p.shape[:2]) > max(size) for p in photographs or ()),
            f"frost needs photographs larger than five times {size[1]}x{size[0]} pixels; {REMEDY}",
        )
        parameters = (*parameters, photographs)
    corrupted = function(images.transpose(0, 2, 3, 1) / 255.0, rng, *parameters)
    return np.ascontiguousarray(eight_bits(corrupted).transpose(0, 3, 1, 2))
