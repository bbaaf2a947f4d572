"""Natural, adversarial and delta energies of every epoch, from what the steps have computed anyway."""

from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from energy_at.callbacks.statistics import RunningStatistics
from energy_at.energy import energy_overlap, full_precision, marginal_energy
from energy_at.metrics import QUANTITIES, SHARES, energies, named
from energy_at.step_log import due
from energy_at.types import require_count

CONTRAST = "E_marginal_contrast"
NEEDED = {"logits", "logits_adv", "y"}  # of what a step returns
NOTHING = (
    "EnergyLogger has nothing to log, for no step returns logits, logits_adv and y; return them from training_step and"
    " validation_step, or leave it out"
)


class EnergyLogger(L.Callback):
    """Logs E(x), E(x*), dE(x), E(x,y), E(x*,y), dE(x,y): mean and standard deviation per step and per epoch.

    Keys are ``<stage>/<quantity>`` and ``<stage>/<quantity>_std`` for epochs (stages train, val, test) and
    ``train_step/<quantity>`` for steps; quantities are E_marginal, E_marginal_adv, dE_marginal and the same with
    joint. ``<stage>/AAE_loss`` and ``<stage>/AAE_joint`` are the shares of abnormal adversarial examples (arXiv
    2404.08154): images whose cross-entropy, or E(x,y), is lower at x* than at x. Every logger that has
    ``log_histogram(name, counts, edges, step)`` also gets a histogram of each quantity per epoch.

    Where a step has contrastive images (``DualAT``'s "logits_contrast"), their energy is logged as
    ``train/E_marginal_contrast``, and ``train/E_marginal_overlap`` says how far the histograms of real and contrastive
    images overlap, in [0, 1].

    Energies come from the step's own outputs ("logits", "logits_adv", "y"), which any LightningModule's training and
    validation steps can return; where none does, a warning says so after the first epoch. Where the loss needs no
    natural logits (standard AT, DER against the start), the module is asked for them every ``every_n_steps`` steps, one
    forward pass each time, and only those steps count.

    Args:
        every_n_steps: steps between two samples, at least 1; the first step of an epoch is always sampled.
        histograms: hand histograms to the loggers that take them.
        max_samples: values kept per epoch and process for the histograms, at least 1.

    Raises:
        InputError: if a number is below 1.
    """

    def __init__(self, every_n_steps: int = 25, histograms: bool = True, max_samples: int = 50_000) -> None:
        require_count("every_n_steps", every_n_steps, 25)
        require_count("max_samples", max_samples, 50000)
        self.every_n_steps = every_n_steps
        self.histograms = histograms
        self.max_samples = max_samples
        self._stages: dict[str, RunningStatistics] = {}
        self._sample: Tensor | None = None
        self._due = False
        self._idle = True

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Ask for natural logits where this step is sampled."""
        # (step + 1), because loggers write at the end of every n-th step
        sampled = batch_idx == 0 or (trainer.global_step + 1) % self.every_n_steps == 0
        _want_natural_logits(pl_module, sampled)
        self._due = due(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the step's energies."""
        values = self._update("train", outputs)
        if values is not None and pl_module.natural_logits_wanted:
            self._sample = values
        if self._due and self._sample is not None:
            std, mean = torch.std_mean(self._sample, dim=1, correction=0)
            pl_module.log_dict(_named("train_step", mean, std))

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any, **__: Any
    ) -> None:
        """Take the step's energies."""
        self._update("val", outputs)

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any, **__: Any
    ) -> None:
        """Take the step's energies."""
        self._update("test", outputs)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the epoch."""
        _want_natural_logits(pl_module, False)
        self._sample = None
        if self._idle:
            self._idle = False
            rank_zero_warn(NOTHING)
        self._log_epoch("train", trainer, pl_module)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the epoch."""
        self._log_epoch("val", trainer, pl_module)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the epoch."""
        self._log_epoch("test", trainer, pl_module)

    def _update(self, stage: str, outputs: Mapping[str, Tensor] | Tensor | None) -> Tensor | None:
        if not isinstance(outputs, Mapping) or not outputs.keys() >= NEEDED:
            return None
        self._idle = False
        values = energies(outputs["logits"], outputs["logits_adv"], outputs["y"])
        if "logits_contrast" in outputs:
            contrast = marginal_energy(full_precision(outputs["logits_contrast"].detach()))
            values = torch.cat([values, contrast[None]])
        if stage not in self._stages:
            self._stages[stage] = RunningStatistics(self.max_samples if self.histograms else 0)
        self._stages[stage].update(values)
        return values

    def _log_epoch(self, stage: str, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        statistics = self._stages.pop(stage, None)
        if statistics is None:
            return
        pl_module.log_dict(_named(stage, *statistics.mean_std(trainer.strategy)), sync_dist=True)
        if self.histograms and statistics.rows == len(_names(CONTRAST)):
            values = statistics.values()
            pl_module.log(f"{stage}/E_marginal_overlap", energy_overlap(values[0], values[-1]), sync_dist=True)
        if self.histograms and not trainer.sanity_checking:
            self._log_histograms(stage, statistics, trainer)

    def _log_histograms(self, stage: str, statistics: RunningStatistics, trainer: L.Trainer) -> None:
        counts, edges = statistics.histograms(trainer.strategy)
        takers = [logger for logger in trainer.loggers if hasattr(logger, "log_histogram")]
        for logger in takers:
            for name, count, edge in zip(_names(CONTRAST), counts.cpu(), edges.cpu(), strict=False):
                if name not in SHARES:
                    logger.log_histogram(f"{stage}/{name}", count.numpy(), edge.numpy(), trainer.global_step)


def _names(*further: str) -> tuple[str, ...]:
    return (*QUANTITIES, *SHARES, *further)


def metric_names(stage: str) -> list[str]:
    """What the means and standard deviations of a stage are logged as."""
    nothing = torch.zeros(len(_names(CONTRAST)))
    return list(_named(stage, nothing, nothing))


def _named(stage: str, mean: Tensor, std: Tensor) -> dict[str, Tensor]:
    """As they are logged; contrastive images come last, where there are any."""
    return {f"{stage}/{name}": value for name, value in named(mean, std, _names(CONTRAST)).items()}


def _want_natural_logits(pl_module: Any, wanted: bool) -> None:
    pl_module.natural_logits_wanted = wanted
