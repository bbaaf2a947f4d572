"""What is known of a trained net: from its checkpoint, and from the files of its run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from energy_at.files import file_sha256
from energy_at.hub.recipe import recipe_of, short
from energy_at.hub.sources import is_elsewhere
from energy_at.reading import readable
from energy_at.types import InputError

REMEDY = "remove it to share the net without it"
EARLIER = "weights of an earlier training"
UNSHARED = ("root", "checkpoint")  # paths of somebody's machine


@dataclass(frozen=True)
class Accuracy:
    """A row of a card.

    Args:
        attack: its name; "clean" without one.
        threat: the ball, such as "Linf 8/255".
        value: share of the images, in [0, 1].
        images: how many.
    """

    attack: str
    threat: str
    value: float
    images: int | None = None


@dataclass(frozen=True)
class Facts:
    """Of a trained net.

    Args:
        net: its description, as class_path and init_args.
        method: class of the training module, such as "DER".
        attack: of the training, as class_path and init_args.
        data: class of the data module.
        class_names: in the order of the logits; empty if nobody kept them.
        epochs: that the weights have been trained for.
        accuracies: of ``energy-at evaluate`` on these very weights, else of the run's own test.
        protocol: how they were measured, in words.
        begun_with: weights that the training began with: "hf://USER/NAME", "pretrained:NAME" or, of a file of the
            user's, that there was one; empty for random ones.
        recipe: see ``recipe_of``.
    """

    net: Mapping[str, Any]
    method: str
    attack: Mapping[str, Any]
    data: str
    class_names: tuple[str, ...]
    epochs: int
    accuracies: tuple[Accuracy, ...]
    protocol: str
    begun_with: str = ""
    recipe: Mapping[str, str] = field(default_factory=dict)

    def as_config(self) -> dict[str, Any]:
        """Plain values, for ``config.json``."""
        training = {"method": self.method, "attack": self.attack, "epochs": self.epochs, **self.recipe}
        training |= {"begun_with": self.begun_with} if self.begun_with else {}
        about = {"data": self.data, "class_names": list(self.class_names), "training": training}
        return {"library_name": "energy_at", "net": self.net, **about}


def facts_of(
    checkpoint: Path,
    content: Mapping[str, Any],
    run: Path | None,
    evaluation: Mapping[str, Any] | None = None,
    about_data: Mapping[str, Any] | None = None,
) -> Facts:
    """Gather them.

    Args:
        checkpoint: the file.
        content: of it.
        run: folder of its training; None if it was moved away from there.
        evaluation: see ``evaluation_of``.
        about_data: what the data module has said of itself: "class_names", in the order of the logits, and
            "augmentation".

    Raises:
        InputError: if it was written by no training of this package, or a file of the run is damaged.
    """
    arguments = content.get("hyper_parameters", {})
    if "_class_path" not in arguments or not isinstance(arguments.get("net"), Mapping):
        raise InputError(f"{checkpoint} does not say of which net it is; share one that energy-at fit has left")
    about_data = about_data or {}
    data, start, recipe = _from_config(run, arguments, about_data.get("augmentation", ""))
    start = start or arguments.get("classifier") or ""
    measured = evaluated(evaluation) if evaluation else tested(checkpoint, int(content["epoch"]), run)
    accuracies, protocol = measured or ((), "")
    return Facts(
        net=arguments["net"],
        method=short(arguments["_class_path"]),
        attack=arguments.get("attack") or {},
        data=data,
        class_names=tuple(about_data.get("class_names", ())),
        epochs=int(content["epoch"]) + 1,
        accuracies=accuracies,
        protocol=protocol,
        begun_with=start if is_elsewhere(start) else EARLIER if start else "",
        recipe=recipe,
    )


def evaluation_of(checkpoint: Path) -> dict[str, Any] | None:
    """What ``energy-at evaluate`` has left beside the checkpoint, without paths.

    Only if it was of these very weights, and on the test images as they are.

    Raises:
        InputError: if the file is damaged.
    """
    report = _json(checkpoint.with_name(f"{checkpoint.stem}-evaluation") / "evaluation.json")
    if report is None or report["conditions"].get("checkpoint_sha256") != file_sha256(checkpoint):
        return None
    if report["conditions"]["split"] != "test":
        return None
    return report | {"conditions": {k: v for k, v in report["conditions"].items() if k not in UNSHARED}}


def evaluated(report: Mapping[str, Any]) -> tuple[tuple[Accuracy, ...], str]:
    """The accuracies of an evaluation, and how they were measured."""
    facts, images = report["conditions"], report["results"][0]["images"]
    rows = [_accuracy(row, images, report["worst_case_only"]) for row in report["results"]]
    part = "all" if images == facts["split_images"] else f"{images} of {facts['split_images']}"
    protocol = f"`energy-at evaluate` on {part} {facts['split']} images, {facts['dtype']}, seed {facts['seed']}"
    return tuple(row for row in rows if row is not None), protocol


def tested(checkpoint: Path, epoch: int, run: Path | None) -> tuple[tuple[Accuracy, ...], str] | None:
    """What the run's own test has said of this checkpoint."""
    report = (_json(run / "results.json") if run else None) or {}
    rows = report.get("results", ())
    row = next((row for row in rows if (row["checkpoint"], row["epoch"]) == (checkpoint.stem, epoch)), None)
    if row is None:
        return None
    attack = report["attack"]["init_args"]
    name = "-".join(filter(None, [short(report["attack"]["class_path"]), str(attack.get("steps", ""))]))
    return (Accuracy("clean", "", row["clean_acc"]), Accuracy(name, _ball(attack), row["robust_acc"])), (
        f"the test at the end of the training, {report['split']} images, {report['dtype']}"
    )


def _accuracy(row: Mapping[str, Any], images: int, worst_case_only: bool) -> Accuracy | None:
    """An attack that saw only what had withstood the others has no accuracy of its own."""
    if worst_case_only and row["name"] not in ("clean", "worst case") and row.get("adversarial", True):
        return None
    return Accuracy(row["name"], _ball(row["settings"]), row["correct"] / images, images)


def _ball(settings: Mapping[str, Any]) -> str:
    return " ".join(str(settings[key]) for key in ("norm", "eps") if settings.get(key) is not None)


def _from_config(run: Path | None, arguments: Mapping[str, Any], augmentation: str) -> tuple[str, str, dict[str, str]]:
    """Class of the data module, what the training began with, and the recipe; what no config says is empty."""
    path = run / "config.yaml" if run else None
    if path is None or not path.is_file():
        return "", "", recipe_of(arguments, {}, augmentation)
    with readable(path, REMEDY):
        config = yaml.safe_load(path.read_text())
        recipe = recipe_of(arguments, config, augmentation)
        return short(config["data"]["class_path"]), config.get("start_from") or "", recipe


def _json(path: Path) -> Any:
    if not path.is_file():
        return None
    with readable(path, REMEDY):
        return json.loads(path.read_text())
