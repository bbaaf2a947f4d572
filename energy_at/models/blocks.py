"""Residual blocks, pre-activation and post-activation."""

from typing import Literal, TypeAlias

import torch.nn.functional as F
from torch import Tensor, nn

Shortcut: TypeAlias = Literal["activation", "input"]


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size at stride 1, without bias (batch norm has its own)."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def conv1x1(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    """The 1x1 convolution of a shortcut that changes width or size."""
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


class PreActBlock(nn.Module):
    """``shortcut + conv(relu(bn(conv(relu(bn(x))))))``, arXiv 1603.05027, figure 4(e).

    Args:
        inputs: channels in.
        outputs: channels out.
        stride: of the first convolution.
        start: of a shortcut that changes width or size: behind the first batch norm and ReLU, or before them.
    """

    expansion = 1

    def __init__(self, inputs: int, outputs: int, stride: int, start: Shortcut = "activation") -> None:
        super().__init__()
        self.start = start
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv3x3(inputs, outputs, stride)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = conv3x3(outputs, outputs)
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Sequential(conv1x1(inputs, outputs, stride)) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        out = F.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(out if self.start == "activation" else x)
        return self.conv2(F.relu(self.bn2(self.conv1(out)))) + shortcut


class BasicBlock(nn.Module):
    """``relu(shortcut + bn(conv(relu(bn(conv(x))))))``, arXiv 1512.03385, figure 2.

    Args:
        inputs: channels in.
        outputs: channels out.
        stride: of the first convolution.
    """

    expansion = 1

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = conv3x3(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        changes = stride != 1 or inputs != outputs
        projection = [conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs)] if changes else []
        self.shortcut = nn.Sequential(*projection)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + self.shortcut(x))


class Bottleneck(nn.Module):
    """``relu(shortcut + bn(conv1x1(relu(bn(conv3x3(relu(bn(conv1x1(x)))))))))``, arXiv 1512.03385, figure 5.

    Args:
        inputs: channels in.
        outputs: channels out, a multiple of 4; within the block there are a quarter as many.
        stride: of the 3x3 convolution.
    """

    expansion = 4

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = outputs // self.expansion
        self.conv1, self.bn1 = conv1x1(inputs, inner, 1), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = conv3x3(inner, inner, stride), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = conv1x1(inner, outputs, 1), nn.BatchNorm2d(outputs)
        changes = stride != 1 or inputs != outputs
        projection = [conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs)] if changes else []
        self.shortcut = nn.Sequential(*projection)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        out = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(self.bn3(self.conv3(out)) + self.shortcut(x))
