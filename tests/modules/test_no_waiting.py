"""What would make an accelerator wait for Python in the middle of a training step: values that are read, and copies."""

import traceback
from collections import Counter
from pathlib import Path

import lightning as L
import pytest
from torch.utils._python_dispatch import TorchDispatchMode

import energy_at
from energy_at import DER, PGI, TRADES, WEAT, DualAT, EnergyLogger, LinearDER, OverfittingMonitor, StandardAT
from energy_at.attacks import PGD, RSFGSM
from energy_at.callbacks import BestCheckpoint, EnergyPlot, LastCheckpoint
from energy_at.data import Digits
from energy_at.loggers import CSVLogger
from energy_at.models import SmallNet

PACKAGE = str(Path(energy_at.__file__).parent)
READS = ("aten._local_scalar_dense", "aten.is_nonzero", "aten.equal", "aten.nonzero")
COPIES = ("aten._to_copy", "aten.clone", "aten.copy_")
STEPS = range(1, 5)  # between the first step and the first one that is logged


class Spy(TorchDispatchMode):
    """Notes, while it is told to, which of our files read a value, and copies of the size of the images."""

    def __init__(self):
        super().__init__()
        self.watching, self.reads, self.copies = False, Counter(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if self.watching and str(func).startswith(READS):
            ours = [frame for frame in traceback.extract_stack() if frame.filename.startswith(PACKAGE)]
            self.reads[Path(ours[-1].filename).name if ours else "lightning"] += 1
        if self.watching and str(func).startswith(COPIES):
            self.copies += tuple(args[0].shape[1:]) == (1, 8, 8)
        return func(*args, **(kwargs or {}))


class Watched(L.Callback):
    """Tells the spy which steps to watch."""

    def __init__(self, spy):
        self.spy = spy

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.spy.watching = batch_idx in STEPS

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.spy.watching = False


def watched(module, folder):
    spy = Spy()
    callbacks = [EnergyLogger(every_n_steps=2), OverfittingMonitor(), EnergyPlot(), BestCheckpoint(), LastCheckpoint()]
    with spy:
        L.Trainer(
            accelerator="cpu",
            max_epochs=1,
            limit_train_batches=6,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            log_every_n_steps=6,
            logger=CSVLogger(folder),
            callbacks=[Watched(spy), *callbacks],
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(module, Digits())
    return spy


KINDS = [StandardAT, TRADES, WEAT, DER, LinearDER, PGI, DualAT]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_step_reads_no_value_but_the_cpus_look_at_the_loss(kind, tmp_path):
    attack = RSFGSM(eps=0.2) if kind in (DER, LinearDER) else None
    spy = watched(kind(SmallNet(width=4), attack=attack), tmp_path)
    assert spy.reads == {"finite.py": len(STEPS)}


@pytest.mark.parametrize("kind", [StandardAT, TRADES, DER], ids=lambda kind: kind.__name__)
def test_copies_of_the_images_do_not_grow_with_the_attacks_steps(kind, tmp_path):
    loss = kind(SmallNet(width=4)).attack.loss
    attacks = [PGD(steps=steps, loss=loss) for steps in (2, 7)]
    counts = [watched(kind(SmallNet(width=4), attack=attack), tmp_path).copies for attack in attacks]
    assert counts[0] == counts[1] <= 3 * len(STEPS)
