"""energy-at: adversarial training understood through energy-based models.

Everything named here is imported when first used, so that ``import energy_at`` costs nothing.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "energy": (
        "marginal_energy",
        "joint_energy",
        "delta_marginal_energy",
        "delta_joint_energy",
        "cross_entropy_terms",
        "trades_kl_terms",
        "kl_divergence",
    ),
    "objectives": ("at_loss", "trades_loss", "weat_weights", "weat_loss", "delta_energy_penalty", "der_loss"),
    "attacks": (
        "FGSM",
        "RSFGSM",
        "NFGSM",
        "PGD",
        "CarliniWagner",
        "AutoAttack",
        "DiffPGD",
        "Targeted",
        "ThroughDefense",
        "Transfer",
        "GaussianNoise",
        "Attack",
    ),
    "defense": ("EnergyDescent",),
    "evaluation.robustness": ("evaluate",),
    "evaluation.report": ("Report",),
    "evaluation.checkpoints": ("load_net",),
    "evaluation.checks": ("check_net",),
    "evaluation.analysis.measure": ("analyze",),
    "evaluation.analysis.report": ("write_report",),
    "evaluation.analysis.result": ("Analysis",),
    "evaluation.analysis.smoothness": ("Smoothness",),
    "evaluation.analysis.surface": ("draw_surfaces", "energy_surface"),
    "evaluation.training_run": ("TrainingRun", "read_run"),
    "models": (
        "DMPreActResNet",
        "DMWideResNet",
        "PreActResNet",
        "ResNet",
        "SmallNet",
        "TimmNet",
        "TorchvisionNet",
        "WideResNet",
    ),
    "generation": (
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
    ),
    "modules": (
        "AdversarialTraining",
        "StandardAT",
        "TRADES",
        "WEAT",
        "DER",
        "LinearDER",
        "GradAlign",
        "ELLE",
        "AAER",
        "MART",
        "AWP",
        "DualAT",
    ),
    "callbacks": (
        "AdversarialExamples",
        "ContrastMonitor",
        "EnergyLogger",
        "EnergyPlot",
        "OverfittingMonitor",
        "SWA",
        "SampleGrid",
    ),
    "data": (
        "CIFAR10",
        "CIFAR100",
        "SVHN",
        "TinyImageNet",
        "ImageNet",
        "ImageFolder",
        "FashionMNIST",
        "Digits",
    ),
    "types": ("InputError", "Ratio"),
}
_HOME_OF = {name: f"energy_at.{home}" for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Import the home of a public name; the version is that of the installation."""
    if name == "__version__":
        return _version()
    if name not in _HOME_OF:
        raise AttributeError(f"module 'energy_at' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("energy-at")
    except PackageNotFoundError:  # files that nobody installed
        return "0.0"


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*__all__, "__version__"])
