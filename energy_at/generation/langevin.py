"""Langevin sampling from the energy of a classifier, with a stop at a given energy."""

from collections.abc import Callable
from copy import copy
from math import inf
from typing import Literal, NamedTuple, Self, TypeAlias

import torch
from torch import Tensor, nn

from energy_at.describe import Described
from energy_at.energy import cross_entropy_terms, full_precision, joint_energy, marginal_energy
from energy_at.generation.noise import normal
from energy_at.lengths import unit
from energy_at.net_state import in_mode
from energy_at.types import Images, Labels, Logits, PerSample, require, require_count, require_one_of

EnergyName: TypeAlias = Literal["joint", "marginal", "cross_entropy", "conditional"]
Energy: TypeAlias = Callable[[Logits, Labels], PerSample]


def conditional_energy(logits: Logits, y: Labels) -> PerSample:
    """E(y|x) = E(x, y) - E(x) = -log p(y|x), which is the cross-entropy.

    Args:
        logits: [N, K].
        y: [N], labels in 0..K-1.

    Returns:
        [N].
    """
    joint, marginal = cross_entropy_terms(logits, y)
    return joint + marginal


ENERGIES: dict[str, Energy] = {
    "joint": joint_energy,
    "marginal": lambda logits, y: marginal_energy(logits),
    "cross_entropy": conditional_energy,
    "conditional": conditional_energy,
}


class Step(NamedTuple):
    """What the sampler's callback is shown: the samples that the net has just seen, finished ones among them."""

    step: int  # 0 at the starting points
    rows: Tensor  # [m], places in the batch
    x: Images  # [m, C, H, W], before the step
    energies: PerSample  # [m], E(x, y)


Callback: TypeAlias = Callable[[Step], None]


def _unseen(step: Step) -> None:
    """The callback where nobody looks."""


class Samples(NamedTuple):
    """What a sampler returns, in the order of its starting points."""

    x: Images  # [n, C, H, W] in [0, 1]
    energies: PerSample  # [n], E(x, y) of these images
    steps: Tensor  # [n], how many steps each of them took


