"""A start of FGSM from a corner of the ball, for ``energy-at reproduce starts-jpeg16`` from the checkout."""

import torch

from energy_at import FGSM
from energy_at.types import Images


class Corners(FGSM):
    """From -eps or eps in each value: half of the values come back to the image, and the others stay."""

    def draw_start(self, x: Images, generator: torch.Generator | None = None) -> Images:
        """The images plus eps times a random sign in each value."""
        generator = generator or self.generator(x.device)
        bit = torch.randint(2, x.shape, generator=generator, dtype=x.dtype, device=x.device)
        return self.project(x + self.eps * (2 * bit - 1), x)
