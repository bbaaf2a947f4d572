"""How the time of a PGD training step grows: in attack steps, in images, and in the width of the net.

PreActResNet-18 of a quarter of its width, where no row says otherwise; bf16 autocast and NHWC memory. All that is
asked is that nothing grows faster than its work: with the attack's K steps as K x (forward + input gradient) + (forward
and backward), with the number of images, and with the FLOPs. Wider nets and larger batches fill a machine better, so
an image or a FLOP becomes cheaper.
"""

from typing import Any

import torch

from benchmarks.bare import Passes, floor_step, module_step
from benchmarks.flops import cost
from benchmarks.limits import best_product, share
from benchmarks.setting import Setting
from benchmarks.timing import Goal, Step, alternate, combined, compare
from energy_at.attacks import PGD
from energy_at.modules import StandardAT

STEPS = (1, 2, 5, 10, 20)
FEW = 2  # attack steps where images or width grow
GOAL = Goal(1.05)


def step_of(setting: Setting, steps: int, images: int | None = None, width: int | None = None) -> Step:
    """StandardAT with PGD of so many steps."""
    module = StandardAT(setting.narrow(width), attack=PGD(steps=steps), channels_last=True).to(setting.device)
    return module_step(module, *setting.batch(images, nhwc=True), half=True)


def bare_step(setting: Setting, passes: Passes) -> Step:
    """Passes alone."""
    net = setting.narrow().to(memory_format=torch.channels_last)
    return floor_step(net, *setting.batch(nhwc=True), passes, half=True)


def rows(setting: Setting) -> list[dict[str, Any]]:
    """Growth in K, in images and in width."""
    return [*in_attack_steps(setting), *in_images(setting), *in_width(setting)]


def in_attack_steps(setting: Setting) -> list[dict[str, Any]]:
    """Against a single step, and against the sum of the bare passes."""
    ours = {f"PGD-{steps}": step_of(setting, steps) for steps in STEPS}
    bare = {
        "gradients": bare_step(setting, Passes(gradients=10, updates=0)),
        "update": bare_step(setting, Passes(gradients=0)),
    }
    took = alternate(ours | bare, setting)
    floors = {
        name: combined((took["gradients"], steps / 10), (took["update"], 1))
        for name, steps in zip(ours, STEPS, strict=True)
    }
    first = next(iter(ours))
    predicted = {name: floor.shortest / floors[first].shortest for name, floor in floors.items()}
    return [
        *(
            compare(f"{name} / {first}; the passes say {predicted[name]:.2f}", took[name], took[first])
            for name in ours
            if name != first
        ),
        *(compare(f"{name} step / its passes", took[name], floors[name], Goal(setting.floor_goal)) for name in ours),
    ]


def in_images(setting: Setting) -> list[dict[str, Any]]:
    """Time an image, against that in the smallest batch."""
    batches = [setting.images // 2, setting.images, setting.images * 2]
    took = alternate({f"{images}": step_of(setting, FEW, images) for images in batches}, setting)
    image = {images: combined((took[f"{images}"], 1 / images)) for images in batches}
    small = batches[0]
    return [
        compare(f"PGD-{FEW}, an image in a batch of {images} / of {small}", image[images], image[small], GOAL)
        for images in batches[1:]
    ]


def in_width(setting: Setting) -> list[dict[str, Any]]:
    """Time a FLOP, against that of the narrowest net, and the share of the machine's limit."""
    images, widths, product = setting.images // 2, setting.widths, best_product(setting, half=True)
    steps = {f"{width}": step_of(setting, FEW, images, width) for width in widths}
    took = alternate(steps | {"product": product.step}, setting)
    flops = {width: images * cost(setting.narrow(width)).of(Passes(gradients=FEW)) for width in widths}
    flop = {width: combined((took[f"{width}"], 1 / flops[width])) for width in widths}
    return [
        compare(f"PGD-{FEW}, a FLOP at width {width} / at {widths[0]}", flop[width], flop[widths[0]], GOAL)
        | {"limit": share(took[f"{width}"], flops[width], took["product"], product)}
        for width in widths
    ]
