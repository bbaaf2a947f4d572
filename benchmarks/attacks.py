"""Each attack against the bare passes that it consists of.

A narrow PreActResNet-18 in evaluation mode and NHWC memory, images of 32x32 in single precision, as they are used
in an evaluation. AutoAttack's parts are those of its library; the radius is so small there that no image is ever
broken, and all of them are attacked to the end. Diff-PGD is left out: its time is that of its diffusion model.
"""

from typing import Any

import torch

from benchmarks.bare import Passes, floor_step
from benchmarks.flops import cost
from benchmarks.limits import best_product, share
from benchmarks.setting import Setting
from benchmarks.timing import Goal, Measured, Step, alternate, combined, compare
from energy_at.attacks import FGSM, NFGSM, PGD, RSFGSM, Attack, AutoAttack, CarliniWagner, Targeted

NO_IMAGE = 1e-6  # a radius that breaks none


def passes(gradients: int, forwards: int = 0) -> Passes:
    """Of an attack: no update, and the net in evaluation mode."""
    return Passes(gradients, forwards, updates=0, training=False)


def library_part(name: str, **options: int) -> Attack:
    """One of AutoAttack's."""
    return AutoAttack(NO_IMAGE, version="custom", attacks=[name], **options)


CASES: dict[str, tuple[Attack, Passes]] = {
    "FGSM": (FGSM(), passes(1)),
    "RS-FGSM": (RSFGSM(), passes(1)),
    "N-FGSM": (NFGSM(), passes(1)),
    "PGD-10": (PGD(), passes(10)),
    "PGD-10, L2": (PGD(eps=0.5, norm="L2"), passes(10)),
    "PGD-10 on TRADES' divergence": (PGD(loss="kl", start="gaussian"), passes(10, forwards=1)),
    "PGD-10, 2 restarts": (PGD(restarts=2), passes(20, forwards=2)),
    "PGD-10, targeted": (Targeted(PGD(targeted=True)), passes(10, forwards=1)),
    "Carlini-Wagner, 2 constants, 5 steps": (CarliniWagner(steps=5, binary_search_steps=2), passes(10, forwards=1)),
}
# passes counted in the library, which starts over five times unless its version is "standard"
PARTS: dict[str, tuple[Attack, Passes]] = {
    "AutoAttack's APGD-CE, 2 steps": (library_part("apgd-ce", iterations=2), passes(15, forwards=10)),
    "AutoAttack's APGD-T, 1 step": (library_part("apgd-t", iterations=1), passes(18, forwards=19)),
    "AutoAttack's FAB-T, 1 step": (library_part("fab-t", iterations=1), passes(9, forwards=46)),
    "AutoAttack's Square, 20 queries": (library_part("square", queries=20), passes(0, forwards=32)),
}
BARE = {"one gradient": passes(1), "gradients": passes(10), "forwards": passes(0, forwards=10)}


def rows(setting: Setting) -> list[dict[str, Any]]:
    """One row an attack."""
    net = setting.narrow().to(memory_format=torch.channels_last).eval()
    x, _ = setting.batch()
    with torch.no_grad():
        y = net(x).argmax(dim=1)  # all correct, so that AutoAttack begins with all
    product, cases = best_product(setting, half=False), CASES | PARTS
    steps = {name: attacking(attack, net, x, y) for name, (attack, _) in cases.items()}
    bare = {name: floor_step(net, x, y, passes, half=False) for name, passes in BARE.items()}
    took = alternate(steps | bare | {"product": product.step}, setting)
    found, goal = [], Goal(setting.floor_goal)
    for name, (_, needed) in cases.items():
        flops = len(x) * cost(net).of(needed)
        row = compare(f"{name} / its passes", took[name], floor(took, needed), goal if name in CASES else None)
        found.append(row | {"limit": share(took[name], flops, took["product"], product)})
    return found


def attacking(attack: Attack, net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> Step:
    """The attack on the batch."""
    return lambda: attack(net.eval(), x, y)


def floor(took: dict[str, Measured], needed: Passes) -> Measured:
    """What these passes take; a single-step attack is compared with a single pass."""
    many = needed.gradients > 1
    gradients = (took["gradients"], needed.gradients / 10) if many else (took["one gradient"], needed.gradients)
    return combined(gradients, (took["forwards"], needed.forwards / 10))
