"""``energy-at reproduce``."""

import os
import shlex
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Literal

from energy_at.cli.children import ended_together
from energy_at.cli.first_look import configs_first
from energy_at.cli.trials import Trial
from energy_at.evaluation.comparison import lines_of, summary
from energy_at.evaluation.comparison_figure import draw_comparison
from energy_at.evaluation.tables import csv_text
from energy_at.files import as_a_whole, write_file
from energy_at.types import InputError, require, require_count, require_one_of

Judged = Literal["best", "last"]


def reproduce(
    name: str,
    title: str,
    runs: dict[str, str],
    fit: str = "",
    evaluate: str = "",
    judged: list[Judged] | None = None,
    seeds: list[int] | None = None,
    only: list[str] | None = None,
    root: str | None = None,
    output: str | None = None,
    jobs: int = 1,
) -> None:
    """Train and evaluate every method of a table with every seed, and write its figure and its numbers.

    What is finished is not done again, and an interrupted training is resumed; several machines can share the work of
    a table, each with its own ``only`` or ``seeds`` and the same output.

    Args:
        name: of the table, and of its files.
        title: of the figure.
        runs: arguments of energy-at fit, by the name of the method.
        fit: arguments that all of them share; a method's own win.
        evaluate: arguments of energy-at evaluate; empty to leave the judgement to the validation images.
        judged: checkpoints that are evaluated; the last one by default.
        seeds: of the trainings; 0, 1 and 2 by default.
        only: names of the methods to run; all by default.
        root: folder of the data set, in place of the configs'.
        output: folder of trainings and results; runs/reproduce/NAME by default.
        jobs: trainings at a time; on a CPU they share its cores.
    """
    folder = Path(output or Path("runs") / "reproduce" / name)
    require_count("jobs", jobs, 1)
    for method in only or ():
        require_one_of("only", method, runs)
    data = [f"--data.root={root}"] if root else []
    shared = ["--trainer.enable_progress_bar=false", *shlex.split(fit), *data]
    threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else None
    trials = [
        Trial(
            method,
            seed,
            [*configs_first([*shared, *shlex.split(args)]), f"--seed_everything={seed}"],
            [*shlex.split(evaluate), *data] if evaluate else [],
            judged or ["last"],
            folder,
            threads,
        )
        for seed in (seeds or [0, 1, 2])
        for method, args in runs.items()
    ]
    wanted = [trial for trial in trials if not only or trial.method in only]
    failures = []
    for failure in _run(wanted, jobs):
        failures += failure
        write_table(trials, folder / name, title)
    write_table(trials, folder / name, title)
    require(not failures, "; ".join(failures))
    print(f"Results: {folder / name}.md, .csv and .png")


def write_table(trials: Sequence[Trial], path: Path, title: str) -> None:
    """Write ``.csv``, ``.md`` and ``.png`` of the trials that are done, in the order of their methods.

    Args:
        trials: done or not.
        path: of the files, without ending.
        title: of the figure.
    """
    methods = list(dict.fromkeys(trial.method for trial in trials))
    trained = [trial.result() for trial in sorted(trials, key=lambda t: methods.index(t.method)) if trial.done]
    if not trained:
        return
    lines = lines_of(trained)
    write_file(path.with_name(f"{path.name}.csv"), csv_text(lines))
    write_file(path.with_name(f"{path.name}.md"), summary(lines))
    with as_a_whole(path.with_name(f"{path.name}.png")) as temporary:
        draw_comparison(trained, title).savefig(temporary, format="png", dpi=150)


def _run(trials: Sequence[Trial], jobs: int) -> Iterator[list[str]]:
    """Run what is not done, saying so; yields the reasons of failures after each."""
    waiting = [trial for trial in trials if not trial.done]
    print(f"{len(trials) - len(waiting)} of {len(trials)} trainings are done already", flush=True)
    with ended_together(), ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(trial.run): trial for trial in waiting}
        try:
            for number, future in enumerate(as_completed(running), start=1):
                trial, failure = running[future], []
                try:
                    future.result()
                    print(f"{number} of {len(waiting)}: {trial}", flush=True)
                except InputError as error:
                    failure = [str(error)]
                    print(f"{number} of {len(waiting)}: {error}", flush=True)
                yield failure
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise InputError("interrupted; the same command goes on where it stopped") from None