class LangevinSampler(Described):
    """v <- zeta v - (eta / 2) grad_x E;  x <- clip(x + v + sqrt(2 eta) n), n ~ N(0, sigma^2) (arXiv 2407.06315).

    The net is in evaluation mode meanwhile; its mode and its parameters' gradients are left as they were found. The
    noise of a sample is a function of (its seed, step) alone, so its image does not depend on the batch, up to the
    rounding of the net itself.

    Args:
        step_size: eta, above 0. Published: 0.05 to 0.8.
        friction: zeta, the share of the velocity that a step keeps, in [0, 1); 0 means no momentum.
        noise: sigma, at least 0.
        steps: the most steps a sample takes, at least 0. Published: 20 to 500.
        energy: whose gradient is followed. "joint" E(x, y); "marginal" E(x); "conditional" E(x, y) - E(x), which is
            the "cross_entropy" too; or a function of logits [N, K] and labels [N].
        clip: keep the iterates in [0, 1].
        normalize: follow the direction of the gradient alone: v <- zeta v - eta grad_x E / |grad_x E|_2, so that
            ``step_size`` is a step's length in L2, as dual adversarial training samples (arXiv 2510.13872).

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(
        self,
        step_size: float = 0.8,
        friction: float = 0.0,
        noise: float = 0.001,
        steps: int = 50,
        energy: EnergyName | Energy = "joint",
        clip: bool = True,
        normalize: bool = False,
    ) -> None:
        require(0 < step_size < inf, f"step_size is {step_size}, but it is finite and above 0; write step_size: 0.8")
        require(0 <= friction < 1, f"friction is {friction}, but it lies in [0, 1); write for example friction: 0.5")
        require(0 <= noise < inf, f"noise is {noise}, but it is finite and at least 0; write for example noise: 0.001")
        require_count("steps", steps, 50, least=0)
        if not callable(energy):
            require_one_of("energy", energy, ENERGIES)
        self.step_size = step_size
        self.friction = friction
        self.noise = noise
        self.steps = steps
        self.energy = energy
        self.clip = clip
        self.normalize = normalize

    def __call__(
        self,
        net: nn.Module,
        x0: Images,
        y: Labels,
        seeds: Tensor,
        stop: PerSample | None = None,
        callback: Callback | None = None,
    ) -> Samples:
        """Sample from starting points.

        A sample whose joint energy E(x, y) is at most its ``stop`` keeps that image and leaves the batch, so the net
        sees each sample once for each of its steps and once for its last image.

        Args:
            net: maps images in [0, 1] to logits.
            x0: [n, C, H, W] in [0, 1], floating point.
            y: [n], the classes to sample from.
            seeds: [n], one integer a sample, see ``sample_seeds``.
            stop: [n], energies to stop at; None means that every sample takes all steps.
            callback: is shown every image that the net sees, step by step; it observes, and must not write.

        Raises:
            InputError: if the lengths differ, or the energies do not stay finite.
        """
        lengths = [len(each) for each in (x0, y, seeds, *([] if stop is None else [stop]))]
        require(len(set(lengths)) == 1, f"x0, y, seeds and stop have lengths {lengths}; give one a sample")
        samples = self.descend(net, x0, y, seeds, stop, callback or _unseen)
        require(
            bool(samples.energies.isfinite().all()),
            f"energies are no longer finite with step_size {self.step_size}; take a smaller one, or check the net",
        )
        return samples

    def with_steps(self, steps: int) -> Self:
        """The same sampler with so many steps."""
        changed = copy(self)
        changed.steps = steps
        return changed

    def descend(
        self,
        net: nn.Module,
        x0: Images,
        y: Labels,
        seeds: Tensor,
        stop: PerSample | None = None,
        callback: Callback = _unseen,
    ) -> Samples:
        """``__call__`` without its checks, and so without waiting for a GPU where nothing is to stop."""
        with in_mode(net, training=False), torch.inference_mode(False), torch.enable_grad():
            x = x0.detach().clone()  # a tensor made in inference mode cannot enter a graph
            y, seeds = y.to(torch.int64, copy=True), seeds.to(torch.int64)
            return self._run(net, x, y, seeds, stop, callback)

    def _run(
        self, net: nn.Module, x: Images, y: Labels, seeds: Tensor, stop: PerSample | None, show: Callback
    ) -> Samples:
        result = Samples(x.clone(), x.new_zeros(len(x), dtype=torch.float32), torch.zeros_like(y))
        rows, v = torch.arange(len(x), device=x.device), torch.zeros_like(x)
        for step in range(self.steps):
            if len(rows) == 0:
                return result
            grad, energies = self._gradient(net, x, y)
            show(Step(step, rows, x, energies))
            if stop is not None and (reached := energies <= stop).any():
                _record(result, rows[reached], x[reached], energies[reached], step)
                rows, x, v, y, seeds, stop, grad = (each[~reached] for each in (rows, x, v, y, seeds, stop, grad))
            v = self.friction * v - self._drift(grad)
            x = self._moved(x, v, seeds, step)
        if len(rows):
            with torch.no_grad():
                energies = joint_energy(full_precision(net(x)), y)
            show(Step(self.steps, rows, x, energies))
            _record(result, rows, x, energies, self.steps)
        return result

    def _gradient(self, net: nn.Module, x: Images, y: Labels) -> tuple[Tensor, PerSample]:
        """Gradient of the followed energy at x, and the joint energy there; no parameter's gradient is computed."""
        energy = self.energy if callable(self.energy) else ENERGIES[self.energy]
        x.requires_grad_()
        logits = full_precision(net(x))
        (grad,) = torch.autograd.grad(energy(logits, y).sum(), x)
        x.requires_grad_(False)
        return grad, joint_energy(logits.detach(), y)

    def _drift(self, grad: Tensor) -> Tensor:
        if not self.normalize:
            return self.step_size / 2 * grad
        return self.step_size * unit(grad)

    def _moved(self, x: Images, v: Tensor, seeds: Tensor, step: int) -> Images:
        x = x + v
        if self.noise:
            x.add_(normal(seeds, step, x.shape[1:]), alpha=self.noise * (2 * self.step_size) ** 0.5)
        return x.clamp_(0, 1) if self.clip else x


def _record(result: Samples, rows: Tensor, x: Images, energies: PerSample, steps: int) -> None:
    result.x[rows], result.energies[rows], result.steps[rows] = x, energies.to(result.energies), steps
