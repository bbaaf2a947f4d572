"""Energies of natural and adversarial images over batches and processes: a metric of torchmetrics for any loop."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from energy_at.energy import full_precision, joint_energy, marginal_energy
from energy_at.types import Labels, Logits, kind_of, require

QUANTITIES = ("E_marginal", "E_marginal_adv", "dE_marginal", "E_joint", "E_joint_adv", "dE_joint")
SHARES = ("AAE_loss", "AAE_joint")


class EnergyStatistics(Metric):
    """Means and standard deviations of E(x), E(x*), dE(x), E(x,y), E(x*,y) and dE(x,y), in nats.

    What ``EnergyLogger`` logs of an epoch, for loops without it::

        energies = EnergyStatistics()
        energies.update(net(x), net(x_adv), y)  # every batch
        energies.compute()["dE_marginal"]  # over all batches, and all processes

    Args:
        kwargs: see ``torchmetrics.Metric``.
    """

    full_state_update = False
    sums: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        rows = len(QUANTITIES) + len(SHARES)
        self.add_state("sums", torch.zeros(3, rows, dtype=torch.double), dist_reduce_fx="sum")

    def update(self, logits: Logits, logits_adv: Logits, y: Labels) -> None:
        """Take a batch.

        Args:
            logits: [N, K] of the natural images.
            logits_adv: [N, K] of the adversarial images.
            y: [N], or shares [N, K].

        Raises:
            InputError: if they are of other shapes.
        """
        fitting = logits.ndim == 2 and logits.shape == logits_adv.shape and y.shape in (logits.shape, logits.shape[:1])
        told = f"logits are {kind_of(logits)}, logits_adv {kind_of(logits_adv)}, and labels {kind_of(y)}"
        require(fitting, f"{told}; give [N, K] twice, and [N]")
        self.sums = self.sums + moments(energies(logits, logits_adv, y))

    def compute(self) -> dict[str, Tensor]:
        """Scalars: "E_marginal", "E_marginal_std" and so on; of "AAE_loss" and "AAE_joint" the share alone.

        These are the shares of abnormal adversarial examples (arXiv 2404.08154): images whose cross-entropy, or E(x,y),
        is lower at x* than at x.
        """
        return named(*mean_std(self.sums), (*QUANTITIES, *SHARES))


@torch.no_grad()
def energies(logits: Logits, logits_adv: Logits, y: Labels) -> Tensor:
    """The quantities of ``QUANTITIES`` for every image, and whether it counts for each of ``SHARES``.

    Args:
        logits: [N, K] of the natural images.
        logits_adv: [N, K] of the adversarial images.
        y: [N], or shares [N, K].

    Returns:
        [8, N].
    """
    logits, logits_adv = full_precision(logits), full_precision(logits_adv)
    marginal, marginal_adv = marginal_energy(logits), marginal_energy(logits_adv)
    joint, joint_adv = joint_energy(logits, y), joint_energy(logits_adv, y)
    loss, loss_adv = joint - marginal, joint_adv - marginal_adv
    lowered = (loss_adv < loss).to(loss), (joint_adv < joint).to(loss)
    return torch.stack([marginal, marginal_adv, marginal - marginal_adv, joint, joint_adv, joint - joint_adv, *lowered])


def moments(values: Tensor) -> Tensor:
    """Count, sum and sum of squares [3, Q] of values [Q, N], in double precision: what batches and processes add up."""
    wide = values.double()
    return torch.stack([torch.ones_like(wide), wide, wide.square()]).sum(dim=2)


def mean_std(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [Q], float32, of sums [3, Q]."""
    count, total, squares = sums
    mean = total / count
    return mean.float(), (squares / count - mean.square()).clamp(min=0).sqrt().float()


def named(mean: Tensor, std: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Means by name, and standard deviations, as ``NAME_std``, of all but shares."""
    means = dict(zip(names, mean, strict=False))
    return means | {f"{name}_std": value for name, value in zip(names, std, strict=False) if name not in SHARES}
