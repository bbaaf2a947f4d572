"""Validation and test of a classifier in training: clean and robust accuracy, in full precision."""

from abc import abstractmethod
from typing import Any, TypeAlias

import lightning as L
import torch
from torch import Tensor, nn

from energy_at.attacks import FGSM, PGD, Attack
from energy_at.energy import full_precision
from energy_at.evaluation.checks import check_batch
from energy_at.labels import are_shares, main_class
from energy_at.modules.compilation import Compilation
from energy_at.modules.micro_batch import Outputs
from energy_at.modules.net_graphs import NetGraphs
from energy_at.net_state import in_mode, share_statistics
from energy_at.seeding import seeded_generator
from energy_at.step_log import StepLog
from energy_at.types import Images, Labels, Logits, require

Batch: TypeAlias = tuple[Images, Labels]


class Judging(L.LightningModule):
    """Judges a net by ``val_attack`` on the validation images and by ``test_attack`` on the test images."""

    net: nn.Module
    attack: Attack
    val_attack: Attack
    ball: Attack  # in whose radius and norm the net is judged
    test_attack: Attack
    seed: int
    channels_last: bool
    takes_shares = True  # labels may be shares of classes, as mixed images have them
    _compilation: Compilation
    _net_graphs: NetGraphs

    def __init__(self) -> None:
        super().__init__()
        self._step_log = StepLog()

    def forward(self, x: Images) -> Logits:
        """Logits [N, K] of images [N, C, H, W] in [0, 1]; in float32 also where the net computes in half precision."""
        return full_precision(self._net_graphs(self.net, x))

    @property
    def global_rank(self) -> int:
        """Of this process, under Fabric too, where Lightning's says 0."""
        return self._fabric.global_rank if self._fabric is not None else super().global_rank

    def on_train_epoch_start(self) -> None:
        """An epoch's means are of its own steps."""
        self._step_log.forget()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Every process attacks the same net, the one that a checkpoint holds: so a resumed training is the same.

        Raises:
            InputError: if the training's first batch is not what the net can be trained on.
        """
        if self.current_epoch == batch_idx == 0:
            x, y = self._prepared(batch)
            told = f"{type(self).__name__} takes one label an image, and these images are mixed; leave data.mix out"
            require(self.takes_shares or not are_shares(y), told)
            with self._compilation.eager():
                check_batch(self.net, x, y)
        share_statistics(self.net)

    def on_validation_start(self) -> None:
        """Every process judges the same net."""
        share_statistics(self.net)

    def validation_step(self, batch: Batch, batch_idx: int) -> Outputs:
        """Clean, single-step and multi-step accuracy; returns the logits for the callbacks."""
        x, y = self._prepared(batch)
        outputs = self._judge(x, y, self.val_attack, "val", batch_idx)
        with exact(self.device), self._compilation.eager():
            x_single = self._single_step_attack()(self.net, x, y, generator=self._judging_generator(batch_idx))
            self._log_mean("val/single_step_acc", accuracy(self(x_single), y), len(y))
        return outputs

    def test_step(self, batch: Batch, batch_idx: int) -> Outputs:
        """Clean accuracy and accuracy under ``test_attack``; returns the logits for the callbacks."""
        x, y = self._prepared(batch)
        return self._judge(x, y, self.test_attack, "test", batch_idx)

    def predict_step(self, batch: Batch | Images, batch_idx: int) -> Logits:
        """Logits [N, K] of images, or of those of a batch with labels."""
        return self(batch[0] if isinstance(batch, (tuple, list)) else batch)

    @property
    def trains_by_single_steps(self) -> bool:
        """Whether the training attack takes one step."""
        return getattr(self.attack, "steps", None) == 1

    def multi_step_attack(self, steps: int) -> Attack:
        """PGD in the ball in which the net is judged, in steps of a quarter of its radius."""
        eps = self.ball.eps
        return PGD(eps=eps, alpha=eps / 4, steps=steps, norm=self.ball.norm)

    def accuracy_under(self, attack: Attack, batch: Batch) -> Tensor:
        """Of the net in evaluation mode on a training batch, in the training's precision.

        Args:
            attack: on the batch, with the noise of the present step.
            batch: images [N, C, H, W] and labels [N].
        """
        x, y = self._prepared(batch)
        precision = self.trainer.precision_plugin.forward_context()
        with precision, in_mode(self.net, False), self._compilation.eager():
            x_adv = attack(self.net, x, y, generator=self.step_generator(2))
            with torch.no_grad():
                return accuracy(self(x_adv), y)

    @abstractmethod
    def step_generator(self, *purpose: int) -> torch.Generator:
        """Source of the present step's noise."""

    def _judge(self, x: Images, y: Labels, attack: Attack, stage: str, batch_idx: int) -> Outputs:
        with exact(self.device), self._compilation.eager():
            x_adv = attack(self.net, x, y, generator=self._judging_generator(batch_idx))
            logits, logits_adv = self(x), self(x_adv)
        self._log_mean(f"{stage}/clean_acc", accuracy(logits, y), len(y))
        self._log_mean(f"{stage}/robust_acc", accuracy(logits_adv, y), len(y))
        return {"logits": logits, "logits_adv": logits_adv, "y": y}

    def _single_step_attack(self) -> Attack:
        if self.trains_by_single_steps:
            return self.attack
        return FGSM(eps=self.ball.eps, norm=self.ball.norm)

    def _judging_generator(self, batch_idx: int) -> torch.Generator:
        return seeded_generator(self.device, self.seed, batch_idx, self.global_rank)

    def _prepared(self, batch: Batch) -> Batch:
        pair = isinstance(batch, (tuple, list)) and len(batch) == 2
        require(pair, "the loader's batches are no pairs; let them be (images [N, C, H, W], labels [N])")
        x, y = batch
        own: Any = self.dtype
        require(
            own not in (torch.float16, torch.bfloat16),
            "weights in half precision lose an attack's steps; write precision: bf16-mixed or 16-mixed",
        )
        x = x.to(torch.promote_types(x.dtype, own))  # float64 under precision: 64-true
        y = y.to(x.dtype) if are_shares(y) else y
        return (x.contiguous(memory_format=torch.channels_last) if self.channels_last else x), y

    def _log_mean(self, name: str, value: Tensor, count: int) -> None:
        self.log(name, value, on_step=False, on_epoch=True, batch_size=count, sync_dist=True, prog_bar="robust" in name)

    def _hand_over(self, loss: Tensor) -> None:
        for name, (value, count) in self._step_log.take().items():
            self._log_mean(name, value, count)
        self.log("train/loss_step", loss, prog_bar=True)
        lr = self.trainer.optimizers[0].param_groups[0]["lr"]
        rate = torch.full((), lr, dtype=torch.float32, device=self.device)  # a number would have the GPU waited for
        self.log("lr", rate)


def exact(device: torch.device) -> torch.autocast:
    """Full precision: a cast of the images to half precision loses a quarter of a perturbation of 0.5/255."""
    return torch.autocast(device.type, enabled=False)


def accuracy(logits: Logits, y: Labels) -> Tensor:
    """Share of the images [N] whose largest logit is the label's; of mixed images, their main class's."""
    return (logits.argmax(dim=1) == main_class(y)).float().mean()
