"""AutoAttack, through the library pyautoattack."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import nn

from energy_at.attacks.base import Attack
from energy_at.attacks.threat import Norm
from energy_at.net_state import in_mode
from energy_at.types import Images, InputError, Labels, Ratio, RatioLike, require, require_count, require_one_of

Version: TypeAlias = Literal["standard", "rand", "custom"]
Part: TypeAlias = Literal["apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square"]

PARTS: dict[Version, tuple[Part, ...]] = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "rand": ("apgd-ce", "apgd-dlr"),
}
# the difference-of-logits ratio divides by the gap between the first and the third logit; its targeted form needs four
LEAST_CLASSES = {"apgd-dlr": 3, "apgd-t": 4}


class AutoAttack(Attack):
    """The ensemble of APGD, targeted FAB and Square (arXiv 2003.01690), computed by the library pyautoattack.

    Each part attacks the images that the parts before it left correct; an image that no part breaks, or that is
    misclassified already, comes back unchanged. The net is attacked in evaluation mode, whatever its mode is. With
    fewer than ten classes, the targeted parts aim at all K - 1 others. Images and net are float32.

    Needs ``pip install 'energy-at[eval]'``.

    Args:
        eps: radius of the ball, at least 0, images in [0, 1]; "8/255" is read too.
        norm: "Linf" or "L2".
        version: "standard" (APGD-CE, APGD-T, FAB-T, Square), "rand" (APGD-CE and APGD-DLR averaged over 20 passes, for
            nets that draw random numbers) or "custom": those that ``attacks`` names.
        attacks: for "custom" only, names among apgd-ce, apgd-dlr, apgd-t, fab, fab-t and square.
        batch_size: images per pass, at least 1.
        iterations: of APGD and FAB, at least 1; None means 100, as published.
        queries: of Square, at least 1; None means 5000, as published.
        seed: of the parts' noise; an explicit generator gives its own seed in its place.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(
        self,
        eps: RatioLike = Ratio("8/255"),
        norm: Norm = "Linf",
        version: Version = "standard",
        attacks: Sequence[Part] | None = None,
        batch_size: int = 250,
        iterations: int | None = None,
        queries: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(eps, norm, seed)
        require_one_of("version", version, get_args(Version))
        require(
            bool(attacks) == (version == "custom"),
            f"version {version!r} with attacks {attacks!r} says two things; name attacks for version: custom, only",
        )
        for part in attacks or ():
            require_one_of("attack", part, get_args(Part))
        for name, value in {"batch_size": batch_size, "iterations": iterations, "queries": queries}.items():
            if value is not None:
                require_count(name, value, 100)
        self.version = version
        self.attacks = attacks
        self.batch_size = batch_size
        self.iterations = iterations
        self.queries = queries

    def check(self, net: nn.Module, classes: int) -> None:
        """See ``Attack``.

        Raises:
            InputError: if the library is missing, or the net has too few classes for a part.
        """
        _imported()
        for part in self.attacks or PARTS[self.version]:
            least = LEAST_CLASSES.get(part, 2)
            require(
                classes >= least,
                f"the net has {classes} classes, but {part} needs {least};"
                " use version: custom with attacks: [apgd-ce, fab, square]",
            )

    def perturb(self, net: nn.Module, x: Images, y: Labels, start: Images | None, generator: torch.Generator) -> Images:
        """See ``Attack``; there is no starting point to choose.

        Raises:
            InputError: if a start is given, and as in ``check``.
        """
        require(start is None, "AutoAttack chooses its own starting points; leave start out")
        with in_mode(net, False), _outer_state_kept(net):
            with torch.no_grad():
                classes = net(x[:1].float()).shape[1]
            self.check(net, classes)
            # the library seeds every part anew, so the generator's seed says all
            library = self._library(net, classes, x.device, generator.initial_seed())
            x_adv, _ = library.run_standard_evaluation(x.float(), y, batch_size=self.batch_size)
        return x_adv.to(x.dtype)

    def _library(self, net: nn.Module, classes: int, device: torch.device, seed: int) -> Any:
        library = _imported()(
            net,
            norm=self.norm,
            eps=float(self.eps),
            version=self.version,
            attacks=None if self.attacks is None else list(self.attacks),
            device=device,
            seed=seed,
        )
        library.apgd_targeted.n_target_classes = library.fab.n_target_classes = min(9, classes - 1)
        if self.iterations is not None:
            library.apgd.n_iter = library.apgd_targeted.n_iter = library.fab.n_iter = self.iterations
        if self.queries is not None:
            library.square.n_queries = self.queries
        return library


def _imported() -> type:
    try:
        from pyautoattack import AutoAttack as Library
    except ImportError:
        raise InputError("AutoAttack needs the library pyautoattack; pip install 'energy-at[eval]'") from None
    return Library


@contextmanager
def _outer_state_kept(net: nn.Module) -> Iterator[None]:
    """What the library leaves changed: parameters' gradients, the trace function, and the GPU's random state."""
    flags = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    trace = sys.gettrace()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    try:
        net.requires_grad_(False)
        with torch.random.fork_rng(devices):
            yield
    finally:
        sys.settrace(trace)
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
