"""The residual networks of DeepMind's robust training, in whose names and padding many public files are."""

from itertools import pairwise
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from energy_at.models.blocks import conv1x1
from energy_at.models.checks import require_known
from energy_at.models.classifier import Classifier
from energy_at.models.wide_resnet import ACTIVATIONS, Activation
from energy_at.types import Images, Logits, require, require_count


def padded3x3(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    """A 3x3 convolution for an image that ``padded`` has prepared."""
    return nn.Conv2d(inputs, outputs, 3, stride, bias=False)


def padded(x: Tensor, stride: int) -> Tensor:
    """Padding of the kind "same": at stride 2 a row below and a column to the right alone."""
    return F.pad(x, (1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1))


class DMWideBlock(nn.Module):
    """A pre-activation block.

    Args:
        inputs: channels in.
        outputs: channels out.
        stride: 1 or 2, of the first convolution; 1 where the channels do not change.
        activation: of one tensor.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, activation: Activation) -> None:
        super().__init__()
        self.stride, self.activation = stride, activation
        self.batchnorm_0 = nn.BatchNorm2d(inputs)
        self.conv_0 = padded3x3(inputs, outputs, stride)
        self.batchnorm_1 = nn.BatchNorm2d(outputs)
        self.conv_1 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = conv1x1(inputs, outputs, stride) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        out = self.activation(self.batchnorm_0(x))
        shortcut = x if self.shortcut is None else self.shortcut(out)
        out = self.activation(self.batchnorm_1(self.conv_0(padded(out, self.stride))))
        return self.conv_1(out) + shortcut


class DMPreActBlock(nn.Module):
    """The same with other names, and a shortcut of 3x3 from the block's input.

    Args:
        inputs: channels in.
        outputs: channels out.
        stride: 1 or 2, of the first convolution.
        activation: of one tensor.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, activation: Activation) -> None:
        super().__init__()
        self.stride, self.activation = stride, activation
        self.batchnorm_0 = nn.BatchNorm2d(inputs)
        self.conv_2d_1 = padded3x3(inputs, outputs, stride)
        self.batchnorm_1 = nn.BatchNorm2d(outputs)
        self.conv_2d_2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        changes = stride != 1 or inputs != outputs
        self.shortcut = padded3x3(inputs, outputs, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        shortcut = x if self.shortcut is None else self.shortcut(padded(x, self.stride))
        out = padded(self.activation(self.batchnorm_0(x)), self.stride)
        return self.conv_2d_2(self.activation(self.batchnorm_1(self.conv_2d_1(out)))) + shortcut


class BlockGroup(nn.Module):
    """A sequence of blocks under the name ``block``.

    Args:
        blocks: in the order of their use.
    """

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.block = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """The blocks one after the other."""
        return self.block(x)


class DMWideResNet(Classifier):
    """Wide ResNet of arXiv 2010.03593, with Swish as published there; by default WRN-28-10.

    Args:
        depth: number of layers, 6 n + 4 with n blocks a stage.
        width: the stages have 16, 32 and 64 times as many channels, at least 1.
        activation: "silu" (Swish) or "relu".
        kwargs: see ``Classifier``.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(
        self,
        num_classes: int = 10,
        depth: int = 28,
        width: int = 10,
        activation: Literal["silu", "relu"] = "silu",
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, **kwargs)
        require_count("width", width, 64)
        require(depth >= 10 and (depth - 4) % 6 == 0, f"depth is {depth}, not 6 n + 4; give 28, 34, 70, 106, ...")
        require_known("activation", activation, ACTIVATIONS)
        self.depth, self.width, self.activation = depth, width, activation
        act, widths = ACTIVATIONS[activation], [16, 16 * width, 32 * width, 64 * width]
        self.init_conv = nn.Conv2d(self.in_channels, 16, 3, padding=1, bias=False)
        self.layer = nn.Sequential(
            *(BlockGroup(*_stage(DMWideBlock, *ends, (depth - 4) // 6, ends[0] > 16, act)) for ends in pairwise(widths))
        )
        self.batchnorm = nn.BatchNorm2d(widths[-1])
        self.logits = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Images) -> Logits:
        """Logits [N, K] of images [N, C, H, W] in [0, 1]."""
        out = self.batchnorm(self.layer(self.init_conv(self.normalize(x))))
        return self.logits(ACTIVATIONS[self.activation](out).mean((2, 3)))


class DMPreActResNet(Classifier):
    """Pre-activation ResNet of arXiv 2110.09468; by default its ResNet-18.

    Args:
        blocks: number of blocks of each of the four stages; (3, 4, 6, 3) for its ResNet-34.
        width: channels of the first stage, at least 1.
        activation: "silu" (Swish) or "relu".
        kwargs: see ``Classifier``.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(
        self,
        num_classes: int = 10,
        blocks: tuple[int, ...] = (2, 2, 2, 2),
        width: int = 64,
        activation: Literal["silu", "relu"] = "silu",
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, **kwargs)
        require_count("width", width, 64)
        require(min(blocks, default=0) >= 1, f"blocks is {tuple(blocks)}; give a number of blocks for each stage")
        require_known("activation", activation, ACTIVATIONS)
        self.blocks, self.width, self.activation = tuple(blocks), width, activation
        self.conv_2d = nn.Conv2d(self.in_channels, width, 3, padding=1, bias=False)
        widths = [width, *(width * 2**stage for stage in range(len(blocks)))]
        for stage, (ends, length) in enumerate(zip(pairwise(widths), blocks, strict=True)):
            parts = _stage(DMPreActBlock, *ends, length, stage > 0, ACTIVATIONS[activation])
            self.add_module(f"layer_{stage}", nn.Sequential(*parts))
        self.batchnorm = nn.BatchNorm2d(widths[-1])
        self.logits = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Images) -> Logits:
        """Logits [N, K] of images [N, C, H, W] in [0, 1]."""
        out = self.conv_2d(self.normalize(x))
        for stage in range(len(self.blocks)):
            out = getattr(self, f"layer_{stage}")(out)
        return self.logits(ACTIVATIONS[self.activation](self.batchnorm(out)).mean((2, 3)))


def _stage(
    block: type[nn.Module], inputs: int, outputs: int, length: int, halves: bool, activation: Activation
) -> list[nn.Module]:
    first = block(inputs, outputs, 2 if halves else 1, activation)
    return [first, *(block(outputs, outputs, 1, activation) for _ in range(length - 1))]
