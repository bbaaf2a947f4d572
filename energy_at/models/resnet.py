"""Residual networks for small images: pre-activation and post-activation, of any width and depth."""

from abc import ABC, abstractmethod
from typing import Any, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from energy_at.models.blocks import BasicBlock, Bottleneck, PreActBlock, Shortcut, conv3x3
from energy_at.models.classifier import Classifier
from energy_at.types import Images, Logits, require, require_count, require_one_of


class ResidualNet(Classifier, ABC):
    """A 3x3 convolution, stages of residual blocks, global average pooling and a linear layer.

    Each stage after the first halves the image and doubles the width. Parameters are initialised as torch does.

    Args:
        num_classes: K, at least 1.
        width: channels of the first stage, at least 1.
        blocks: number of blocks of each stage, each at least 1.
        kwargs: see ``Classifier``.

    Raises:
        InputError: if a value is out of its range.
    """

    block: Any  # of residual blocks: a class with its expansion

    def __init__(
        self,
        num_classes: int = 10,
        width: int = 64,
        blocks: tuple[int, ...] = (2, 2, 2, 2),
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, **kwargs)
        require_count("width", width, 64)
        remedy = "give at least one stage of at least one block, as (2, 2, 2, 2)"
        require(min(blocks, default=0) >= 1, f"blocks is {tuple(blocks)}; {remedy}")
        self.width, self.blocks = width, tuple(blocks)
        self.conv1 = conv3x3(self.in_channels, width)
        self._add_stages()
        self._add_norm()
        self.linear = nn.Linear(self.widths[-1], num_classes)

    @property
    def widths(self) -> list[int]:
        """Channels that each stage gives."""
        return [self.width * self.block.expansion * 2**stage for stage in range(len(self.blocks))]

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
            first = self._block(inputs, outputs, 1 if stage == 1 else 2)
            rest = (self._block(outputs, outputs, 1) for _ in range(length - 1))
            self.add_module(f"layer{stage}", nn.Sequential(first, *rest))
            inputs = outputs

    def _block(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        return self.block(inputs, outputs, stride)


class PreActResNet(ResidualNet):
    """Pre-activation ResNet, with batch norm and ReLU before pooling; by default PreActResNet-18 (arXiv 1603.05027).

    The field has three nets of this name, and their files cannot tell which of them they are: the shortcut of a block
    that changes its size starts behind the first batch norm and ReLU (the paper, robust overfitting), or before them
    (fast adversarial training, N-FGSM); and some have no batch norm before pooling (RobustBench's Wong2020Fast).

    Args:
        shortcut: where it starts, at the "activation" or at the "input".
        final_norm: batch norm and ReLU before pooling.
        kwargs: see ``ResidualNet``.

    Raises:
        InputError: if a value is out of its range.
    """

    block = PreActBlock

    def __init__(
        self,
        num_classes: int = 10,
        width: int = 64,
        blocks: tuple[int, ...] = (2, 2, 2, 2),
        *,
        shortcut: Shortcut = "activation",
        final_norm: bool = True,
        **kwargs: Any,
    ) -> None:
        require_one_of("shortcut", shortcut, get_args(Shortcut))
        self.shortcut, self.final_norm = shortcut, final_norm  # before the blocks, which ask for them
        super().__init__(num_classes, width, blocks, **kwargs)

    @property
    def loading_note(self) -> str:
        """What a file cannot tell; empty where it was told."""
        told = self.shortcut == "input"
        return "" if told else "files of fast_adversarial and N-FGSM need --net.shortcut input (docs/weights.md)"

    def features(self, x: Tensor) -> Tensor:
        """See ``ResidualNet``."""
        out = self.stages(self.conv1(x))
        return F.relu(self.bn(out)) if self.final_norm else out

    def _block(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        return self.block(inputs, outputs, stride, self.shortcut)

    def _add_norm(self) -> None:
        if self.final_norm:
            self.bn = nn.BatchNorm2d(self.widths[-1])


class ResNet(ResidualNet):
    """Post-activation ResNet without max-pooling; by default ResNet-18 for 32x32 images (arXiv 1512.03385).

    Args:
        blocks: number of blocks of each stage, each at least 1; (3, 4, 6, 3) for ResNet-34 and -50.
        bottleneck: blocks of 1x1, 3x3 and 1x1 convolutions, as ResNet-50 has them; they put out four times the width.
        kwargs: see ``ResidualNet``.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(
        self,
        num_classes: int = 10,
        width: int = 64,
        blocks: tuple[int, ...] = (2, 2, 2, 2),
        *,
        bottleneck: bool = False,
        **kwargs: Any,
    ) -> None:
        self.bottleneck, self.block = bottleneck, Bottleneck if bottleneck else BasicBlock
        super().__init__(num_classes, width, blocks, **kwargs)

    def features(self, x: Tensor) -> Tensor:
        """See ``ResidualNet``."""
        return self.stages(F.relu(self.bn1(self.conv1(x))))

    def _add_norm(self) -> None:
        self.bn1 = nn.BatchNorm2d(self.width)


class SmallNet(PreActResNet):
    """PreActResNet of three stages of one block, for grey images of about 8x8.

    Args:
        in_channels: C, at least 1.
        kwargs: see ``PreActResNet``.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(
        self,
        num_classes: int = 10,
        width: int = 32,
        *,
        blocks: tuple[int, ...] = (1, 1, 1),
        in_channels: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, width, blocks, in_channels=in_channels, **kwargs)
