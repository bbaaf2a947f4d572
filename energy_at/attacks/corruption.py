"""Corruptions that know nothing of the net: rows beside the attacks."""

from hashlib import sha256
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import nn

from energy_at.attacks.base import Disturbance
from energy_at.corruptions import Kind, check_corruption, corrupt, read_photographs
from energy_at.types import Images, Labels


class Corruption(Disturbance):
    """Images under a common corruption, as CIFAR-10-C has them (arXiv 1903.12261), made on the fly.

    Images are taken, and come back, in eight bits a channel. They are corrupted on the CPU, so that a seed gives the
    same images on every device; of a generator that is given on another device, its initial seed counts.

    Args:
        kind: a corruption; see ``energy_at.corruptions.KINDS``.
        severity: 1 to 5, as published for images of 32x32 pixels.
        photographs: for frost, a folder of photographs of frost, which the package does not bring.
        seed: of the corruption's noise.

    Raises:
        InputError: if kind or severity is unknown, or frost has no photographs; when it is called, if the images are
            neither grey nor RGB.
    """

    def __init__(self, kind: Kind, severity: int = 3, photographs: str | Path | None = None, seed: int = 0) -> None:
        check_corruption(kind, severity, photographs, seed)
        super().__init__(seed)
        self.kind, self.severity, self.photographs = kind, severity, photographs
        self._photographs = read_photographs(photographs) if kind == "frost" else None

    @property
    def facts(self) -> dict[str, str]:
        """What decides the images beside the arguments: the photographs themselves, in place of their folder."""
        content = [photograph.tobytes() for photograph in self._photographs or ()]
        return {"photographs": sha256(b"".join(content)).hexdigest()} if content else {}

    def perturb(self, net: nn.Module, x: Images, y: Labels, start: Images | None, generator: torch.Generator) -> Images:
        """See ``Attack``; with a start, that is corrupted."""
        images = (x if start is None else start).double().mul(255).round().byte().cpu().numpy()
        corrupted = corrupt(images, self.kind, self.severity, _random(generator), self._photographs)
        return (torch.from_numpy(corrupted).to(x.dtype) / 255).to(x.device)  # a GPU divides by multiplying

    def generator(self, device: torch.device) -> torch.Generator:
        """See ``Attack``; the same one for every device."""
        return super().generator(torch.device("cpu"))

    def scaled(self, factor: float) -> Self:
        """See ``Attack``; a corruption has no lengths, and stays as it is."""
        return self

    def at(self, severity: int) -> Self:
        """The same corruption with another severity."""
        return type(self)(self.kind, severity, self.photographs, self.seed)


def _random(generator: torch.Generator) -> np.random.Generator:
    if generator.device.type != "cpu":
        generator = torch.Generator().manual_seed(generator.initial_seed())
    return np.random.default_rng(torch.randint(2**63 - 1, (2,), generator=generator).numpy())
