"""Callbacks: energies, overfitting, checkpoints, and the picture of a run."""

from energy_at.callbacks.adversarial_examples import AdversarialExamples
from energy_at.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from energy_at.callbacks.contrast_monitor import ContrastMonitor
from energy_at.callbacks.energy_logger import EnergyLogger
from energy_at.callbacks.energy_plot import EnergyPlot
from energy_at.callbacks.overfitting_monitor import OverfittingMonitor
from energy_at.callbacks.progress_bar import ProgressBar
from energy_at.callbacks.recovery import Recovery
from energy_at.callbacks.sample_grid import SampleGrid
from energy_at.callbacks.swa import SWA

__all__ = [
    "SWA",
    "AdversarialExamples",
    "BestCheckpoint",
    "ContrastMonitor",
    "EnergyLogger",
    "EnergyPlot",
    "LastCheckpoint",
    "OverfittingMonitor",
    "ProgressBar",
    "Recovery",
    "SampleGrid",
]
