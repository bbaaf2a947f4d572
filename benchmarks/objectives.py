"""The training step of every objective: against a textbook loop, and against the passes that it cannot do without.

A narrow PreActResNet-18, images of 32x32. Ours and the floor run in bf16 autocast and NHWC memory; ours includes the
optimizer's update, the floor does not (``benchmarks.bare``). On a GPU ours runs from CUDA graphs, the others do not.
The textbook loop is ``benchmarks.textbook``'s.
"""

from dataclasses import dataclass
from typing import Any

import torch

from benchmarks import textbook
from benchmarks.bare import Passes, floor_step, module_step
from benchmarks.flops import cost
from benchmarks.limits import best_product, share
from benchmarks.setting import Setting
from benchmarks.textbook import textbook_step
from benchmarks.timing import Goal, alternate, compare
from energy_at.attacks import FGSM, NFGSM, PGD, RSFGSM
from energy_at.modules import DER, TRADES, WEAT, AdversarialTraining, StandardAT

ONE_STEP = Passes(gradients=1)
TRADES_PASSES = Passes(gradients=10, forwards=1, updates=2, training=False)


@dataclass(frozen=True)
class Case:
    """One objective.

    Args:
        module: ours.
        passes: of the floor.
        loss: of the textbook.
    """

    module: AdversarialTraining
    passes: Passes
    loss: textbook.Loss


def cases(setting: Setting) -> dict[str, Case]:
    """All objectives, AT and DER with several attacks."""
    net, nhwc = setting.narrow, {"channels_last": True, "cuda_graph": setting.cuda}
    at, der = textbook.at, textbook.der
    return {
        "AT, FGSM": Case(StandardAT(net(), attack=FGSM(), **nhwc), ONE_STEP, at(textbook.FGSM)),
        "AT, RS-FGSM": Case(StandardAT(net(), attack=RSFGSM(), **nhwc), ONE_STEP, at(textbook.RSFGSM)),
        "AT, N-FGSM": Case(StandardAT(net(), attack=NFGSM(), **nhwc), ONE_STEP, at(textbook.NFGSM)),
        "AT, PGD-10": Case(StandardAT(net(), attack=PGD(), **nhwc), Passes(), at(textbook.PGD)),
        "TRADES": Case(TRADES(net(), **nhwc), TRADES_PASSES, textbook.trades()),
        "WEAT": Case(WEAT(net(), **nhwc), TRADES_PASSES, textbook.trades(weighted=True)),
        "DER, RS-FGSM": Case(
            DER(net(), attack=RSFGSM(), terms="both", **nhwc), Passes(gradients=1, joined=2), der(textbook.RSFGSM)
        ),
        "DER, PGD-10": Case(DER(net(), attack=PGD(), terms="both", **nhwc), Passes(joined=2), der(textbook.PGD)),
    }


def rows(setting: Setting) -> list[dict[str, Any]]:
    """Two rows an objective."""
    return [row for name, case in cases(setting).items() for row in compared(name, case, setting)]


def compared(name: str, case: Case, setting: Setting) -> list[dict[str, Any]]:
    """Textbook / ours, and ours / floor with its share of the machine's limit."""
    net, product = setting.narrow().to(memory_format=torch.channels_last), best_product(setting, half=True)
    steps = {
        "ours": module_step(case.module.to(setting.device), *setting.batch(nhwc=True), half=True),
        "floor": floor_step(net, *setting.batch(nhwc=True), case.passes, half=True),
        "product": product.step,
        "textbook": textbook_step(setting.narrow(), *setting.batch(), case.loss),
    }
    took = alternate(steps, setting)
    flops = setting.images * cost(net).of(case.passes)
    limit = {"limit": share(took["ours"], flops, took["product"], product)}
    return [
        compare(f"{name} step: textbook / ours", took["textbook"], took["ours"]),
        compare(f"{name} step: ours / floor", took["ours"], took["floor"], Goal(setting.floor_goal)) | limit,
    ]
