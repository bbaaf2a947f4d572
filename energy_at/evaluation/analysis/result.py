"""What an analysis has measured: per-image values of a net, natural and under every attack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from energy_at.evaluation.analysis.probe import NATURAL, NEAR
from energy_at.evaluation.analysis.smoothness import Smoothness

Values: TypeAlias = Mapping[str, np.ndarray]
Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Analysis:
    """The energy picture of one net on one set of images.

    Args:
        net: its name in figures and tables.
        cases: values [N] of the images as they are ("natural", see ``natural_values``), then under every attack by its
            name (see ``adversarial_values``); with ``gradient_norm`` each.
        near: of M of the images, for each case: "line_E_marginal" and "line_E_joint" [M, T] (see ``line_energies``),
            natural along a random direction, and under an attack along the adversarial one; "sweep_..." [M, F] (see
            ``sweep_energies``); and for "natural" E(x) and E(x, y) [M]. Empty if it was not measured.
        smoothness: where that was measured.
        settings: class and options of each attack.
        class_names: of the K classes; empty if not known.
        conditions: seed, dtype, device, versions, hashes and what the caller adds.
        extremes: images of the lowest and the highest energy and of the least believed label, see ``Extremes.found``.
        ood: of the same net, on out-of-distribution images, by the names of their sets; see ``with_ood``.
    """

    net: str
    cases: Mapping[str, Values]
    near: Mapping[str, Values] = field(default_factory=dict)
    smoothness: Smoothness | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    class_names: Sequence[str] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)
    extremes: Mapping[str, Values] = field(default_factory=dict)
    ood: Mapping[str, "Analysis"] = field(default_factory=dict)

    def with_ood(self, ood: Mapping[str, "Analysis"]) -> "Analysis":
        """The same, beside the net's analyses of out-of-distribution images.

        Args:
            ood: by the names of their sets, each made by ``analyze`` with ``labelled=False``.
        """
        return replace(self, ood=ood)

    @property
    def natural(self) -> Values:
        """Of the images as they are."""
        return self.cases[NATURAL]

    @property
    def attacks(self) -> dict[str, Values]:
        """Under every attack."""
        return {name: values for name, values in self.cases.items() if name != NATURAL}

    @property
    def images(self) -> int:
        """N."""
        return len(self.natural["label"])

    def per_image(self) -> dict[str, np.ndarray]:
        """Columns [N] of all values; those under an attack are called ``attack:value``."""
        columns = dict(self.natural)
        for attack, values in self.attacks.items():
            columns |= {f"{attack}:{key}": value for key, value in values.items() if key != "label"}
        return columns


def joined(parts: Sequence[Mapping[str, Tensor]]) -> tuple[Values, Values]:
    """Values of all batches, in their order: those of all images, and those of some (see ``Analysis.near``)."""
    keys = dict.fromkeys(key for part in parts for key in part)
    whole = {key: torch.cat([part[key] for part in parts if key in part]).numpy() for key in keys}
    return (
        {key: values for key, values in whole.items() if not key.startswith(NEAR)},
        {key.removeprefix(NEAR): values for key, values in whole.items() if key.startswith(NEAR)},
    )
