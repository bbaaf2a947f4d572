"""Images drawn from a robust classifier: starting points of each class, and Langevin sampling from its energy."""

from energy_at.generation.batches import generate
from energy_at.generation.folder import FolderInit
from energy_at.generation.langevin import LangevinSampler, Samples
from energy_at.generation.local_pca import LocalPCA
from energy_at.generation.noise import sample_seeds
from energy_at.generation.pca import ClassPCA, GaussianInit
from energy_at.generation.starts import ClassInit, UniformInit
from energy_at.generation.targets import EnergyTargets

__all__ = [
    "ClassInit",
    "ClassPCA",
    "EnergyTargets",
    "FolderInit",
    "GaussianInit",
    "LangevinSampler",
    "LocalPCA",
    "Samples",
    "UniformInit",
    "generate",
    "sample_seeds",
]
