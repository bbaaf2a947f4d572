"""One batch under a list of attacks: computed in float32 and evaluation mode, or read from the store."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from energy_at.attacks import Attack
from energy_at.evaluation.bench import Bench
from energy_at.evaluation.store import digest
from energy_at.net_state import in_mode
from energy_at.types import Images, Labels


class Outcome(NamedTuple):
    """Which images of a batch are classified correctly.

    Args:
        data: hash of images and labels.
        labels: [N].
        clean: [N], without an attack.
        own: under each attack, [M] of the images that it was given.
        worst_case: [N], without an attack and under every attack that looks for mistakes.
    """

    data: str
    labels: Labels
    clean: Tensor
    own: Mapping[str, Tensor]
    worst_case: Tensor


def looks_for_mistakes(attack: Attack) -> bool:
    """See ``Attack.adversarial``; what is no ``Attack``, but is called like one, does too."""
    return getattr(attack, "adversarial", True)


class Runner:
    """Answers for one batch after the other.

    Args:
        bench: net, attacks, in the order in which they run, and store.
        worst_case_only: attack only images that are still correct; noise and corruptions fall on all.
    """

    def __init__(self, bench: Bench, worst_case_only: bool) -> None:
        self.bench, self.worst_case_only = bench, worst_case_only

    def __call__(self, index: int, x: Images, y: Labels) -> Outcome:
        """The outcome of batch number ``index``: images [N, C, H, W], floating point in [0, 1] or uint8; labels [N].

        Raises:
            InputError: if the net, the images or the labels are unfit.
        """
        x, y, data = self.bench.prepared(index, x, y)
        clean = self._kept(f"clean/{index:06d}-{data[:16]}", lambda: self._correct(x, y))
        worst_case, own = clean.clone(), {}
        for name, attack in self.bench.attacks.items():
            adversarial = looks_for_mistakes(attack)
            spared = self.worst_case_only and adversarial
            chosen = worst_case.clone() if spared else torch.ones_like(worst_case)
            own[name] = self._under(name, index, data, x[chosen], y[chosen], chosen)
            if adversarial:
                worst_case[chosen] &= own[name]
        return Outcome(data, y, clean, own, worst_case)

    def _under(self, name: str, index: int, data: str, x: Images, y: Labels, chosen: Tensor) -> Tensor:
        if len(x) == 0:
            return chosen[chosen]
        return self._kept(
            f"{self.bench.setting(name)}/{index:06d}-{digest(data, chosen)[:16]}",
            lambda: self._correct(self.bench.attacked(name, index, x, y), y),
        )

    def _correct(self, x: Images, y: Labels) -> Tensor:
        with torch.no_grad():
            logits = self.bench.net(x)
        return (logits.argmax(dim=1) == y) & logits.isfinite().all(dim=1)

    def _kept(self, name: str, compute: Callable[[], Tensor]) -> Tensor:
        return self.bench.kept(name, lambda: {"correct": compute()})["correct"]


@contextmanager
def exact(net: nn.Module, device: torch.device, channels_last: bool = False) -> Iterator[nn.Module]:
    """The net in evaluation mode and float32 on this device, without autocast or TF32.

    A net of another precision or on another device is copied, and so is one that is to compute in NHWC memory; the net
    given is left as it was found.
    """
    tensors = [*net.parameters(), *net.buffers()]
    if any(t.device != device or (t.is_floating_point() and t.dtype != torch.float32) for t in tensors):
        net = copy.deepcopy(net).to(device, torch.float32)
    if channels_last:
        net = copy.deepcopy(net).to(memory_format=torch.channels_last)
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
