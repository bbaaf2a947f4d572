"""One batch under a list of attacks: computed in float32 and evaluation mode, or read from the store."""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from energy_at import __version__
from energy_at.attacks import Attack
from energy_at.evaluation.checks import check_images, check_net
from energy_at.evaluation.store import Store, digest, net_sha256, settings
from energy_at.net_state import in_mode
from energy_at.seeding import seeded_generator
from energy_at.types import Images, Labels, require


class Outcome(NamedTuple):
    """Which images of a batch are classified correctly.

    Args:
        data: hash of images and labels.
        clean: [N], without an attack.
        own: under each attack, [M] of the images that it was given.
        worst_case: [N], without an attack and under every attack.
    """

    data: str
    clean: Tensor
    own: Mapping[str, Tensor]
    worst_case: Tensor


class Runner:
    """Answers for one batch after the other.

    Args:
        net: in float32 and evaluation mode, on ``device``.
        attacks: by name, in the order in which they run.
        store: of earlier results.
        device: where to compute.
        seed: of the attacks' noise.
        worst_case_only: attack only images that are still correct.
    """

    def __init__(
        self,
        net: nn.Module,
        attacks: Mapping[str, Attack],
        store: Store,
        device: torch.device,
        seed: int,
        worst_case_only: bool,
    ) -> None:
        self.net, self.attacks, self.store, self.device = net, attacks, store, device
        self.seed, self.worst_case_only = seed, worst_case_only
        self.classes: int | None = None
        # another version of a library, or another kind of device, may differ in the last digit
        self._net = digest(net_sha256(net), torch.__version__, __version__, device.type)[:16]

    def __call__(self, index: int, x: Images, y: Labels) -> Outcome:
        """The outcome of batch number ``index``: images [N, C, H, W], floating point in [0, 1] or uint8; labels [N].

        Raises:
            InputError: if the net, the images or the labels are unfit.
        """
        x, y = x.to(self.device), y.to(self.device)
        x = x.float() / 255 if x.dtype == torch.uint8 else x.float()
        self._check(index, x, y)
        data = digest(x, y)
        clean = self._kept(f"clean/{index:06d}-{data[:16]}", lambda: self._correct(x, y))
        worst_case, own = clean.clone(), {}
        for name in self.attacks:
            chosen = worst_case.clone() if self.worst_case_only else torch.ones_like(worst_case)
            own[name] = self._under(name, index, data, x[chosen], y[chosen], chosen)
            worst_case[chosen] &= own[name]
        return Outcome(data, clean, own, worst_case)

    def _check(self, index: int, x: Images, y: Labels) -> None:
        if self.classes is None:
            self.classes = check_net(self.net, x)
        check_images(x)
        require(
            y.shape == (len(x),) and len(x) > 0 and int(y.min()) >= 0 and int(y.max()) < self.classes,
            f"batch {index} has labels {y.flatten()[:3].tolist()}... for {len(x)} images, and the net {self.classes}"
            " classes; give every image one label below that count",
        )

    def _under(self, name: str, index: int, data: str, x: Images, y: Labels, chosen: Tensor) -> Tensor:
        if len(x) == 0:
            return chosen[chosen]
        setting = digest(name, type(self.attacks[name]), settings(self.attacks[name]), self.seed)
        folder = f"{re.sub('[^a-zA-Z0-9_.+-]', '_', name)}-{setting[:16]}"
        return self._kept(
            f"{folder}/{index:06d}-{digest(data, chosen)[:16]}", lambda: self._attacked(name, index, x, y)
        )

    def _attacked(self, name: str, index: int, x: Images, y: Labels) -> Tensor:
        attack = self.attacks[name]
        noise = int(digest(name, attack.seed)[:16], 16)
        x_adv = attack(self.net, x, y, generator=seeded_generator(self.device, self.seed, noise, index))
        require(
            x_adv.shape == x.shape and float(x_adv.min()) >= 0 and float(x_adv.max()) <= 1,
            f"attack {name!r} left [0, 1] or the images' shape {list(x.shape)}; correct it",
        )
        return self._correct(x_adv, y)

    def _correct(self, x: Images, y: Labels) -> Tensor:
        with torch.no_grad():
            logits = self.net(x)
        return (logits.argmax(dim=1) == y) & logits.isfinite().all(dim=1)

    def _kept(self, name: str, compute: Callable[[], Tensor]) -> Tensor:
        name = f"{self._net}/{name}"
        correct = self.store.load(name)
        if correct is None:
            correct = compute()
            self.store.keep(name, correct)
        return correct.to(self.device)


@contextmanager
def exact(net: nn.Module, device: torch.device) -> Iterator[nn.Module]:
    """The net in evaluation mode and float32 on this device, without autocast or TF32.

    A net of another precision or on another device is copied; the net given is left as it was found.
    """
    tensors = [*net.parameters(), *net.buffers()]
    if any(t.device != device or (t.is_floating_point() and t.dtype != torch.float32) for t in tensors):
        net = copy.deepcopy(net).to(device, torch.float32)
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, enabled=False))
        if device.type == "cuda":
            stack.enter_context(_no_tf32())
        stack.enter_context(in_mode(net, False))
        yield net


@contextmanager
def _no_tf32() -> Iterator[None]:
    precision = torch.get_float32_matmul_precision()
    convolution, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = convolution
