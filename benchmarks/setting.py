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
    def cuda(self) -> bool:
        """Whether this is a GPU, which works ahead of Python and wants more images at a time."""
        return self.device.type == "cuda"

    @property
    def rounds(self) -> int:
        """Alternations of the long measurements."""
        return 1 if self.quick else 3

    @property
    def seconds(self) -> float:
        """Short measurements alternate until so much time has passed."""
        return 0.0 if self.quick else 5.0

    @property
    def number(self) -> int:
        """Steps in one timing: a device that works ahead of Python needs several."""
        return 20 if self.cuda else 1

    @property
    def steps(self) -> int:
        """Of an epoch; a GPU does all of CIFAR-10's."""
        return 4 if self.quick else 390 if self.cuda else 48

    @property
    def images(self) -> int:
        """Of a batch, where a row says nothing else."""
        return 16 if self.quick else 128 if self.cuda else 64

    @property
    def floor_goal(self) -> float:
        """How many times the bare passes a training step may take: a GPU makes Python's share count."""
        return 1.10 if self.cuda else 1.05

    @property
    def textbook_goal(self) -> float:
        """How many times faster than the textbook loop the PGD-10 step of ResNet-18 should be."""
        return 5.0 if self.cuda else 3.0

    @property
    def widths(self) -> tuple[int, int, int]:
        """Of growing nets; the narrow one is where Python's share is largest, the last one is ResNet-18."""
        return (4, 6, 8) if self.quick else (16, 32, 64)

    def resnet(self) -> nn.Module:
        """ResNet-18, weights from a fixed seed."""
        torch.manual_seed(0)
        return ResNet(width=self.widths[-1]).to(self.device)

    def narrow(self, width: int | None = None) -> nn.Module:
        """PreActResNet-18 of a quarter of the usual width, or of this one."""
        torch.manual_seed(0)
        return PreActResNet(width=width or self.widths[0]).to(self.device)

    def batch(self, count: int | None = None, nhwc: bool = False) -> tuple[Tensor, Tensor]:
        """Random images [count, 3, 32, 32] in NCHW or NHWC memory, and labels, on the device."""
        count, source = count or self.images, torch.Generator().manual_seed(0)
        x, y = torch.rand(count, 3, 32, 32, generator=source), torch.randint(10, (count,), generator=source)
        layout = torch.channels_last if nhwc else torch.contiguous_format
        return x.to(self.device, memory_format=layout), y.to(self.device)
