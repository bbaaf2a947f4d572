"""Where and how large the benchmarks run."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from energy_at.models import PreActResNet, ResNet


@dataclass(frozen=True)
class Setting:
    """Device and size of a run.

    Args:
        device: "cpu" or "cuda".
        quick: narrow nets and few rounds, to see that everything runs; its figures say little.
    """

    device: torch.device
    quick: bool = False

    @property
    def rounds(self) -> int:
        """Alternations of the long measurements."""
        return 2 if self.quick else 3

    @property
    def number(self) -> int:
        """Steps in one timing: a device that works ahead of Python needs several."""
        return 20 if self.device.type == "cuda" else 1

    def resnet(self) -> nn.Module:
        """ResNet-18 (narrow in a quick run), weights from a fixed seed."""
        torch.manual_seed(0)
        return ResNet(width=8 if self.quick else 64).to(self.device)

    def narrow(self) -> nn.Module:
        """PreActResNet-18 of width 16: a quarter of the usual width, where Python's share is largest."""
        torch.manual_seed(0)
        return PreActResNet(width=16).to(self.device)

    def batch(self, count: int = 64) -> tuple[Tensor, Tensor]:
        """Random images [count, 3, 32, 32] in NCHW memory, and labels, on the device."""
        source = torch.Generator().manual_seed(0)
        x, y = torch.rand(count, 3, 32, 32, generator=source), torch.randint(10, (count,), generator=source)
        return x.to(self.device), y.to(self.device)
