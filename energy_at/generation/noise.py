"""Random numbers that are a function of (seed of the sample, step) alone, drawn for a whole batch at once.

A counter-based generator: number j of sample i at step t is a hash of (seed_i, t, j), by the mixing function of
SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). So an image does not depend on the batch, the order or the process
in which it is made, and no generator has to be kept per sample.
"""

from math import pi, prod

import torch
from torch import Tensor

# streams besides the sampler's steps 0, 1, 2, ...
START, ANCHOR, TARGET = -1, -2, -3

_GAMMA = 0x9E3779B97F4A7C15 - 2**64  # torch has no uint64 arithmetic: the same bits, signed
_FIRST = 0xBF58476D1CE4E5B9 - 2**64
_SECOND = 0x94D049BB133111EB - 2**64


def sample_seeds(seed: int, indices: Tensor) -> Tensor:
    """The seed of each sample of a run, a function of (seed, index) alone.

    Args:
        seed: of the run, a signed number of 64 bits.
        indices: [n], the samples' places in the run: 0, 1, 2, ...; a process takes those of its own samples.

    Returns:
        [n], int64.
    """
    return _key(torch.full_like(indices, seed, dtype=torch.int64), indices * _GAMMA)


def random_bits(seeds: Tensor, stream: int, count: int) -> Tensor:
    """``count`` words of 64 random bits for each sample.

    Args:
        seeds: [n], int64, one a sample.
        stream: the sampler's step, or one of START, ANCHOR and TARGET.
        count: words a sample.

    Returns:
        [n, count], int64.
    """
    counter = torch.arange(1, count + 1, device=seeds.device) * _GAMMA
    return _mix(_key(seeds, _signed(stream * _GAMMA)).unsqueeze(1) + counter)


def normal(seeds: Tensor, stream: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal numbers by Box and Muller's transform, float32, [n, *shape]; arguments as ``random_bits``."""
    count = prod(shape)
    bits = random_bits(seeds, stream, (count + 1) // 2)
    radius = _unit(bits >> 32).add_(2**-24).log_().mul_(-2).sqrt_()  # of (0, 1], where the logarithm is finite
    angle = _unit(bits).mul_(2 * pi)
    numbers = torch.cat((radius * angle.cos(), radius * angle.sin()), dim=1)
    return numbers[:, :count].reshape(len(seeds), *shape)


def uniform(seeds: Tensor, stream: int, shape: tuple[int, ...]) -> Tensor:
    """Uniform numbers in [0, 1), float32, [n, *shape]; arguments as ``random_bits``."""
    return _unit(random_bits(seeds, stream, prod(shape))).view(len(seeds), *shape)


def choice(seeds: Tensor, stream: int, counts: Tensor) -> Tensor:
    """One integer in 0..counts[i]-1 for each sample, [n]; counts [n] is below 2^32, the rest as ``random_bits``."""
    bits = random_bits(seeds, stream, 1).squeeze(1) & (2**31 - 1)
    return bits * counts >> 31


def _key(seeds: Tensor, stream: int | Tensor) -> Tensor:
    return _mix(_mix(seeds + _GAMMA) + stream)


def _signed(number: int) -> int:
    """The number's lowest 64 bits, as int64 has them."""
    return (number + 2**63) % 2**64 - 2**63


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shifted(z, 30)) * _FIRST
    z = (z ^ _shifted(z, 27)) * _SECOND
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, places: int) -> Tensor:
    """Logical shift to the right, which brings zeros in; torch's own brings the sign."""
    return (z >> places).bitwise_and_((1 << (64 - places)) - 1)


def _unit(bits: Tensor) -> Tensor:
    """The lowest 24 bits, as many as float32 holds, as a number in [0, 1)."""
    return (bits & (2**24 - 1)).to(torch.float32).mul_(2**-24)
