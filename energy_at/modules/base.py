"""The one adversarial training loop; each objective says only what differs."""

import copy
from abc import abstractmethod
from functools import partial
from typing import Any, Literal, Self

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from energy_at.attacks import PGD, Attack
from energy_at.attacks.cuda_graph import CudaGraphs, check_recordable
from energy_at.describe import class_path, own_arguments
from energy_at.modules.awp import AWP, PerturbedWeights
from energy_at.modules.checkpoint_io import write_whole_checkpoints
from energy_at.modules.compilation import Compilation
from energy_at.modules.finite import FiniteLoss
from energy_at.modules.judging import Batch, Judging, accuracy
from energy_at.modules.micro_batch import MicroBatch, MicroBatches, Outputs
from energy_at.modules.net_graphs import NetGraphs
from energy_at.modules.parts import ball_of, built, check_parts, sgd, steps_of, warn_of_a_foreign_loss
from energy_at.modules.precision import check_precision
from energy_at.modules.schedules import Schedule
from energy_at.net_state import in_mode, statistics_kept
from energy_at.seeding import seeded_generator
from energy_at.step_log import due
from energy_at.types import Images, Labels, Logits, require, require_one_of


class AdversarialTraining(Judging):
    """Adversarial training of a classifier: attack the batch, take the objective's loss on the result.

    Subclasses give ``objective``. What a step has computed (logits, labels) is handed to the callbacks as the step's
    output, so that nothing is computed twice.

    Args:
        net: maps images [N, C, H, W] in [0, 1] to logits [N, K]; it normalises inside itself. A trainer trains it in
            training mode, but for layers that alone are in evaluation mode.
        attack: the training attack; None means the objective's own, as its paper has it.
        attack_mode: the net's mode during the training attack. Fast AT attacks in "train", TRADES and WEAT in "eval".
        optimizer: builds the optimizer from the parameters.
        schedule: learning-rate schedule, stepped after every update; None keeps the rate.
        eps_warmup: epochs over which the attack's lengths rise linearly from 0, at least 0.
        label_smoothing: of the cross-entropy, in [0, 1).
        val_attack: judges each epoch on the validation images; None means PGD-10 in the training attack's ball.
        test_attack: judges on the test images; None means PGD-20 in the training attack's ball.
        channels_last: keep images and weights in NHWC memory, which convolutions in half precision prefer.
        micro_batch: images that are attacked and differentiated at a time, at most; None means the whole batch,
            "auto" what a GPU's memory takes. Same gradients, but batch norm in training mode sees only these images.
        cuda_graph: replay the training attack and the net's passes from CUDA graphs, where a GPU waits for Python.
        awp: perturb the weights against the loss as well, for example {gamma: 0.005, warmup: 10} (arXiv 2004.05884).
        compile: ``torch.compile`` the net for whole training batches; all else runs as it is written.
        seed: of the attacks' noise, with epoch, step and rank.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(
        self,
        net: nn.Module,
        attack: Attack | None = None,
        attack_mode: Literal["train", "eval"] = "train",
        optimizer: OptimizerCallable = sgd,
        schedule: Schedule | None = None,
        eps_warmup: float = 0.0,
        label_smoothing: float = 0.0,
        val_attack: Attack | None = None,
        test_attack: Attack | None = None,
        channels_last: bool = False,
        micro_batch: MicroBatch = None,
        cuda_graph: bool = False,
        awp: AWP | None = None,
        compile: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_parts(net, attack, val_attack, test_attack, schedule)
        require_one_of("attack_mode", attack_mode, ("train", "eval"))
        require(eps_warmup >= 0, f"eps_warmup is {eps_warmup}, but it counts epochs from 0; write eps_warmup: 0")
        smoothing = f"label_smoothing is {label_smoothing}; it is a share in [0, 1); write label_smoothing: 0.1"
        require(0 <= label_smoothing < 1, smoothing)
        require(awp is None or micro_batch is None, "awp takes whole batches, not micro_batch's; leave one out")
        self.net = net.to(memory_format=torch.channels_last) if channels_last else net
        self.attack = attack or self.default_attack()
        warn_of_a_foreign_loss(type(self).__name__, self.default_attack(), self.attack)
        if cuda_graph:
            check_recordable(self.attack)
        self.attack_mode = attack_mode
        self.optimizer = optimizer
        self.schedule = schedule
        self.eps_warmup = eps_warmup
        self.label_smoothing = label_smoothing
        self.ball = ball_of(self.attack, val_attack)
        self.val_attack = val_attack or self.multi_step_attack(steps=10)
        self.test_attack = test_attack or self.multi_step_attack(steps=20)
        self.channels_last = channels_last
        self.micro_batch = micro_batch
        self.cuda_graph = cuda_graph
        self.awp = awp
        self.compile = compile  # type: ignore[method-assign, assignment] # hides torch's method of that name
        self.seed = seed
        self.natural_logits_wanted = False
        self.substitute: Attack | None = None  # of the training attack, for as long as a callback wants it
        self._finite_loss = FiniteLoss()
        self._micro_batches = MicroBatches(micro_batch)
        self._compilation = Compilation(compile)
        self._graphs = CudaGraphs() if cuda_graph else None
        self._net_graphs = NetGraphs(cuda_graph)
        self._batch_idx = 0
        self._part: tuple[int, ...] = ()
        self._start: Images | None = None
        self._adversarial: list[Images] | None = None
        self._perturbed_weights = PerturbedWeights()

    def default_attack(self) -> PGD:
        """The training attack of the objective's paper."""
        return PGD()

    @abstractmethod
    def objective(self, x: Images, y: Labels) -> Outputs:
        """Loss of a training batch.

        Args:
            x: [N, C, H, W] in [0, 1].
            y: [N].

        Returns:
            "loss", the scalar to minimise; "logits_adv" [N, K]; and "logits" [N, K] of the natural images where the
            loss needed them.
        """

    def perturb(self, x: Images, y: Labels, start: Images | None = None) -> Images:
        """The training attack on a batch, in the mode that ``attack_mode`` asks for."""
        if self._adversarial:
            return self._adversarial[0]
        start = self._start if start is None else start
        scheduled: Any = self.scheduled_attack()
        graphs = self._graphs if scheduled is self.attack else None  # a graph holds one radius, which may grow
        attack = partial(graphs, scheduled) if graphs else scheduled
        with in_mode(self.net, self.attack_mode == "train"), self._compilation.for_attack(self.net):
            x_adv = attack(self.net, x, y, start, self.step_generator())
        if self._adversarial is not None:
            self._adversarial.append(x_adv)
        return x_adv

    def draw_start(self, x: Images) -> Images:
        """The first iterate of this step's attack on these images."""
        attack: Any = self.scheduled_attack()  # PGD, or one that starts as it does
        return attack.draw_start(x, self.step_generator()) if self._start is None else self._start

    def scheduled_attack(self) -> Attack:
        """The training attack with its warm-up applied, or what takes its place."""
        if self.eps_warmup == 0 or self.substitute is not None:
            return self.substitute or self.attack
        epochs = self.trainer.current_epoch + self._batch_idx / self.trainer.num_training_batches
        return self.attack if epochs >= self.eps_warmup else self.attack.scaled(epochs / self.eps_warmup)

    def step_generator(self, *purpose: int) -> torch.Generator:
        """Source of this step's noise: a function of seed, epoch, step, rank, micro-batch and purpose."""
        place = (self.current_epoch, self._batch_idx, self.global_rank, *self._part, *purpose)
        return seeded_generator(self.device, self.seed, *place)

    def natural_logits(self, x: Images) -> Logits:
        """Logits [N, K] in the net's present mode, without gradients and without a trace in batch-norm statistics."""
        with torch.no_grad(), statistics_kept(self.net), self._compilation.eager():
            return self(x)

    def setup(self, stage: str) -> None:
        """Whatever saves a checkpoint of this module saves it as a whole."""
        write_whole_checkpoints(self.trainer)

    def on_fit_start(self) -> None:
        """Refuse what this device cannot do; compile what is to be compiled.

        Raises:
            InputError: if the device cannot do what micro_batch or cuda_graph ask for, or has no float64.
        """
        check_precision(self.device, self.trainer.precision)
        require(
            not self.cuda_graph or self.device.type == "cuda",
            f"cuda_graph records the work of a CUDA device, and this is a {self.device.type}; write cuda_graph: false",
        )
        self._micro_batches.check_device(self.device)
        if not self.net.training:  # as `load_net` gives it; Lightning keeps every layer's mode
            self.net.train()
        self._compilation.begin(self.net)

    def on_fit_end(self) -> None:
        """The net runs as it is written again, and graphs give their memory back."""
        self._compilation.end(self.net)
        self._net_graphs.recordings.forget()
        if self._graphs is not None:
            self._graphs.recordings.forget()

    def training_step(self, batch: Batch, batch_idx: int) -> Outputs:
        """One attack and one loss; returns the objective's outputs, with the labels "y".

        Without a trainer nothing is logged, and ``batch_idx`` is the number of the step: its noise depends on that.
        """
        x, y = self._prepared(batch)
        self._batch_idx = batch_idx
        with self._compilation.for_batch(x):
            outputs = self._step(x, y)
        if self._trainer is not None:
            self._finite_loss.see(outputs["loss"], self.trainer)
            self._log_training(outputs, y)
        return {**outputs, "y": y}

    def on_after_backward(self) -> None:
        """Gradients taken, the weights return from where they were perturbed to."""
        self._perturbed_weights.restore()

    def configure_optimizers(self) -> Any:
        """The optimizer, and the schedule stepped after every update.

        Raises:
            InputError: if the optimizer refuses its arguments, or a schedule is to have no end.
        """
        made: dict[str, Any] = {"optimizer": built(self.optimizer, self.parameters())}
        if self.schedule is not None:
            scheduler = self.schedule(made["optimizer"], steps_of(self.trainer))
            made["lr_scheduler"] = {"scheduler": scheduler, "interval": "step"}
        return made

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Describe the module by plain values, so that the checkpoint loads with ``weights_only=True``.

        Raises:
            NonFiniteLossError: if the loss was no number, so that no such weights are ever written.
        """
        self._finite_loss.check(self.trainer)
        self._perturbed_weights.restore()
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY] = {
            "_class_path": class_path(self),
            "_instantiator": "lightning.pytorch.cli.instantiate_module",
            **own_arguments(self),
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy, as weight averaging makes it, that shares the factories: a command line's know its trainer."""
        memo |= {id(factory): factory for factory in (self.optimizer, self.schedule)}
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied.__setstate__(copy.deepcopy(self.__getstate__(), memo))  # type: ignore[no-untyped-call]
        return copied

    def _step(self, x: Images, y: Labels) -> Outputs:
        if self._micro_batches.splits(len(y)):
            return self._in_parts(x, y)
        if self.awp is None or self.current_epoch < self.awp.warmup:
            return self._outputs(x, y)
        return self._with_perturbed_weights(x, y, self.awp.gamma)

    def _with_perturbed_weights(self, x: Images, y: Labels, gamma: float) -> Outputs:
        """What the weights give, but the loss where they are perturbed, on the same adversarial images."""
        self._adversarial = []
        try:
            with statistics_kept(self.net):
                outputs = self._outputs(x, y)
            params = [param for param in self.net.parameters() if param.requires_grad]
            self._perturbed_weights.move(outputs["loss"] * self._loss_scale(), params, gamma, self.trainer.strategy)
            loss = self.objective(x, y)["loss"]
        finally:
            self._adversarial = None
        return {name: value.detach() for name, value in outputs.items()} | {"loss": loss}

    def _outputs(self, x: Images, y: Labels) -> Outputs:
        self._net_graphs.begin()
        outputs = self.objective(x, y)
        if self.natural_logits_wanted and "logits" not in outputs:
            outputs["logits"] = self.natural_logits(x)
        return outputs

    def _in_parts(self, x: Images, y: Labels) -> Outputs:
        # drawn for the whole batch, so that its noise does not depend on the parts
        start = self.draw_start(x) if hasattr(self.attack, "draw_start") else None

        def outputs_of(part: slice) -> Outputs:
            self._part, self._start = (part.start,), None if start is None else start[part]
            return self._outputs(x[part], y[part])

        try:
            params = [parameter for parameter in self.parameters() if parameter.requires_grad]
            return self._micro_batches(outputs_of, len(y), params, self._loss_scale())
        finally:
            self._part, self._start = (), None

    def _loss_scale(self) -> Tensor:
        plugin, one = getattr(self._trainer, "precision_plugin", None), torch.ones((), device=self.device)
        scaler = getattr(plugin, "scaler", None)
        return one if scaler is None else scaler.scale(one)

    def _log_training(self, outputs: Outputs, y: Labels) -> None:
        self._step_log.add("train/loss_epoch", outputs["loss"], len(y))
        self._step_log.add("train/robust_acc", accuracy(outputs["logits_adv"], y), len(y))
        if "logits" in outputs:
            self._step_log.add("train/clean_acc", accuracy(outputs["logits"], y), len(y))
        if due(self.trainer):
            self._hand_over(outputs["loss"])
