"""The contract of every attack, and the care that it takes of the caller's state."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Self

import torch
from torch import Tensor, nn

from energy_at.attacks.threat import THREATS, Norm, ThreatModel
from energy_at.describe import Described
from energy_at.labels import are_shares
from energy_at.net_state import statistics_kept
from energy_at.types import Images, Labels, Ratio, RatioLike, kind_of, require, require_one_of


class Attack(Described, ABC):
    """``attack(net, x, y) -> x_adv``: adversarial images within the threat model.

    The net is used in the mode in which it is given (call ``net.eval()`` first where that is meant). Its mode, its
    parameters' gradients, its batch-norm statistics and the global random state are left as they were found; noise
    comes from the attack's own generator, seeded by ``seed``, or from the one given to the call. What does not look for
    the net's mistakes, such as noise, says ``adversarial = False``, and no worst case depends on it.

    Args:
        eps: radius of the ball, at least 0, in the units of images in [0, 1]; "8/255" is read too.
        norm: "Linf" or "L2".
        seed: of the attack's own generator.

    Raises:
        InputError: if eps is negative, not finite or wider than all images in Linf, or the norm unknown.
    """

    def __init__(self, eps: RatioLike = Ratio("8/255"), norm: Norm = "Linf", seed: int = 0) -> None:
        self.eps = Ratio(eps)
        self.norm = norm
        self.seed = seed
        require(
            0 <= self.eps < inf,
            f"eps is {self.eps}, but a radius is finite and at least 0; write for example eps: 8/255",
        )
        require_one_of("norm", norm, THREATS)
        require(
            norm != "Linf" or self.eps <= 1,
            f"eps is {self.eps} in Linf, but images lie in [0, 1]; for grey levels write for example eps: 8/255",
        )
        self._generators: dict[torch.device, torch.Generator] = {}
        self._looked_at: list[bool] = []  # a list, which the attack shares with its scaled copies

    def __call__(
        self,
        net: nn.Module,
        x: Images,
        y: Labels,
        start: Images | None = None,
        generator: torch.Generator | None = None,
    ) -> Images:
        """Attack a batch.

        Args:
            net: maps images in [0, 1] to logits.
            x: [N, C, H, W] in [0, 1], floating point.
            y: [N], the labels to leave (or, for a targeted attack, to reach); or, where the attack takes them, shares
                of classes [N, K].
            start: the first iterate, in place of the attack's own.
            generator: source of the noise, on x's device, in place of the attack's own.

        Returns:
            x_adv, detached, with the shape, dtype and device of x.

        Raises:
            InputError: if images or labels are of another form, the net is no module, or the first images that it sees
                are not in [0, 1]; every further look would wait for the GPU.
        """
        require(isinstance(net, nn.Module), f"the net is {kind_of(net)}; wrap it in a torch.nn.Module")
        check_form(x, y, self.takes_shares)
        if len(x) and not self._looked_at:
            check_range(x)
            self._looked_at.append(True)
        with caller_state_kept(net, x):
            x, y = x.detach().clone(), y.clone()  # a tensor made in inference mode cannot enter a graph
            start = None if start is None else start.detach().to(x, copy=True)
            return self.perturb(net, x, y, start, generator or self.generator(x.device)).detach()

    @abstractmethod
    def perturb(self, net: nn.Module, x: Images, y: Labels, start: Images | None, generator: torch.Generator) -> Images:
        """The attack itself; gradients are on, and the caller's state is kept around it."""

    def check(self, net: nn.Module, classes: int) -> None:
        """Refuse a net that it cannot attack; asked before other attacks have worked for hours.

        Args:
            net: to be attacked.
            classes: K of its logits.

        Raises:
            InputError: if it cannot.
        """

    @property
    def adversarial(self) -> bool:
        """Whether it looks for mistakes, and so is part of the worst case."""
        return True

    @property
    def takes_shares(self) -> bool:
        """Whether labels may be shares of classes, as mixed images have them."""
        return False

    @property
    def threat(self) -> type[ThreatModel]:
        """The geometry of the norm."""
        return THREATS[self.norm]

    def generator(self, device: torch.device) -> torch.Generator:
        """The attack's own source of noise on this device."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self._generators[device]

    def scaled(self, factor: float) -> Self:
        """The same attack with all its lengths multiplied by ``factor``, for a warm-up of eps."""
        scaled = copy.copy(self)
        scaled.eps = Ratio(self.eps * factor)
        return scaled


class AroundAnother(Attack):
    """An attack that has another one work for it, and whose radius, norm, seed and lengths are that one's.

    Args:
        attack: the other one.
    """

    def __init__(self, attack: Attack) -> None:
        super().__init__(seed=attack.seed)
        self.eps, self.norm = attack.eps, attack.norm  # None where it has no ball
        self.attack = attack

    def check(self, net: nn.Module, classes: int) -> None:
        """See ``Attack``."""
        self.attack.check(net, classes)

    @property
    def adversarial(self) -> bool:
        """See ``Attack``."""
        return self.attack.adversarial

    def scaled(self, factor: float) -> Self:
        """See ``Attack``."""
        scaled = copy.copy(self)
        scaled.attack = self.attack.scaled(factor)
        scaled.eps = scaled.attack.eps
        return scaled


class Disturbance(Attack):
    """What changes images without looking at the net, and without a ball: no attack, and part of no worst case.

    Args:
        seed: of its own generator.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__(0, seed=seed)
        self.eps = None  # type: ignore[assignment] # reports say so
        self.norm = None  # type: ignore[assignment]

    @property
    def adversarial(self) -> bool:
        """See ``Attack``."""
        return False


def check_form(x: Images, y: Labels, shares: bool = False) -> None:
    """Refuse what are no images and their labels; only their form is looked at, for which no GPU is waited for.

    Args:
        x: images.
        y: labels.
        shares: whether labels may be shares of classes.

    Raises:
        InputError: if x is not floating point [N, C, H, W], or y not int64 [N], nor shares [N, K] that may be.
    """
    check_image_form(x)
    if are_shares(y) and len(y) == len(x):
        require(shares, f"labels are shares of classes, {kind_of(y)}, where one is needed; give int64 [{len(x)}]")
        return
    fits = isinstance(y, Tensor) and y.dtype == torch.int64 and y.shape == x.shape[:1]
    require(fits, f"labels are {kind_of(y)}; give int64 [{len(x)}]")


def check_image_form(x: Images) -> None:
    """Refuse what are no images.

    Raises:
        InputError: if x is not floating point [N, C, H, W].
    """
    fits = isinstance(x, Tensor) and x.dim() == 4 and x.is_floating_point()
    require(fits, f"images are {kind_of(x)}; give floating point [N, C, H, W]")


def check_range(x: Images) -> None:
    """Refuse what are no images in [0, 1].

    Raises:
        InputError: naming the range, and what has probably happened to them.
    """
    low, high = float(x.detach().min()), float(x.detach().max())
    remedy = "divide them by 255" if low >= 0 and high > 2 else "leave normalisation to the net"
    require(low >= 0 and high <= 1, f"images reach from {low:.3g} to {high:.3g}, but lie in [0, 1]; {remedy}")


@contextmanager
def caller_state_kept(net: nn.Module, x: Images) -> Iterator[None]:
    """Gradients on, inference mode off, the global random state forked and batch-norm statistics untouched."""
    devices = [x.device] if x.device.type in ("cuda", "xpu") else []
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.random.fork_rng(devices, device_type=x.device.type),  # dropout draws from it in training mode
        statistics_kept(net),
    ):
        yield
