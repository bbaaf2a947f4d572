"""LightningModules: one adversarial training loop, and an objective each."""

from energy_at.modules.at import StandardAT
from energy_at.modules.base import AdversarialTraining
from energy_at.modules.der import DER
from energy_at.modules.linear_der import LinearDER
from energy_at.modules.schedules import Cosine, Cyclic, OneCycle, Piecewise, Schedule
from energy_at.modules.trades import TRADES
from energy_at.modules.weat import WEAT

__all__ = [
    "DER",
    "TRADES",
    "WEAT",
    "AdversarialTraining",
    "Cosine",
    "Cyclic",
    "LinearDER",
    "OneCycle",
    "Piecewise",
    "Schedule",
    "StandardAT",
]
