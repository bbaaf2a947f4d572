"""Every command killed at random moments and given again, until it ends: is the result that of a run left alone?

    python -m benchmarks.soak --kills 50 [--only fit evaluate ...] [--output FILE.json]

A command runs once from start to end. Then it is killed with SIGKILL after a random share of that time and given again
(a training with --resume where it left a checkpoint), time after time; whenever it ends, what it has left is compared:
arrays, weights and numbers bit for bit, without times of day and durations. Temporary files lie on another file system
where there is one. Last, trainings are told to end by SIGTERM and by SIGINT twice in a row, at random moments of which
many fall into the writing of a checkpoint; that they do not stall, and go on to the same result, is checked too.

Commands are forked from a process that has imported the package, since importing it takes longer than they do; those
of reproduce's own processes are not. Half an hour on two cores.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.remains import last_run, remains
from energy_at.cli import _imported, main

PATIENCE_S = 120  # a command that is told to end and has not ended by then has stalled
TRAINING = (
    *("fit", "-c", "digits_rsfgsm_der.yaml", "--trainer.max_epochs=3", "--trainer.accelerator=cpu"),
    *("--trainer.enable_progress_bar=false", "--trainer.log_every_n_steps=1", "--plot.seconds=0"),
)
BATCHES = ("--count=120", "--data.eval_batch_size=12")
NET = ("--ckpt_path=../../net.ckpt", "--accelerator=cpu", "--output=out")
TABLE = """
name: soak
title: Soak
runs: {RS-FGSM: "", DER: --model DER}
seeds: [0]
fit: -c digits_rsfgsm_at.yaml --trainer.max_epochs 2 --trainer.accelerator cpu
evaluate: -c eval_digits.yaml --only "[fgsm]" --accelerator cpu
"""
COMMANDS: dict[str, tuple[str, ...]] = {
    "fit": TRAINING,
    "evaluate": ("evaluate", "-c", "eval_digits.yaml", "--only=[pgd-20, cw-linf-50]", *BATCHES, *NET),
    "analyze": ("analyze", "-c", "analyze_digits.yaml", "--figures=[distributions, smoothness]", *BATCHES, *NET),
    "generate": ("generate", "-c", "generate_digits.yaml", "--n=1000", "--batch_size=50", *NET),
    "reproduce": ("reproduce", "soak.yaml"),
    "saving": (*TRAINING, "--trainer.max_epochs=15", "--trainer.limit_train_batches=2"),
}
SIGNALS = (signal.SIGTERM, signal.SIGINT)
GAPS_S = (0, 0.001, 0.01, 0.1)  # between the first time and the second


@dataclass
class Soaked:
    """What became of a command.

    Args:
        name: of the command, and of the signal.
        seconds: that it takes when it is left alone.
        kills: how often it was ended.
        ends: how often it came to its end in spite of that.
        differing: results that differ from those of the run that was left alone.
        stalled: commands that did not end when they were told to.
        left: temporary files and locks that were left at the end.
    """

    name: str
    seconds: float
    kills: int = 0
    ends: int = 0
    stalled: int = 0
    differing: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def line(self) -> str:
        """For the screen."""
        wrong = [f"stalled {self.stalled} times"] * bool(self.stalled) + self.differing + self.left
        ends = f"{self.kills} times ended, {self.ends} times finished, {self.seconds} s alone"
        return f"{self.name}: {ends}; {', '.join(wrong) or 'all as when left alone, nothing left behind'}"

    @property
    def failed(self) -> bool:
        """Whether something is not as promised."""
        return bool(self.stalled or self.differing or self.left)


class Bench:
    """A folder in which a command is run, killed and compared.

    Args:
        name: of the command.
        folder: of this command alone, beside ``net.ckpt``.
        temporary: folder for temporary files.
        seed: of the moments.
    """

    def __init__(self, name: str, folder: Path, temporary: Path, seed: int) -> None:
        self.args, self.folder, self.temporary = COMMANDS[name], folder, temporary
        self.random = random.Random(f"{name} {seed}")
        started = time.monotonic()
        code = ended(self.begun("alone"))
        self.seconds = time.monotonic() - started
        if code:
            raise SystemExit(f"{name} ended with code {code} when it was left alone; see {folder}")
        self.wanted = remains(folder / "alone", temporary)

    def soak(self, name: str, kills: int, end: Callable[[int], None]) -> Soaked:
        """End the command at random moments, and compare whenever it came to its end; the last time it is let to."""
        soaked, work, code = Soaked(name, round(self.seconds, 1)), "round0", None
        while soaked.kills < kills or code is None:
            process = self.begun(work)
            spared = soaked.kills >= kills
            code = ended(process, float("inf") if spared else self.random.uniform(0, 1.1 * self.seconds))
            if code is None:
                end(process)
                self.wait(soaked, process)
            else:
                self.compare(soaked, work, code)
                work = f"round{soaked.ends}"
        return soaked

    @staticmethod
    def wait(soaked: Soaked, process: int) -> None:
        """For a process that has been told to end."""
        soaked.kills += 1
        if ended(process, PATIENCE_S) is None:
            soaked.stalled += 1
            kill(process)
            ended(process)

    def compare(self, soaked: Soaked, work: str, code: int) -> None:
        """Note what differs from the run that was left alone."""
        folder = self.folder / work
        soaked.ends += 1
        if code:
            soaked.differing.append(f"{work}: code {code}, {(folder / 'said.txt').read_text().splitlines()[-1]}")
        else:
            found = remains(folder, self.temporary)
            soaked.differing += [f"{work}: {name}" for name in found.differing(self.wanted)]
            soaked.left += [f"{work}: {name}" for name in found.left]
        shutil.rmtree(folder)

    def begun(self, work: str) -> int:
        """The command, given again: a training goes on where it has left a checkpoint."""
        folder, args = self.folder / work, self.args
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "soak.yaml").write_text(TABLE)
        run = last_run(folder)
        if run and (run / "checkpoints/last.ckpt").is_file():
            args = ("fit", "--resume", str(run))
        elif run:
            shutil.rmtree(run)  # nothing goes on from it
        return begun(args, folder, self.temporary)


def begun(args: Sequence[str], folder: Path, temporary: Path) -> int:
    """A command in a process of its own, and in a folder."""
    process = os.fork()
    if process:
        return process
    os.setsid()
    os.chdir(folder)
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    said = os.open("said.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(said, stream)
    code = 70
    try:
        code = main(args)
        sys.stdout.flush()
    finally:
        os._exit(code)


def ended(process: int, seconds: float = float("inf")) -> int | None:
    """The exit code of a process that ends within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def kill(process: int) -> None:
    """Without a chance to do anything."""
    os.killpg(process, signal.SIGKILL)


