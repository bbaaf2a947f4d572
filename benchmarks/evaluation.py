"""The PGD-20 evaluation of a net against foolbox's and torchattacks': clean and robust accuracy of one batch.

ResNet-18, images of 32x32, eps 8/255, steps of 2/255, a uniform start, single precision. Each candidate does 20 steps
and judges the images before and after; ours runs in NHWC memory, and in NCHW memory as theirs do. foolbox takes the
gradients of all weights in every step. torchattacks takes the gradient at the images alone, as we do; nine tenths of
the time are then convolutions, which leave little to gain.

The last two rows are of a narrow net. One is an evaluation of which only the worst case is asked, on a batch of which
half is misclassified already: what is skipped should cost nothing, so the ratio is 2 at best.

foolbox and torchattacks are needed for their own rows only (``pip install foolbox``; ``pip install --no-deps
torchattacks``, which pins an old requests).
"""

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.setting import Setting
from benchmarks.timing import Goal, Step, alternate, compare
from energy_at.attacks import PGD
from energy_at.evaluation.robustness import evaluate

EPS, ALPHA, STEPS = 8 / 255, 2 / 255, 20


def ours(net: nn.Module, x: Tensor, y: Tensor, **options: bool) -> Step:
    """``energy_at.evaluate``, without a store."""
    return lambda: evaluate(net, [(x, y)], {"pgd-20": PGD(EPS, ALPHA, STEPS)}, **options)


def with_foolbox(net: nn.Module, x: Tensor, y: Tensor) -> Step:
    """Its accuracy function, and its attack, which judges the images that it made."""
    import foolbox

    wrapped = foolbox.PyTorchModel(net, bounds=(0, 1), device=x.device)
    attack = foolbox.attacks.LinfPGD(abs_stepsize=ALPHA, steps=STEPS, random_start=True)

    def step() -> tuple[float, float]:
        clean = foolbox.accuracy(wrapped, x, y)
        _, _, success = attack(wrapped, x, y, epsilons=EPS)
        return clean, 1 - success.float().mean().item()

    return step


def with_torchattacks(net: nn.Module, x: Tensor, y: Tensor) -> Step:
    """Its attack, and two passes that judge."""
    import torchattacks

    attack = torchattacks.PGD(net, eps=EPS, alpha=ALPHA, steps=STEPS, random_start=True)

    @torch.no_grad()
    def accuracy(x: Tensor) -> float:
        return (net(x).argmax(dim=1) == y).float().mean().item()

    return lambda: (accuracy(x), accuracy(attack(x, y)))


LIBRARIES = {"foolbox": (with_foolbox, Goal(1.5, least=True)), "torchattacks": (with_torchattacks, None)}


def rows(setting: Setting) -> list[dict[str, Any]]:
    """Against the libraries, and against ourselves."""
    return [*against_libraries(setting), *against_ourselves(setting)]


def against_libraries(setting: Setting) -> list[dict[str, Any]]:
    """How many times faster than each that is there."""
    images = 256 if setting.cuda else 32
    net, (x, y) = setting.resnet().eval(), setting.batch(images)
    there = {name: build(net, x, y) for name, (build, _) in LIBRARIES.items() if installed(name)}
    took = alternate({"ours": ours(net, x, y, channels_last=True), **there}, setting, max(1, setting.number // 10))
    return [
        compare(f"PGD-20 evaluation, batch {images}: {name} / ours", took[name], took["ours"], LIBRARIES[name][1])
        for name in there
    ]


def against_ourselves(setting: Setting) -> list[dict[str, Any]]:
    """What the memory format gives, and what skipping does."""
    net, (x, y) = setting.narrow().eval(), setting.batch()
    with torch.no_grad():
        half = net(x).argmax(dim=1)
    half[::2] = (half[::2] + 1) % 10
    steps = {
        "ours": ours(net, x, y, channels_last=True),
        "NCHW": ours(net, x, y),
        "worst case": ours(net, x, half, channels_last=True, worst_case_only=True),
    }
    took = alternate(steps, setting, max(1, setting.number // 10))
    return [
        compare("PGD-20 evaluation, narrow net: NCHW / NHWC memory", took["NCHW"], took["ours"]),
        compare("PGD-20 evaluation, half misclassified: all / worst case", took["ours"], took["worst case"]),
    ]


def installed(library: str) -> bool:
    """Whether a library can be compared; if not, a line says so."""
    found = find_spec(library) is not None
    if not found:
        print(f"{library} is not installed and left out")
    return found
