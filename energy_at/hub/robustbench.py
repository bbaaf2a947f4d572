"""A net as RobustBench keeps it: a state_dict in the names of its architectures, and the claim for its leaderboard."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from energy_at.files import write_file, write_torch
from energy_at.hub.facts import Facts
from energy_at.hub.recipe import short
from energy_at.types import require, require_one_of

DATASETS = {"CIFAR10": "cifar10", "CIFAR100": "cifar100", "ImageNet": "imagenet"}
# whose blocks and names RobustBench has too; of DeepMind's, its code holds the normalisation itself
ARCHITECTURES = ("ResNet", "PreActResNet", "WideResNet", "DMPreActResNet", "DMWideResNet")
BUFFERS = {"normalize.mean": "mu", "normalize.std": "sigma"}


def robustbench_state(state: Mapping[str, Tensor], architecture: str) -> dict[str, Tensor]:
    """Weights by RobustBench's names; normalisation as its buffers ``mu`` and ``sigma`` [1, C, 1, 1].

    Args:
        state: a net's state_dict.
        architecture: its class. Of nets that take images as they are, and of DeepMind's, the buffers are left out.

    Raises:
        InputError: if RobustBench has no such architecture.
    """
    require_one_of("the net", architecture, ARCHITECTURES)
    named = {name: tensor.detach().cpu() for name, tensor in state.items() if name not in BUFFERS}
    mean, std = (state[name].detach().cpu().reshape(1, -1, 1, 1) for name in BUFFERS)
    as_they_are = not mean.any() and torch.equal(std, torch.ones_like(std))
    return named if as_they_are or architecture.startswith("DM") else named | {"mu": mean, "sigma": std}


def robustbench_claim(facts: Facts, evaluation: Mapping[str, Any] | None) -> dict[str, Any]:
    """The entry of RobustBench's ``model_info``; what only its authors know is left empty.

    Args:
        facts: of the net.
        evaluation: of its weights, as ``evaluation.json`` has it; accuracies are taken from standard AutoAttack on all
            test images, and left empty without it.
    """
    clean, robust = _accuracies(evaluation)
    arguments = facts.attack.get("init_args", {})
    return {
        "link": "",
        "name": "",
        "authors": "",
        "additional_data": "",
        "number_forward_passes": 1,
        "dataset": DATASETS[facts.data],
        "venue": "",
        "architecture": short(facts.net["class_path"]),
        "eps": str(arguments.get("eps", "")),
        "clean_acc": clean,
        "reported": robust,
        "autoattack_acc": robust,
    }


def write_robustbench(
    folder: Path, name: str, state: Mapping[str, Tensor], facts: Facts, evaluation: Mapping[str, Any] | None
) -> Path:
    """Write ``models/DATASET/THREAT/NAME.pt`` and ``model_info/DATASET/THREAT/NAME.json``.

    Args:
        folder: that holds both.
        name: as RobustBench forms it: first author, year and first word of the title.
        state: the net's state_dict.
        facts: of the net.
        evaluation: see ``robustbench_claim``.

    Returns:
        Path of the weights.

    Raises:
        InputError: if RobustBench has no such data set or architecture, or the name is none for a file.
    """
    require(name.replace("_", "").replace("-", "").isalnum(), f"{name!r} is no name; write for example Wong2020Fast")
    require_one_of("the data set", facts.data, DATASETS)
    weights = robustbench_state(state, short(facts.net["class_path"]))
    place = Path(DATASETS[facts.data]) / str(facts.attack.get("init_args", {}).get("norm", "Linf"))
    path = folder / "models" / place / f"{name}.pt"
    write_torch(path, weights)
    claim = json.dumps(robustbench_claim(facts, evaluation), indent=2)
    write_file(folder / "model_info" / place / f"{name}.json", claim + "\n")
    return path


def _accuracies(evaluation: Mapping[str, Any] | None) -> tuple[str, str]:
    """Clean, and under standard AutoAttack, in percent."""
    rows = evaluation["results"] if evaluation else []
    facts = evaluation["conditions"] if evaluation else {}
    if not rows or facts["split"] != "test" or rows[0]["images"] != facts["split_images"]:
        return "", ""
    standard = {"class": "AutoAttack", "version": "standard"}
    robust = next((row for row in rows if standard.items() <= row["settings"].items()), None)
    clean = f"{100 * rows[0]['accuracy']:.2f}"
    return (clean, f"{100 * robust['correct'] / rows[0]['images']:.2f}") if robust else (clean, "")
