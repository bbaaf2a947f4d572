"""Train three steps on the digits by one process, by two, and by two in parts; run by test_training."""

import sys
from pathlib import Path

import lightning as L
import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from energy_at import AWP, DER, PGD, Digits, DualAT, EnergyLogger


class Reductions(L.Callback):
    """Counts the sums of gradients over the processes, and saves what the training has led to."""

    def __init__(self, target: Path) -> None:
        self.target, self.count = target, 0

    def on_train_start(self, trainer, module):
        """Take the place of DistributedDataParallel's own, which does the same."""
        if trainer.world_size > 1:
            trainer.strategy.model.register_comm_hook(None, self.reduce)

    def reduce(self, state, bucket):
        """One of them."""
        self.count += 1
        return allreduce_hook(state, bucket)

    def on_fit_end(self, trainer, module):
        """On the process of rank 0."""
        if trainer.is_global_zero:
            metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
            weights = module.net.state_dict()
            torch.save({"weights": weights, "metrics": metrics, "reductions": self.count}, self.target)


def train(target: Path, processes: int, batch_size: int, kind: type = DER, **options: object) -> None:
    """One run; batch norm and random starts would differ between the two, so the net and attack have none."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).double()
    attack = PGD(eps=0.1, steps=2, start="zero")
    module = kind(net, weight=0.5, attack=attack, val_attack=attack, optimizer=sgd, **options)
    trainer = L.Trainer(
        max_epochs=1,
        limit_train_batches=3,
        accelerator="cpu",
        precision="64-true",
        devices=processes,
        strategy="ddp_fork" if processes > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[EnergyLogger(every_n_steps=1), Reductions(target)],
    )
    trainer.fit(module, Digits(batch_size=batch_size))


def sgd(params: object) -> torch.optim.Optimizer:
    """Plain gradient descent: the weights after it tell the gradients."""
    return torch.optim.SGD(params, lr=0.5)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    train(folder / "one.pt", 1, 32)
    train(folder / "two.pt", 2, 16)
    train(folder / "in_parts.pt", 2, 16, micro_batch=6)
    train(folder / "one_awp.pt", 1, 32, awp=AWP(gamma=0.05))
    train(folder / "two_awp.pt", 2, 16, awp=AWP(gamma=0.05))
    dual = {"kind": DualAT, "steps": 2}
    train(folder / "one_dual.pt", 1, 32, **dual)
    train(folder / "two_dual.pt", 2, 16, **dual)
