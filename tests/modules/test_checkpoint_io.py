"""Checkpoints of a training: whole or not at all, wherever the temporary folder is."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch

from energy_at import Digits, StandardAT
from energy_at.callbacks import LastCheckpoint
from energy_at.files import WriteError
from energy_at.models import SmallNet
from energy_at.modules.checkpoint_io import WholeCheckpointIO

SAVING = """
import os, sys, time
import torch
import energy_at.files as files
from tests.modules.test_checkpoint_io import fit
saves, save = [], torch.save
def slow(content, file):
    save(content, file)
    saves.append(1)
    if len(saves) == 2:
        print("saving", flush=True)
        time.sleep(100)
torch.save = slow
fit(sys.argv[1], epochs=3)
"""


def fit(folder, epochs=1, **options):
    torch.manual_seed(0)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        limit_train_batches=2,
        limit_val_batches=0,
        logger=False,
        callbacks=[LastCheckpoint()],
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(StandardAT(SmallNet(width=4)), Digits())
    return trainer


def test_checkpoints_are_written_by_us_unless_the_user_has_a_way_of_his_own(tmp_path):
    class Own(L.fabric.plugins.TorchCheckpointIO):
        pass

    assert type(fit(tmp_path).strategy.checkpoint_io) is WholeCheckpointIO
    own = Own()
    assert fit(tmp_path, plugins=[own]).strategy.checkpoint_io is own


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_a_kill_within_a_save_leaves_the_checkpoint_before_it(tmp_path):
    env = os.environ | {"TMPDIR": "/dev/shm", "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen([sys.executable, "-c", SAVING, tmp_path], env=env, stdout=subprocess.PIPE, text=True)
    while child.stdout.readline() not in ("saving\n", ""):
        pass
    child.send_signal(signal.SIGKILL)
    child.wait()
    (path,) = tmp_path.rglob("last.ckpt")
    assert torch.load(path, weights_only=True)["epoch"] == 0
    assert len(list(path.parent.glob(".last.ckpt.*.tmp"))) == 1
    fit(tmp_path)
    assert os.listdir(path.parent) == ["last.ckpt"]


def test_a_full_disk_ends_a_training_with_the_file_and_the_remedy(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(WriteError, match=r"last\.ckpt cannot be written .*; free some space"):
        fit(tmp_path)
