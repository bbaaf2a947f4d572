"""Energies to stop at, drawn from those of a class's real images."""

from typing import Self

import torch
from torch import Tensor, nn

from energy_at.energy import full_precision, joint_energy
from energy_at.generation.fitted import Fitted, check_data, class_table
from energy_at.generation.noise import TARGET
from energy_at.net_state import in_mode
from energy_at.types import Images, Labels, PerSample, require, require_count


class EnergyTargets(Fitted):
    """Target energies of samples: each the E(x, y) of a random real image of its class (arXiv 2505.22486)."""

    @torch.no_grad()
    def fit(self, net: nn.Module, images: Images, labels: Labels, batch_size: int = 500) -> Self:
        """Take the joint energies of real images under a net in evaluation mode.

        Args:
            net: maps images in [0, 1] to logits; the fit is on its device.
            images: [N, C, H, W] in [0, 1].
            labels: [N], each class of 0..K-1 at least once.
            batch_size: images at a time, at least 1.

        Raises:
            InputError: if the data are of another form, or the net has too few classes.
        """
        check_data(images, labels)
        require_count("batch_size", batch_size, 500)
        labels = labels.to(images.device, torch.int64)
        table = class_table(labels)
        with in_mode(net, training=False):
            batches = [self._energies(net, images[rows], labels[rows]) for rows in table.order.split(batch_size)]
        energies = torch.cat(batches)
        self._tensors = {"firsts": table.firsts, "counts": table.counts, "energies": energies}
        return self.to(energies.device)

    @torch.no_grad()
    def sample(self, labels: Labels, seeds: Tensor) -> PerSample:
        """Draw target energies.

        Args:
            labels: [n], of the fitted classes.
            seeds: [n], one integer a sample, see ``sample_seeds``.

        Returns:
            [n], on the fit's device.

        Raises:
            InputError: before fit or load, or if a label has no class.
        """
        labels, seeds = self.check_request(labels, seeds)
        return self["energies"][self.draw_member(labels, seeds, TARGET)]

    @staticmethod
    def _energies(net: nn.Module, images: Images, labels: Labels) -> PerSample:
        device = next((parameter.device for parameter in net.parameters()), images.device)
        logits = full_precision(net(images.to(device)))
        classes = logits.shape[1]
        require(
            int(labels.max()) < classes, f"label {labels.max()} has no logit, as the net has {classes}; give its net"
        )
        return joint_energy(logits, labels.to(device))
