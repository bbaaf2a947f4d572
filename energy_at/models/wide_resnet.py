"""Wide residual networks."""

from collections.abc import Callable
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from energy_at.models.blocks import conv1x1, conv3x3
from energy_at.models.checks import require_known
from energy_at.models.classifier import Classifier
from energy_at.types import Images, Logits, require, require_count

Activation = Callable[[Tensor], Tensor]
ACTIVATIONS: dict[str, Activation] = {"relu": F.relu, "silu": F.silu}


class WideBlock(nn.Module):
    """Pre-activation block with dropout between its convolutions, arXiv 1605.07146, figure 1(d).

    Args:
        inputs: channels in.
        outputs: channels out.
        stride: of the first convolution; 1 where the channels do not change.
        activation: of one tensor.
        dropout: probability in [0, 1).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, activation: Activation, dropout: float) -> None:
        super().__init__()
        self.activation, self.dropout = activation, dropout
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv3x3(inputs, outputs, stride)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = conv3x3(outputs, outputs)
        self.convShortcut = conv1x1(inputs, outputs, stride) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        out = self.activation(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(out)
        out = self.activation(self.bn2(self.conv1(out)))
        if self.dropout > 0:
            out = F.dropout(out, self.dropout, self.training)
        return self.conv2(out) + shortcut


class WideStage(nn.Module):
    """A sequence of blocks under the name ``layer``, as checkpoints of wide ResNets have it.

    Args:
        blocks: in the order of their use.
    """

    def __init__(self, *blocks: WideBlock) -> None:
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """The blocks one after the other."""
        return self.layer(x)


class WideResNet(Classifier):
    """Wide ResNet for 32x32 images; by default WRN-28-10 (arXiv 1605.07146).

    Convolutions start from He's normal initialisation by fan-out, the last layer's bias from zero.

    Args:
        depth: number of layers, 6 n + 4 with n blocks a stage: 10, 16, 22, 28, 34, 40, ...
        widen_factor: the stages have 16, 32 and 64 times as many channels, at least 1.
        activation: "relu", or "silu" (Swish).
        dropout: probability in [0, 1) within each block.
        bias: of the last layer.
        kwargs: see ``Classifier``.

    Raises:
        InputError: if a value is out of its range.
    """

    unused = ("sub_block1.",)  # TRADES' code builds it, saves it, and never calls it

    def __init__(
        self,
        num_classes: int = 10,
        depth: int = 28,
        widen_factor: int = 10,
        activation: Literal["relu", "silu"] = "relu",
        dropout: float = 0.0,
        *,
        bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, **kwargs)
        require_count("widen_factor", widen_factor, 10)
        require(
            depth >= 10 and (depth - 4) % 6 == 0, f"depth is {depth}, not 6 n + 4; give 10, 16, 22, 28, 34, 40, ..."
        )
        require_known("activation", activation, ACTIVATIONS)
        require(0 <= dropout < 1, f"dropout is {dropout}; give a probability in [0, 1)")
        self.depth, self.widen_factor = depth, widen_factor
        self.activation, self.dropout, self.bias = activation, dropout, bias
        width = 16 * widen_factor
        self.conv1 = conv3x3(self.in_channels, 16)
        self.block1 = self._stage(16, width, 1)
        self.block2 = self._stage(width, 2 * width, 2)
        self.block3 = self._stage(2 * width, 4 * width, 2)
        self.bn1 = nn.BatchNorm2d(4 * width)
        self.fc = nn.Linear(4 * width, num_classes, bias=bias)
        self.apply(_initialise)

    def forward(self, x: Images) -> Logits:
        """Logits [N, K] of images [N, C, H, W] in [0, 1]."""
        out = self.block3(self.block2(self.block1(self.conv1(self.normalize(x)))))
        return self.fc(ACTIVATIONS[self.activation](self.bn1(out)).mean((2, 3)))

    def _stage(self, inputs: int, outputs: int, stride: int) -> WideStage:
        options = ACTIVATIONS[self.activation], self.dropout
        first = WideBlock(inputs, outputs, stride, *options)
        rest = (WideBlock(outputs, outputs, 1, *options) for _ in range((self.depth - 4) // 6 - 1))
        return WideStage(first, *rest)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
