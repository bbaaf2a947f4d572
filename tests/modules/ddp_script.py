"""Train a step on the digits by the given number of processes and save the weights; run by test_training."""

import sys
from pathlib import Path

import lightning as L
import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from energy_at import DER, PGD, Digits, EnergyLogger

processes, batch_size, target = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
micro_batch = int(sys.argv[4]) if len(sys.argv) > 4 else None


class Reductions(L.Callback):
    """Counts the sums of gradients over the processes."""

    count = 0

    def on_train_start(self, trainer, module):
        """Take the place of DistributedDataParallel's own, which does the same."""
        if trainer.world_size > 1:
            trainer.strategy.model.register_comm_hook(None, self.reduce)

    def reduce(self, state, bucket):
        """One of them."""
        self.count += 1
        return allreduce_hook(state, bucket)


def main() -> None:
    """One run; batch norm and random starts would differ between the two, so the net and attack have none."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).double()
    attack = PGD(eps=0.1, steps=2, start="zero")
    module = DER(net, weight=0.5, attack=attack, val_attack=attack, optimizer=sgd, micro_batch=micro_batch)
    reductions = Reductions()
    trainer = L.Trainer(
        max_epochs=1,
        limit_train_batches=3,
        accelerator="cpu",
        precision="64-true",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[EnergyLogger(every_n_steps=1), reductions],
    )
    trainer.fit(module, Digits(batch_size=batch_size))
    if trainer.is_global_zero:
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
        torch.save({"weights": net.state_dict(), "metrics": metrics, "reductions": reductions.count}, target)


def sgd(params: object) -> torch.optim.Optimizer:
    """Plain gradient descent: the weights after it tell the gradients."""
    return torch.optim.SGD(params, lr=0.5)


if __name__ == "__main__":
    main()
