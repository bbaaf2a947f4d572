"""The nets of other repositories in small, written anew from the names and shapes in their files."""

import torch
import torch.nn.functional as F
from torch import nn


def conv(inputs, outputs, size=3, stride=1, padding=None):
    return nn.Conv2d(inputs, outputs, size, stride, size // 2 if padding is None else padding, bias=False)


class Named(nn.Module):
    """Layers under the names given; further layers for shortcuts where the size changes."""

    def __init__(self, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)


class PostBlock(Named):
    """BasicBlock of ResNet-18: conv1, bn1, conv2, bn2, shortcut.0, shortcut.1."""

    def __init__(self, inputs, outputs, stride, kind):
        changes = stride != 1 or inputs != outputs
        shortcut = [conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)] if changes else []
        super().__init__(
            conv1=conv(inputs, outputs, stride=stride),
            bn1=nn.BatchNorm2d(outputs),
            conv2=conv(outputs, outputs),
            bn2=nn.BatchNorm2d(outputs),
            shortcut=nn.Sequential(*shortcut),
        )

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class PostBottleneck(Named):
    """Bottleneck of ResNet-50: conv1 to conv3, bn1 to bn3, shortcut.0, shortcut.1."""

    def __init__(self, inputs, outputs, stride, kind):
        inner, changes = outputs // 4, stride != 1 or inputs != outputs
        shortcut = [conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)] if changes else []
        super().__init__(
            conv1=conv(inputs, inner, 1),
            bn1=nn.BatchNorm2d(inner),
            conv2=conv(inner, inner, stride=stride),
            bn2=nn.BatchNorm2d(inner),
            conv3=conv(inner, outputs, 1),
            bn3=nn.BatchNorm2d(outputs),
            shortcut=nn.Sequential(*shortcut),
        )

    def forward(self, x):
        out = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(self.bn3(self.conv3(out)) + self.shortcut(x))


class PreBlock(Named):
    """PreActBlock: bn1, conv1, bn2, conv2, shortcut.0; ``kind`` is where the shortcut starts."""

    def __init__(self, inputs, outputs, stride, kind):
        shortcut = {"shortcut": nn.Sequential(conv(inputs, outputs, 1, stride))} if stride != 1 else {}
        super().__init__(
            bn1=nn.BatchNorm2d(inputs),
            conv1=conv(inputs, outputs, stride=stride),
            bn2=nn.BatchNorm2d(outputs),
            conv2=conv(outputs, outputs),
            **shortcut,
        )
        self.kind = kind

    def forward(self, x):
        out = F.relu(self.bn1(x))
        skip = self.shortcut({"out": out, "x": x}[self.kind]) if hasattr(self, "shortcut") else x
        return self.conv2(F.relu(self.bn2(self.conv1(out)))) + skip


class Residual(Named):
    """conv1, layer1 to layer4, linear; bn1 at the beginning or bn at the end."""

    def __init__(self, block, kind="out", first=False, last=False, classes=10, width=8, factor=1):
        ends = [width, *(width * factor * 2**stage for stage in range(4))]
        stages = {
            f"layer{i}": nn.Sequential(
                block(ends[i - 1], ends[i], 1 if i == 1 else 2, kind), block(ends[i], ends[i], 1, kind)
            )
            for i in range(1, 5)
        }
        norms = ({"bn1": nn.BatchNorm2d(width)} if first else {}) | ({"bn": nn.BatchNorm2d(ends[-1])} if last else {})
        super().__init__(conv1=conv(3, width), **stages, **norms, linear=nn.Linear(ends[-1], classes))

    def forward(self, x):
        out = self.conv1(x)
        out = F.relu(self.bn1(out)) if hasattr(self, "bn1") else out
        out = self.layer4(self.layer3(self.layer2(self.layer1(out))))
        out = F.relu(self.bn(out)) if hasattr(self, "bn") else out
        return self.linear(F.avg_pool2d(out, out.shape[-1]).flatten(1))


class WideBlock(Named):
    """BasicBlock of TRADES' WideResNet: bn1, conv1, bn2, conv2, convShortcut."""

    def __init__(self, inputs, outputs, stride):
        shortcut = {"convShortcut": conv(inputs, outputs, 1, stride)} if inputs != outputs else {}
        super().__init__(
            bn1=nn.BatchNorm2d(inputs),
            conv1=conv(inputs, outputs, stride=stride),
            bn2=nn.BatchNorm2d(outputs),
            conv2=conv(outputs, outputs),
            **shortcut,
        )

    def forward(self, x):
        out = F.relu(self.bn1(x))
        skip = self.convShortcut(out) if hasattr(self, "convShortcut") else x
        return self.conv2(F.relu(self.bn2(self.conv1(out)))) + skip


