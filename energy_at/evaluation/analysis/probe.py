"""One batch of an analysis: natural, then under every attack; computed, or read from the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from energy_at.attacks.threat import Norm
from energy_at.evaluation.analysis.quantities import adversarial_values, gradient_norm, natural_values
from energy_at.evaluation.analysis.smoothness import Smoothness, line_energies, random_perturbation, sweep_energies
from energy_at.evaluation.bench import Bench
from energy_at.evaluation.store import digest
from energy_at.seeding import seeded_generator
from energy_at.types import Images, Labels, Logits, require

NATURAL = "natural"
VALUES = 2  # one more for every value that is kept of an image from then on: a store from before lacks it
NEAR = "near_"  # before the names of what is measured around some of the images only


@dataclass
class Probe:
    """Measures a batch.

    Args:
        bench: net, attacks and store.
        index: of the batch.
        x: [N, C, H, W] in [0, 1].
        y: [N].
        content: hash of both.
        smoothness: where to look around the images ``near``.
        near: [M], indices of images; none where it is not to be measured.
    """

    bench: Bench
    index: int
    x: Images
    y: Labels
    content: str
    smoothness: Smoothness
    near: Tensor

    def __call__(self, case: str) -> dict[str, Tensor]:
        """Values of the images as they are ("natural"), or under the attack of this name.

        Raises:
            InputError: if the net answers with what are no finite numbers.
        """
        around = (tuple(self.smoothness.factors), tuple(self.smoothness.multiples)) if len(self.near) else None
        direction = (self.ball, self.bench.seed) if case == NATURAL else None
        question = digest(VALUES, self.content, self.near, around, direction)
        folder = NATURAL if case == NATURAL else self.bench.setting(case)
        name = f"energies/{folder}/{self.index:06d}-{question[:16]}"
        return self.bench.kept(name, lambda: self._natural() if case == NATURAL else self._attacked(case))

    @property
    def ball(self) -> tuple[Norm, float] | None:
        """Norm and eps of random directions: those of the first attack that has an eps."""
        attacks = self.bench.attacks.values()
        return next(((attack.norm, float(attack.eps)) for attack in attacks if attack.eps), None)

    def _natural(self) -> Mapping[str, Tensor]:
        values = natural_values(self._natural_logits, self.y) | self._slope(self.x)
        if len(self.near) == 0:
            return values
        around = {key: values[key][self.near] for key in ("E_marginal", "E_joint")}
        if self.ball:
            direction = int(digest("random direction")[:16], 16)
            generator = seeded_generator(self.x.device, self.bench.seed, direction, self.index)
            around |= self._line(random_perturbation(*self.ball, self.x[self.near], generator))
        return values | _named(around)

    def _attacked(self, name: str) -> Mapping[str, Tensor]:
        x_adv = self.bench.attacked(name, self.index, self.x, self.y)
        values = adversarial_values(self._natural_logits, self._logits(x_adv, name), self.y) | self._slope(x_adv)
        if len(self.near) == 0:
            return values
        around = self._line(x_adv[self.near] - self.x[self.near])
        if self.bench.attacks[name].eps:
            around |= self._sweep(name, x_adv[self.near])
        return values | _named(around)

    def _slope(self, x: Images) -> dict[str, Tensor]:
        return {"gradient_norm": gradient_norm(self.bench.net, x)}

    def _line(self, delta: Tensor) -> dict[str, Tensor]:
        x, y = self.x[self.near], self.y[self.near]
        return line_energies(self.bench.net, x, delta, y, self.smoothness.multiples)

    def _sweep(self, name: str, x_adv: Images) -> dict[str, Tensor]:
        x, y = self.x[self.near], self.y[self.near]

        def attacked(factor: float) -> Images:
            return x_adv if factor == 1 else self.bench.attacked(name, self.index, x, y, factor)

        return sweep_energies(self.bench.net, attacked, y, self.smoothness.factors)

    @cached_property
    def _natural_logits(self) -> Logits:
        return self._logits(self.x, NATURAL)

    def _logits(self, x: Images, case: str) -> Logits:
        with torch.no_grad():
            logits = self.bench.net(x)
        require(
            bool(logits.isfinite().all()),
            f"the net's logits are no finite numbers in batch {self.index} ({case}); check its weights",
        )
        return logits


def _named(around: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{NEAR}{key}": values for key, values in around.items()}