def tell_twice(number: int, gap: random.Random, process: int) -> None:
    """A signal, and the same again soon."""
    for _ in range(2):
        with suppress(ProcessLookupError):
            os.killpg(process, number)
        time.sleep(gap.choice(GAPS_S))


@contextmanager
def folders() -> Iterator[tuple[Path, Path]]:
    """For the work, and for temporary files: in memory, which is another file system, where Linux offers it."""
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(prefix="soak") as work,
        tempfile.TemporaryDirectory(prefix="soak", dir=memory if memory.is_dir() else None) as temporary,
    ):
        yield Path(work), Path(temporary)


def soaked(name: str, kills: int, seed: int) -> Iterator[Soaked]:
    """A command under SIGKILL; the training of many checkpoints under the signals that ask for an end."""
    with folders() as (work, temporary):
        _net(work, temporary)
        bench = Bench(name, work / name, temporary, seed)
        if name != "saving":
            yield bench.soak(f"{name}, killed", kills, kill)
            return
        for number in SIGNALS:
            yield bench.soak(f"fit, {number.name} twice", kills, partial(tell_twice, number, random.Random(seed)))


def _net(work: Path, temporary: Path) -> None:
    """A net for the commands that need one."""
    if ended(begun((*TRAINING, "--trainer.max_epochs=2"), work, temporary)):
        raise SystemExit((work / "said.txt").read_text())
    shutil.copy(last_run(work) / "checkpoints/last.ckpt", work / "net.ckpt")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of each command")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="file of the results, JSON")
    options = parser.parse_args()
    _imported()
    results = []
    for name in options.only:
        for found in soaked(name, options.kills, options.seed):
            results.append(found)
            print(found.line(), flush=True)
            if options.output:
                options.output.write_text(json.dumps([asdict(one) for one in results], indent=2) + "\n")
    sys.exit(any(found.failed for found in results))
