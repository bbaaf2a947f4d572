"""Dual adversarial training: one net that classifies, resists and generates."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from energy_at.attacks import PGD
from energy_at.energy import energy_auc, marginal_energy
from energy_at.evaluation.checkpoints import load_net
from energy_at.generation import ClassInit, LangevinSampler
from energy_at.generation.starts import fit_to_training
from energy_at.modules.base import AdversarialTraining
from energy_at.modules.judging import Batch
from energy_at.modules.micro_batch import Outputs
from energy_at.objectives import dual_at_loss
from energy_at.step_log import due
from energy_at.types import Images, Labels, require, require_count, require_weight
from energy_at.undeclared import datamodule_of


class DualAT(AdversarialTraining):
    """DAT: minimise CE(x*, y) + weight [-mean log sigmoid(-E(x)) - mean log(1 - sigmoid(-E(x-)))] (arXiv 2510.13872).

    x* are adversarial images, x- contrastive ones: starting points that have taken T steps to low energy by the
    generation module's own sampler, in evaluation mode. So p(x) is trained as p(y|x) is, by attacks, without Langevin
    sampling in training. T begins at ``steps`` and grows by one, up to ``max_steps``, whenever the net tells real from
    contrastive images too well: when the area under the ROC curve of E(x) reaches ``grow_at`` over ``window`` images.

    Published as two stages: a robust classifier by adversarial training, then this objective from its weights
    (``classifier``) with batch norm frozen in evaluation mode.

    Against the published code: it takes the real images of the second term without augmentation, by a loader of their
    own, and these are the batch's own; its window slides, and this one begins anew when it is full. What the images
    start from, and which energy they descend, are options: it takes 80 Million Tiny Images, and E(x, y) with the
    labels of the batch.

    Args:
        net: see ``AdversarialTraining``.
        weight: of the contrastive term, at least 0; 0.5 is the published code's, which averages over both kinds.
        classifier: checkpoint of the first stage, whose weights the training begins with.
        starts: where contrastive images start: any ``ClassInit``, fitted to the training images when the training
            begins (``FolderInit`` brings a folder of other images); None for the batch's own images, which then
            descend from where they are.
        fit_count: training images that ``starts`` is fitted to, at most; None for all.
        sampler: its ``steps`` do not count; by default normalised steps of 0.1 to low E(x, y), without noise.
        steps: T at the beginning, at least 0.
        max_steps: the most that T grows to, at least ``steps``.
        grow_at: in (0.5, 1].
        window: images between two looks, over all processes, at least 1.
        freeze_batch_norm: keep normalisation layers in evaluation mode.
        attack_mode: see ``AdversarialTraining``; "eval" where batch norm is frozen.
        kwargs: see ``AdversarialTraining``; ``attack`` defaults to PGD-10 from x in L2, eps 0.5.

    Raises:
        InputError: if a value is out of its range.
    """

    takes_shares = False  # contrastive images begin at a class

    def __init__(
        self,
        net: nn.Module,
        weight: float = 0.5,
        classifier: str | None = None,
        starts: ClassInit | None = None,
        fit_count: int | None = 10_000,
        sampler: LangevinSampler | None = None,
        steps: int = 0,
        max_steps: int = 50,
        grow_at: float = 0.8,
        window: int = 1000,
        freeze_batch_norm: bool = True,
        attack_mode: Literal["train", "eval"] = "eval",
        **kwargs: Any,
    ) -> None:
        super().__init__(net, attack_mode=attack_mode, **kwargs)
        require_weight("weight", weight, example=0.5)
        require(
            0 <= steps <= max_steps,
            f"steps is {steps} and max_steps {max_steps}; write 0 or more, and no fewer for max_steps",
        )
        require(0.5 < grow_at <= 1, f"grow_at is {grow_at}, but it lies in (0.5, 1]; write for example grow_at: 0.8")
        require_count("window", window, 1000)
        require(self.awp is None, "awp perturbs the weights that contrastive images descend by; leave it out")
        require(
            not freeze_batch_norm or attack_mode == "eval",
            "attack_mode is train, but batch norm is frozen; write attack_mode: eval, or freeze_batch_norm: false",
        )
        self.weight, self.classifier = weight, classifier
        self.starts, self.fit_count = starts, fit_count
        self.sampler = sampler or LangevinSampler(step_size=0.1, noise=0, normalize=True)
        self.steps, self.max_steps = steps, max_steps
        self.grow_at, self.window = grow_at, window
        self.freeze_batch_norm = freeze_batch_norm
        self.contrast_steps = steps
        self._aucs: list[Tensor] = []

    def default_attack(self) -> PGD:
        """See ``AdversarialTraining``."""
        return PGD(eps=0.5, alpha=0.1, steps=10, norm="L2", start="zero")

    def objective(self, x: Images, y: Labels) -> Outputs:
        """See ``AdversarialTraining``; beside its outputs, "logits_contrast" [N, K]."""
        x_adv, contrast = self.perturb(x, y), self.contrastive_images(x, y)
        logits_adv, logits, logits_contrast = self(torch.cat([x_adv, x, contrast])).chunk(3)
        loss = dual_at_loss(logits_adv, y, logits, logits_contrast, self.weight, self.label_smoothing)
        return {"loss": loss, "logits_adv": logits_adv, "logits": logits, "logits_contrast": logits_contrast}

    def contrastive_images(self, x: Images, y: Labels) -> Images:
        """This step's contrastive images, [N, C, H, W]."""
        seeds = torch.randint(2**62, (len(x),), device=x.device, generator=self.step_generator(1))
        x0 = x if self.starts is None else self.starts.sample(y, seeds)
        with self._compilation.eager():
            return self.sampler.with_steps(self.contrast_steps).descend(self.net, x0, y, seeds).x

    def setup(self, stage: str) -> None:
        """See ``AdversarialTraining``; the first stage's weights, before a resumed training's own."""
        super().setup(stage)
        if stage == "fit" and self.classifier is not None:
            load_net(self.classifier, self.net).train()

    def on_fit_start(self) -> None:
        """See ``AdversarialTraining``; fits the starting points.

        Raises:
            InputError: if the training's data are no data module of this package.
        """
        super().on_fit_start()
        if self.starts is not None:
            fit_to_training(self.starts, datamodule_of(self.trainer), self.fit_count, self.device)

    def on_train_start(self) -> None:
        """Freeze normalisation layers; Lightning leaves every layer in its mode, over validation too."""
        for layer in self.net.modules():
            if self.freeze_batch_norm and isinstance(layer, _NormBase):
                layer.eval()

    def training_step(self, batch: Batch, batch_idx: int) -> Outputs:
        """See ``AdversarialTraining``; looks whether the contrastive images need a step more."""
        outputs = super().training_step(batch, batch_idx)
        if len(self._aucs) * len(batch[1]) * self.trainer.world_size >= self.window:
            self._grow()
        return outputs

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See ``AdversarialTraining``; keeps T and the window."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["contrast"] = {"steps": self.contrast_steps, "aucs": [float(auc) for auc in self._aucs]}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See ``on_save_checkpoint``."""
        kept = checkpoint.get("contrast", {"steps": self.steps, "aucs": []})
        self.contrast_steps, self._aucs = kept["steps"], [torch.tensor(auc) for auc in kept["aucs"]]

    def _log_training(self, outputs: Outputs, y: Labels) -> None:
        real, contrast = (marginal_energy(outputs[name].detach()) for name in ("logits", "logits_contrast"))
        auc = energy_auc(real, contrast)
        self._aucs.append(auc)
        self._step_log.add("train/contrast_auc", auc, len(y))
        if due(self.trainer):
            steps = torch.full_like(auc, self.contrast_steps)
            self.log("train/contrast_steps", steps, on_step=False, on_epoch=True, reduce_fx="max", sync_dist=True)
        super()._log_training(outputs, y)

    def _grow(self) -> None:
        """The one look at a number of the device, once a window."""
        auc = torch.stack([auc.to(self.device) for auc in self._aucs]).mean()
        if float(self.trainer.strategy.reduce(auc, reduce_op="mean")) >= self.grow_at:
            self.contrast_steps = min(self.contrast_steps + 1, self.max_steps)
        self._aucs = []
