"""``python -m benchmarks.flops``: what whole trainings cost in FLOPs, in hours and in bytes between GPUs.

FLOPs are counted by torch, two for a multiplication with its addition, on this package's own nets; nothing is
computed. The hours are arithmetic, not a measurement: FLOPs / (GPUs x peak x efficiency), the efficiency assumed.
"""

import argparse
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.bare import Passes
from energy_at.models import PreActResNet, TorchvisionNet, WideResNet

TRADES = Passes(gradients=10, forwards=1, updates=2)
JUDGING = Passes(gradients=11, forwards=3, updates=0)  # PGD-10 and a single step, then clean and both adversarial
HELD_OUT = 0.02
GPUS = (1, 8, 64)
FLOPS = ("forward", "with input gradient", "with weight gradient", "a step", "training, PFLOP", "validation, PFLOP")
TIMES = (
    *(f"hours on {count}" for count in GPUS),
    *("images a GPU", "gradients, MB", "step, ms", "all-reduce, ms", "share", "hidden from"),
)


@dataclass(frozen=True)
class Training:
    """A training as a paper has it.

    Args:
        name: of net and attack.
        net: builds the net.
        size: of the images, in pixels.
        images: of the training set, those that an epoch passes.
        epochs: passes over them.
        batch: images of a step on one GPU.
        passes: of one step.
    """

    name: str
    net: Callable[[], nn.Module]
    size: int
    images: int
    epochs: int
    batch: int
    passes: Passes


TRAININGS = (
    Training("CIFAR-10, PreActResNet-18, RS-FGSM", PreActResNet, 32, 50_000, 30, 128, Passes(gradients=1)),
    Training("CIFAR-10, PreActResNet-18, PGD-10", PreActResNet, 32, 50_000, 200, 128, Passes()),
    Training("CIFAR-10, WRN-34-10, TRADES", lambda: WideResNet(depth=34), 32, 50_000, 76, 128, TRADES),
    Training("CIFAR-10 + 1M, WRN-28-10, TRADES", lambda: WideResNet(activation="silu"), 32, 50_000, 400, 512, TRADES),
    Training("ImageNet, ResNet-50, PGD-3", TorchvisionNet, 224, 1_281_167, 90, 64, Passes(gradients=3)),
)


@dataclass(frozen=True)
class Cost:
    """FLOPs an image of one forward pass, of one with the gradient at the image, and of one with that at the weights.

    Args:
        forward: FLOPs.
        gradient: FLOPs.
        update: FLOPs.
        parameters: of the net, a count.
    """

    forward: int
    gradient: int
    update: int
    parameters: int

    def of(self, passes: Passes) -> int:
        """FLOPs an image of these passes together."""
        update = passes.updates * passes.joined * self.update
        return passes.forwards * self.forward + passes.gradients * self.gradient + update


def cost(net: nn.Module, size: int = 32, images: int = 2) -> Cost:
    """Counted on shapes alone, without computing; linear in the images."""
    net = copy.deepcopy(net).to("meta")
    x = torch.empty(images, 3, size, size, device="meta")
    y = torch.zeros(images, dtype=torch.long, device="meta")
    forward = counted(lambda: net(x)) // images
    update = counted(lambda: F.cross_entropy(net(x), y).backward()) // images
    net.requires_grad_(False)  # what an attack's autograd.grad computes: the gradient at the images alone
    gradient = counted(lambda: F.cross_entropy(net(x.requires_grad_()), y).backward()) // images
    return Cost(forward, gradient, update, sum(parameter.numel() for parameter in net.parameters()))


def counted(run: Callable[[], object]) -> int:
    """FLOPs of a call."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def main(args: Sequence[str] | None = None) -> None:
    """Print both tables."""
    options = parser().parse_args(args)
    with torch.device("meta"):
        costs = {training: cost(training.net(), training.size) for training in TRAININGS}
    print_table(FLOPS, [flops_row(training, found) for training, found in costs.items()])
    print(f"\nAssumed: {options.efficiency:.0%} of {options.peak:g} TFLOP/s, {options.link:g} GB/s\n")
    rate = options.peak * 1e12 * options.efficiency
    print_table(TIMES, [times_row(training, found, rate, options.link * 1e9) for training, found in costs.items()])


def flops_row(training: Training, found: Cost) -> list[str]:
    """GFLOP an image of each pass and of a step, PFLOP of the training and of its validation."""
    seen = training.images * training.epochs
    per_image = (found.forward, found.gradient, found.update, found.of(training.passes))
    totals = (seen * found.of(training.passes), seen * HELD_OUT * found.of(JUDGING))
    return [f"{count / 1e9:.2f}" for count in per_image] + [f"{count / 1e15:,.1f}" for count in totals]


def times_row(training: Training, found: Cost, rate: float, link: float) -> list[str]:
    """Hours, and a step against the ring all-reduce of its gradients, which are in single precision."""
    per_image = found.of(training.passes)
    hours = [training.images * training.epochs * per_image / rate / gpus / 3600 for gpus in GPUS]
    step = training.batch * per_image / rate
    all_reduce = 2 * 4 * found.parameters / link
    backward = training.passes.updates * (found.update - found.forward) / rate  # of an image, and hides the all-reduce
    times = [f"{step * 1e3:.1f}", f"{all_reduce * 1e3:.2f}", f"{all_reduce / step:.1%}", f"{all_reduce / backward:.0f}"]
    return [f"{time:.2g}" for time in hours] + [f"{training.batch}", f"{4e-6 * found.parameters:.0f}", *times]


def print_table(columns: Sequence[str], rows: list[list[str]]) -> None:
    """In Markdown, with the trainings' names before the rows."""
    print(f"| training | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for training, row in zip(TRAININGS, rows, strict=True):
        print(f"| {training.name} | {' | '.join(row)} |")


def parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser("python -m benchmarks.flops", description=__doc__)
    parser.add_argument("--peak", type=float, default=989, help="TFLOP/s of a GPU; default: H200, dense bf16")
    parser.add_argument("--efficiency", type=float, default=0.13, help="share of the peak: ResNet-18's as measured")
    parser.add_argument("--link", type=float, default=50, help="GB/s out of a GPU; 50: InfiniBand NDR, 450: NVLink")
    return parser


if __name__ == "__main__":
    main()
