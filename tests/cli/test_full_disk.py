"""A run on a full disk: one line that names file and remedy, and nothing half-written under a final name."""

import subprocess

import pytest
import torch

from energy_at.cli import main
from tests.cli.test_app import SMALL

FIT = ["fit", *SMALL, "--trainer.limit_val_batches=1", "--trainer.limit_test_batches=0"]


@pytest.fixture
def disk(tmp_path, request):
    """A disk of so many KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}k", "none", folder]
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a disk takes more rights")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(
    ("disk", "name"), [(8, "histograms.csv"), (44, "best.ckpt"), (96, "energies.png")], indirect=["disk"]
)
def test_a_full_disk_is_one_line_with_file_and_remedy(disk, name, capsys):
    assert main([*FIT, f"--trainer.logger.save_dir={disk}"]) == 1
    *_, said = capsys.readouterr().err.splitlines()
    assert said.startswith("energy-at: ")
    assert f"{name} cannot be written (" in said
    assert said.endswith("); free some space and run the same command again")
    assert all(torch.load(checkpoint, weights_only=True)["epoch"] == 0 for checkpoint in disk.rglob("*.ckpt"))
    assert not list(disk.rglob(".*"))