def wide_stage(inputs, outputs, stride):
    return Named(layer=nn.Sequential(WideBlock(inputs, outputs, stride)))


class Wide(Named):
    """conv1, block1 to block3, bn1, fc; TRADES' file also holds sub_block1, which no pass uses."""

    def __init__(self, sub_block=True, factor=1):
        extra = {"sub_block1": wide_stage(16, 16 * factor, 1)} if sub_block else {}
        super().__init__(
            conv1=conv(3, 16),
            block1=wide_stage(16, 16 * factor, 1),
            **extra,
            block2=wide_stage(16 * factor, 32 * factor, 2),
            block3=wide_stage(32 * factor, 64 * factor, 2),
            bn1=nn.BatchNorm2d(64 * factor),
            fc=nn.Linear(64 * factor, 10),
        )

    def forward(self, x):
        out = self.conv1(x)
        for block in (self.block1, self.block2, self.block3):
            out = block.layer(out)
        return self.fc(F.relu(self.bn1(out)).mean((2, 3)))


def same(x, stride):
    return F.pad(x, (1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1))


class DMBlock(Named):
    """DeepMind's: batchnorm_0, conv_0 or conv_2d_1, batchnorm_1, conv_1 or conv_2d_2, shortcut."""

    def __init__(self, inputs, outputs, stride, names, size):
        first, second = names
        shortcut = {"shortcut": conv(inputs, outputs, size, stride, 0)} if inputs != outputs else {}
        super().__init__(
            **{
                "batchnorm_0": nn.BatchNorm2d(inputs),
                first: conv(inputs, outputs, 3, stride, 0),
                "batchnorm_1": nn.BatchNorm2d(outputs),
                second: conv(outputs, outputs),
            },
            **shortcut,
        )
        self.stride, self.names, self.size = stride, names, size

    def forward(self, x):
        first, second = (getattr(self, name) for name in self.names)
        out = F.silu(self.batchnorm_0(x))
        skip = x
        if hasattr(self, "shortcut"):
            skip = self.shortcut(same(x, self.stride) if self.size == 3 else out)
        return second(F.silu(self.batchnorm_1(first(same(out, self.stride))))) + skip


class DMWide(Named):
    """init_conv, layer.N.block.M, batchnorm, logits."""

    def __init__(self):
        ends = [(16, 32, 1), (32, 64, 2), (64, 128, 2)]
        groups = (Named(block=nn.Sequential(DMBlock(*end, ("conv_0", "conv_1"), 1))) for end in ends)
        super().__init__(
            init_conv=conv(3, 16),
            layer=nn.Sequential(*groups),
            batchnorm=nn.BatchNorm2d(128),
            logits=nn.Linear(128, 10),
        )

    def forward(self, x):
        out = self.init_conv(x)
        for group in self.layer:
            out = group.block(out)
        return self.logits(F.silu(self.batchnorm(out)).mean((2, 3)))


class DMPreAct(Named):
    """conv_2d, layer_0 to layer_3, batchnorm, logits."""

    def __init__(self, width=8):
        ends, names = [(width, width, 1)], ("conv_2d_1", "conv_2d_2")
        ends += [(width * 2**i, width * 2 ** (i + 1), 2) for i in range(3)]
        stages = {
            f"layer_{i}": nn.Sequential(DMBlock(*end, names, 3), DMBlock(end[1], end[1], 1, names, 3))
            for i, end in enumerate(ends)
        }
        super().__init__(
            conv_2d=conv(3, width), **stages, batchnorm=nn.BatchNorm2d(8 * width), logits=nn.Linear(8 * width, 10)
        )

    def forward(self, x):
        out = self.conv_2d(x)
        for i in range(4):
            out = getattr(self, f"layer_{i}")(out)
        return self.logits(F.silu(self.batchnorm(out)).mean((2, 3)))


class Normalised(nn.Module):
    """RobustBench's habit: mu and sigma beside the net's own names, so that ``content`` is what its file holds."""

    def __init__(self, net, mean, std):
        super().__init__()
        self.net = net
        self.register_buffer("mu", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("sigma", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, x):
        return self.net((x - self.mu) / self.sigma)

    def content(self):
        return {"mu": self.mu, "sigma": self.sigma, **self.net.state_dict()}
