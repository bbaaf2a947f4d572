"""One training of a method with one seed and its evaluations, each in a process of its own."""

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from energy_at.cli.children import run_process
from energy_at.cli.lock import only_one
from energy_at.evaluation.comparison import Trained
from energy_at.evaluation.report import WORST_CASE
from energy_at.evaluation.training_run import joined, read_run
from energy_at.files import remove_abandoned, safe_name, write_file
from energy_at.types import InputError, require


@dataclass(frozen=True)
class Trial:
    """A training and its evaluations, in ``output/METHOD/seedK``.

    An interrupted training is resumed from its last checkpoint into the folder of the next part, so that nothing of
    what it has logged is lost.

    Args:
        method: under which it is reported.
        seed: of the training.
        fit: arguments of ``energy-at fit``.
        evaluate: arguments of ``energy-at evaluate``; none where nothing is to be evaluated.
        judged: names of the checkpoints that are evaluated, "best" and "last".
        output: folder of the whole table.
        threads: of each process; None leaves them to torch.
    """

    method: str
    seed: int
    fit: Sequence[str]
    evaluate: Sequence[str]
    judged: Sequence[str]
    output: Path
    threads: int | None = None

    def __str__(self) -> str:
        """Method and seed."""
        return f"{self.method}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        """Of all that belongs to it."""
        return self.output / safe_name(self.method) / f"seed{self.seed}"

    @property
    def trained(self) -> bool:
        """Whether the training is finished.

        Raises:
            InputError: if it was another training.
        """
        told = self._finished()
        require(
            told is None or told["fit"] == list(self.fit),
            f"{self.folder} holds a training with other arguments; remove it, or write to another output",
        )
        return told is not None

    @property
    def done(self) -> bool:
        """Whether training and evaluations are finished."""
        return self.trained and all(self._judged(name) for name in self._wanted)

    def run(self) -> None:
        """Do what is not done yet.

        Raises:
            InputError: if a process fails, with the end of what it said; or if another command is at work on it.
        """
        with only_one(self.folder):
            if not self.trained:
                self._train()
            for name in self._wanted:
                if not self._judged(name):
                    self._judge(name)

    def result(self) -> Trained:
        """What became of it."""
        run = joined([read_run(part / "metrics.csv") for part in self._resumable], self.method)
        told = self._finished() or {}
        accuracies = {name: _accuracies(self._judgement(name)) for name in self._wanted}
        minutes = told["seconds"] / told["epochs"] / 60 if told.get("epochs") else None
        return Trained(self.method, self.seed, run, accuracies, minutes)

    @property
    def _wanted(self) -> Sequence[str]:
        return self.judged if self.evaluate else ()

    @property
    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("part*"), key=lambda path: int(path.name.removeprefix("part")))

    @property
    def _resumable(self) -> list[Path]:
        return [part for part in self._parts if (part / "checkpoints" / "last.ckpt").is_file()]

    def _train(self) -> None:
        for left in self._parts:
            with only_one(left):  # a process that outlived the command before this one is still at work there
                remove_abandoned(left)
        part = self.folder / f"part{len(self._parts)}"
        resume = [f"--ckpt_path={self._checkpoint('last')}", "--resume_in=new"] if self._resumable else []
        logger = {"save_dir": self.output, "name": self.folder.relative_to(self.output), "version": part.name}
        where = [f"--trainer.logger.{key}={value}" for key, value in logger.items()]
        where.append(f"--trainer.default_root_dir={self.folder}")  # trainings of one SLURM job are requeued apart
        started = time.monotonic()
        part.mkdir(parents=True)
        self._call("fit", [*self.fit, *where, *resume], self.folder / f"fit-{part.name}.log")
        told = {
            "fit": list(self.fit),
            "seconds": time.monotonic() - started,
            "epochs": _whole_epochs(part),
        }
        write_file(part / "fit.json", json.dumps(told, indent=2) + "\n")

    def _judge(self, name: str) -> None:
        where = [f"--ckpt_path={self._checkpoint(name)}", f"--output={self.folder / name}"]
        self._call("evaluate", [*self.evaluate, *where], self.folder / f"evaluate-{name}.log")
        write_file(self._asked(name), json.dumps(list(self.evaluate), indent=2) + "\n")

    def _call(self, command: str, args: Sequence[str], log: Path) -> None:
        threads = {} if self.threads is None else {"OMP_NUM_THREADS": str(self.threads)}
        code = run_process([sys.executable, "-m", "energy_at", command, *args], log, os.environ | threads)
        if code:
            last = next((line for line in reversed(log.read_text().splitlines()) if line.strip()), "it said nothing")
            raise InputError(f"{self}: energy-at {command} ended with code {code} ({last}); all it said is in {log}")

    def _finished(self) -> dict[str, Any] | None:
        told = [part / "fit.json" for part in self._parts if (part / "fit.json").is_file()]
        return json.loads(told[-1].read_text()) if told else None

    def _checkpoint(self, name: str) -> Path:
        found = [part / "checkpoints" / f"{name}.ckpt" for part in self._parts]
        found = [path for path in found if path.is_file()]
        require(len(found) > 0, f"{self} has left no {name}.ckpt in {self.folder}; judge another checkpoint")
        return found[-1]

    def _judged(self, name: str) -> bool:
        """Whether it was evaluated as it is asked for now; an evaluation that wants more goes on from what is there."""
        asked = self._asked(name)
        return asked.is_file() and json.loads(asked.read_text()) == list(self.evaluate)

    def _judgement(self, name: str) -> Path:
        return self.folder / name / "evaluation.json"

    def _asked(self, name: str) -> Path:
        return self.folder / name / "asked.json"


def _whole_epochs(part: Path) -> int:
    """None where a training was killed after its last epoch, and has only been judged in this part."""
    try:
        return len(read_run(part / "metrics.csv").rows)
    except InputError:
        return 0


def _accuracies(judgement: Path) -> dict[str, float]:
    """Share of all images, also where an attack was spared those that an earlier one had broken."""
    rows = json.loads(judgement.read_text())["results"]
    images = rows[0]["images"]  # of the clean row
    return {row["name"]: row["correct"] / images for row in rows if row["name"] != WORST_CASE}
