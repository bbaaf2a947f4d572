"""Residual networks for small images: pre-activation and post-activation, of any width and depth."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from energy_at.models.blocks import BasicBlock, PreActBlock, conv3x3
from energy_at.models.checks import require_positive
from energy_at.models.normalize import Normalize
from energy_at.types import Images, Logits, require


class ResidualNet(nn.Module, ABC):
    """A 3x3 convolution, stages of residual blocks, global average pooling and a linear layer.

    Each stage after the first halves the image and doubles the width. Parameters are initialised as torch does.

    Args:
        num_classes: K, at least 1.
        width: channels of the first stage, at least 1.
        blocks: number of blocks of each stage, each at least 1.
        in_channels: C, at least 1.
        mean: of the data in [0, 1], one value or one a channel.
        std: likewise, above 0.

    Raises:
        InputError: if a value is out of its range.
    """

    block: ClassVar[type[nn.Module]]

    def __init__(
        self,
        num_classes: int = 10,
        width: int = 64,
        blocks: tuple[int, ...] = (2, 2, 2, 2),
        in_channels: int = 3,
        mean: tuple[float, ...] = (0.5,),
        std: tuple[float, ...] = (0.25,),
    ) -> None:
        super().__init__()
        require_positive(num_classes=num_classes, width=width, in_channels=in_channels)
        remedy = "give at least one stage of at least one block, as (2, 2, 2, 2)"
        require(min(blocks, default=0) >= 1, f"blocks is {tuple(blocks)}; {remedy}")
        self.num_classes, self.width, self.blocks, self.in_channels = num_classes, width, tuple(blocks), in_channels
        self.mean, self.std = tuple(mean), tuple(std)
        self.normalize = Normalize(mean, std, in_channels)
        self.conv1 = conv3x3(in_channels, width)
        self._add_stages()
        self._add_norm()
        self.linear = nn.Linear(self.widths[-1], num_classes)

    @property
    def widths(self) -> list[int]:
        """Channels of each stage."""
        return [self.width * 2**stage for stage in range(len(self.blocks))]

    def forward(self, x: Images) -> Logits:
        """Logits [N, K] of images [N, C, H, W] in [0, 1]."""
        return self.linear(self.features(self.normalize(x)).mean((2, 3)))

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """The last activation, [N, D, h, w], of normalised images."""

    def stages(self, x: Tensor) -> Tensor:
        """All residual blocks."""
        for stage in range(1, len(self.blocks) + 1):
            x = getattr(self, f"layer{stage}")(x)
        return x

    @abstractmethod
    def _add_norm(self) -> None:
        """Register the one batch norm outside the blocks, under its name in the field's checkpoints."""

    def _add_stages(self) -> None:
        inputs = self.width
        for stage, (outputs, length) in enumerate(zip(self.widths, self.blocks, strict=True), start=1):
            first = self.block(inputs, outputs, 1 if stage == 1 else 2)
            rest = (self.block(outputs, outputs, 1) for _ in range(length - 1))
            self.add_module(f"layer{stage}", nn.Sequential(first, *rest))
            inputs = outputs


class PreActResNet(ResidualNet):
    """Pre-activation ResNet, with batch norm and ReLU before pooling; by default PreActResNet-18 (arXiv 1603.05027).

    Arguments and errors: see ``ResidualNet``.
    """

    block = PreActBlock

    def features(self, x: Tensor) -> Tensor:
        """See ``ResidualNet``."""
        return F.relu(self.bn(self.stages(self.conv1(x))))

    def _add_norm(self) -> None:
        self.bn = nn.BatchNorm2d(self.widths[-1])


class ResNet(ResidualNet):
    """Post-activation ResNet without max-pooling; by default ResNet-18 for 32x32 images (arXiv 1512.03385).

    Arguments and errors: see ``ResidualNet``.
    """

    block = BasicBlock

    def features(self, x: Tensor) -> Tensor:
        """See ``ResidualNet``."""
        return self.stages(F.relu(self.bn1(self.conv1(x))))

    def _add_norm(self) -> None:
        self.bn1 = nn.BatchNorm2d(self.width)


class SmallNet(PreActResNet):
    """PreActResNet of three stages of one block, for images of about 8x8.

    Args:
        num_classes: K, at least 1.
        width: channels of the first stage, at least 1.
        in_channels: C, at least 1.
        mean: of the data in [0, 1], one value or one a channel.
        std: likewise, above 0.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(
        self,
        num_classes: int = 10,
        width: int = 32,
        in_channels: int = 1,
        mean: tuple[float, ...] = (0.5,),
        std: tuple[float, ...] = (0.25,),
    ) -> None:
        super().__init__(num_classes, width, (1, 1, 1), in_channels, mean, std)
