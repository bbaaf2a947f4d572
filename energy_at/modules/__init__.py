"""LightningModules: one adversarial training loop, and an objective each."""

from energy_at.modules.aaer import AAER
from energy_at.modules.at import StandardAT
from energy_at.modules.awp import AWP
from energy_at.modules.base import AdversarialTraining
from energy_at.modules.der import DER
from energy_at.modules.dual_at import DualAT
from energy_at.modules.elle import ELLE
from energy_at.modules.grad_align import GradAlign
from energy_at.modules.linear_der import LinearDER
from energy_at.modules.mart import MART
from energy_at.modules.pgi import PGI
from energy_at.modules.schedules import Cosine, Cyclic, OneCycle, Piecewise, Schedule
from energy_at.modules.trades import TRADES
from energy_at.modules.weat import WEAT

__all__ = [
    "AAER",
    "AWP",
    "DER",
    "ELLE",
    "MART",
    "PGI",
    "TRADES",
    "WEAT",
    "AdversarialTraining",
    "Cosine",
    "Cyclic",
    "DualAT",
    "GradAlign",
    "LinearDER",
    "OneCycle",
    "Piecewise",
    "Schedule",
    "StandardAT",
]
