"""The outcome of an evaluation, with everything that makes its numbers comparable."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from energy_at.evaluation.tables import aligned, csv_text
from energy_at.types import require

NO_ATTACK = "no attack"
WORST_CASE = "worst case"


@dataclass(frozen=True)
class AttackResult:
    """What one attack left.

    Args:
        name: as the caller called it.
        images: that were attacked.
        correct: of these, classified correctly under the attack.
        settings: the attack's class and options: eps, alpha, steps, restarts, norm, seed, ...
        adversarial: whether it looks for mistakes, and is part of the worst case; noise and corruptions do not.
    """

    name: str
    images: int
    correct: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    adversarial: bool = True

    @property
    def accuracy(self) -> float | None:
        """Share of the attacked images; None where there were none."""
        return self.correct / self.images if self.images else None

    @property
    def threat(self) -> str:
        """The ball, such as "Linf 8/255"; empty without an attack, and "no attack" where nothing looks for mistakes."""
        if not self.adversarial:
            return NO_ATTACK
        return " ".join(str(self.settings[key]) for key in ("norm", "eps") if self.settings.get(key) is not None)


@dataclass(frozen=True)
class ClassResult:
    """What is left of one class: nets are robust on some and not on others (arXiv 2010.06121).

    Args:
        label: of its images.
        name: of the class, or its label.
        images: number of images.
        clean_correct: of these, classified correctly without an attack.
        worst_case_correct: of these, classified correctly without an attack and under every one that is adversarial.
    """

    label: int
    name: str
    images: int
    clean_correct: int
    worst_case_correct: int

    @property
    def clean_accuracy(self) -> float:
        """Accuracy without an attack."""
        return self.clean_correct / self.images

    @property
    def worst_case_accuracy(self) -> float:
        """Share of the images that no attack broke and that were correct before."""
        return self.worst_case_correct / self.images


@dataclass(frozen=True)
class Report:
    """Clean and robust accuracy of one net on one set of images.

    Args:
        images: number of images.
        clean_correct: of these, classified correctly without an attack.
        worst_case_correct: of these, classified correctly without an attack and under every one that is adversarial.
        attacks: one result an attack, in the order in which they ran.
        worst_case_only: each attack saw only the images that were still correct, so its own accuracy is of those; what
            is not adversarial saw all.
        conditions: seed, dtype, device, versions, weights_sha256, data_sha256 and what the caller adds.
        classes: one result a class that has images, by label.
    """

    images: int
    clean_correct: int
    worst_case_correct: int
    attacks: tuple[AttackResult, ...]
    worst_case_only: bool = False
    conditions: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[ClassResult, ...] = ()

    @property
    def rows(self) -> list[AttackResult]:
        """Clean, every attack, and the worst case where one of them is adversarial."""
        clean = AttackResult("clean", self.images, self.clean_correct)
        worst_case = AttackResult(WORST_CASE, self.images, self.worst_case_correct)
        return [clean, *self.attacks, *([worst_case] if self._adversarial else [])]

    @property
    def _adversarial(self) -> list[AttackResult]:
        return [attack for attack in self.attacks if attack.adversarial]

    @property
    def clean_accuracy(self) -> float | None:
        """Accuracy without an attack."""
        return self.rows[0].accuracy

    @property
    def worst_case_accuracy(self) -> float | None:
        """Share of the images that no attack broke and that were correct before."""
        return self.worst_case_correct / self.images if self.images else None

    @property
    def worst_class(self) -> ClassResult | None:
        """The class of which the attacks left the smallest share; None where nothing attacks, or there is one class."""
        attacked = self.classes if self._adversarial and len(self.classes) > 1 else ()
        return min(attacked, key=lambda one: one.worst_case_accuracy, default=None)

    @property
    def mean_corruption_accuracy(self) -> float | None:
        """Mean of the accuracies under all kinds and severities of ``Corruption``; None where there are none."""
        rows = (row.accuracy for row in self.attacks if row.settings.get("class") == "Corruption")
        found = [accuracy for accuracy in rows if accuracy is not None]
        return sum(found) / len(found) if found else None

    def to_json(self) -> str:
        """Everything, as JSON."""
        rows = [{**asdict(row), "accuracy": row.accuracy} for row in self.rows]
        classes = [{**asdict(one), **_accuracies(one)} for one in self.classes]
        content: dict[str, Any] = {"worst_case_only": self.worst_case_only, "conditions": dict(self.conditions)}
        content |= {"results": rows, "classes": classes}
        if self.mean_corruption_accuracy is not None:
            content["mean_corruption_accuracy"] = self.mean_corruption_accuracy
        return json.dumps(content, indent=2, default=str) + "\n"

    def to_csv(self) -> str:
        """One line a row of the table; conditions and settings are columns, empty where they do not apply."""
        shared = {**self.conditions, "worst_case_only": self.worst_case_only}
        lines = [
            {"name": row.name, "images": row.images, "correct": row.correct, "accuracy": row.accuracy}
            | {"adversarial": row.adversarial}
            | {f"attack.{key}": value for key, value in row.settings.items()}
            | shared
            for row in self.rows
        ]
        return csv_text(lines)

    def classes_csv(self) -> str:
        """One line a class."""
        return csv_text([{**asdict(one), **_accuracies(one)} for one in self.classes])

    def __str__(self) -> str:
        """The table."""
        return self.table()

    def table(self) -> str:
        """The numbers for the screen, in percent."""
        title = "of those still correct" if self.worst_case_only else "accuracy"
        lines = [("attack", "threat model", "images", "correct", title)]
        for row in self.rows:
            lines.append((row.name, row.threat, str(row.images), str(row.correct), _percent(row.accuracy)))
        if self._adversarial:
            balls = dict.fromkeys(attack.threat for attack in self._adversarial if attack.threat)
            lines[-1] = (WORST_CASE, " and ".join(balls), *lines[-1][2:])
        if worst := self.worst_class:
            left = (str(worst.images), str(worst.worst_case_correct), _percent(worst.worst_case_accuracy))
            lines.append((f"worst class: {worst.name}", lines[-1][1], *left))
        if self.mean_corruption_accuracy is not None:
            lines.append(("mean of corruptions", NO_ATTACK, "", "", _percent(self.mean_corruption_accuracy)))
        return aligned(lines, left=2)


def _accuracies(one: ClassResult) -> dict[str, float]:
    return {"clean_accuracy": one.clean_accuracy, "worst_case_accuracy": one.worst_case_accuracy}


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def merged(reports: Sequence[Report]) -> Report:
    """The report of all images, from reports on disjoint shards of them; counts add up, so the total is exact.

    Args:
        reports: at least one, of the same net, attacks and conditions.

    Raises:
        InputError: if there are none, or if they are not parts of one evaluation.
    """
    require(len(reports) > 0, "there are 0 reports to merge; give at least one")
    first = reports[0]
    for report in reports:
        require(
            _question(report) == _question(first),
            "the reports differ in net, attacks or conditions; merge only shards of one evaluation",
        )
    attacks = tuple(
        replace(results[0], images=sum(r.images for r in results), correct=sum(r.correct for r in results))
        for results in zip(*(report.attacks for report in reports), strict=True)
    )
    # each shard's hash is a sum over its batches, so that the total does not depend on who had which
    data = sum(int(report.conditions.get("data_sha256", "0"), 16) for report in reports) % 2**256
    return replace(
        first,
        images=sum(report.images for report in reports),
        clean_correct=sum(report.clean_correct for report in reports),
        worst_case_correct=sum(report.worst_case_correct for report in reports),
        attacks=attacks,
        classes=_summed(one for report in reports for one in report.classes),
        conditions={**first.conditions, "data_sha256": f"{data:064x}"},
    )


def _summed(parts: Iterable[ClassResult]) -> tuple[ClassResult, ...]:
    """One result a class, by label, from results on disjoint images."""
    of_class: dict[int, list[ClassResult]] = {}
    for part in parts:
        of_class.setdefault(part.label, []).append(part)
    return tuple(
        ClassResult(
            label,
            each[0].name,
            sum(part.images for part in each),
            sum(part.clean_correct for part in each),
            sum(part.worst_case_correct for part in each),
        )
        for label, each in sorted(of_class.items())
    )


def _question(report: Report) -> tuple[Any, ...]:
    conditions = {key: value for key, value in report.conditions.items() if key != "data_sha256"}
    return conditions, [(result.name, dict(result.settings)) for result in report.attacks], report.worst_case_only
