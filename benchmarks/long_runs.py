"""Memory and open files of long runs: ten thousand steps of training, of evaluation and of generation.

    python -m benchmarks.long_runs

The digits, since nothing that could grow with the steps grows with the net: files, figures, metrics, results in
memory. What a command uses is asked for every half second; the table compares the middle of its run with its end.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

EPOCHS = 500  # of 20 steps
STEPS = "--trainer.log_every_n_steps=10"
TRAINING = ("fit", "-c", "digits_rsfgsm_at.yaml", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false")
NET = ("--ckpt_path=net.ckpt", "--accelerator=cpu", "--output=out")
COMMANDS = {
    "fit, 10,000 steps": (*TRAINING, f"--trainer.max_epochs={EPOCHS}", STEPS),
    "evaluate, 360 batches under 2 attacks": (
        *("evaluate", "-c", "eval_digits.yaml", "--only=[pgd-20, cw-linf-50]", "--data.eval_batch_size=1", *NET),
    ),
    "generate, 400 batches of 50 steps": (
        *("generate", "-c", "generate_digits.yaml", "--n=4000", "--batch_size=10", "--targets=false", *NET),
    ),
}


def watched(args: Sequence[str], folder: Path) -> list[tuple[float, int]]:
    """Resident memory in MB and open files of a command, every half second from its start to its end."""
    line = [sys.executable, "-m", "energy_at", *args]
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(
            line, cwd=folder, stdout=said, stderr=said, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
    samples = []
    while process.poll() is None:
        samples.append(sample(process.pid))
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit((folder / "said.txt").read_text())
    return [found for found in samples if found]


def sample(process: int) -> tuple[float, int] | None:
    """Resident memory in MB, and open files; None where the process has just ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        files = len(os.listdir(f"/proc/{process}/fd"))
    except OSError:
        return None
    resident = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return (int(resident[0].split()[1]) / 1e3, files) if resident else None


def told(name: str, samples: Sequence[tuple[float, int]]) -> str:
    """The tenth of the run in its middle against the last tenth but one."""
    tenth = max(1, len(samples) // 10)
    middle, end = samples[5 * tenth : 6 * tenth], samples[-2 * tenth : -tenth]
    memory, later = (median(resident for resident, _ in part) for part in (middle, end))
    files, more = (max(count for _, count in part) for part in (middle, end))
    seconds = len(samples) / 2
    return (
        f"{name}: {seconds:.0f} s; {memory:.0f} MB in its middle, {later:.0f} MB at its end; open files {files}, {more}"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        watched((*TRAINING, "--trainer.max_epochs=1"), folder)
        shutil.copy(next(folder.rglob("last.ckpt")), folder / "net.ckpt")
        for name, args in COMMANDS.items():
            print(told(name, watched(args, folder)), flush=True)
            shutil.rmtree(folder / "out", ignore_errors=True)
