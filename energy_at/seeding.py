"""Random generators that depend on where the training stands, and on nothing that happened before."""

import numpy as np
import torch


def seeded_generator(device: torch.device | str, *entropy: int) -> torch.Generator:
    """A generator for this device whose state is a function of the given integers alone.

    Seeded from (seed, epoch, step, rank), a resumed run draws what the uninterrupted one would have drawn.

    Args:
        device: where the random numbers are drawn.
        entropy: integers of at least 0.
    """
    # the length leads, because numpy pads with zeros: (1, 2) and (1, 2, 0) are to differ
    seed = np.random.SeedSequence((len(entropy), *entropy)).generate_state(1, np.uint64).item()
    return torch.Generator(device).manual_seed(seed)
