"""Attacks on a classifier: ``attack(net, x, y) -> x_adv``, images in [0, 1]."""

from energy_at.attacks.autoattack import AutoAttack
from energy_at.attacks.base import Attack
from energy_at.attacks.carlini_wagner import CarliniWagner
from energy_at.attacks.corruption import Corruption
from energy_at.attacks.diff_pgd import DiffPGD
from energy_at.attacks.fgsm import FGSM, NFGSM, RSFGSM, SingleStep
from energy_at.attacks.gaussian_noise import GaussianNoise
from energy_at.attacks.pgd import PGD, input_gradient
from energy_at.attacks.targeted import Targeted
from energy_at.attacks.through_defense import ThroughDefense
from energy_at.attacks.transfer import Transfer

__all__ = [
    "FGSM",
    "NFGSM",
    "PGD",
    "RSFGSM",
    "Attack",
    "AutoAttack",
    "CarliniWagner",
    "Corruption",
    "DiffPGD",
    "GaussianNoise",
    "SingleStep",
    "Targeted",
    "ThroughDefense",
    "Transfer",
    "input_gradient",
]
