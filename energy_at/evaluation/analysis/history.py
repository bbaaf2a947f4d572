"""Figure: a training run's curves, with the onset of overfitting and the phases of dE(x)."""

from matplotlib.figure import Figure

from energy_at.evaluation.analysis.result import Row
from energy_at.evaluation.curves import draw_energy_curves
from energy_at.evaluation.training_run import TrainingRun


def run_rows(run: TrainingRun) -> list[Row]:
    """What was logged of every epoch, its phase, and the onsets as they are marked."""
    return [
        {"run": run.name, **row, "phase": _phase_of(run, row["epoch"])}
        | {name: epoch == row["epoch"] for name, epoch in run.onsets.items()}
        for row in run.rows
    ]


def _phase_of(run: TrainingRun, epoch: float) -> int | None:
    return next((i for i, phase in enumerate(run.phases, start=1) if phase.first <= epoch <= phase.last), None)


def draw_run(run: TrainingRun) -> Figure:
    """See ``draw_energy_curves``."""
    return draw_energy_curves(run.rows, run.name, run.onsets, run.phases)


def run_caption(run: TrainingRun) -> str:
    """What the rules say of the run, in words."""
    onsets = [f"{name} (epoch {epoch})" for name, epoch in run.onsets.items()]
    found = f"Recognised: {', '.join(onsets)}." if onsets else "The rules recognise no overfitting."
    return (
        "Energies on training images, of the steps that were sampled, and accuracies on validation images, by epochs."
        f" {found} {_phases_in_words(run)}"
    )


def _phases_in_words(run: TrainingRun) -> str:
    if run.unexplained is None:
        return "There are too few epochs to tell phases."
    slopes = "; ".join(f"epochs {phase.first} to {phase.last}: {phase.slope:+.2g} per epoch" for phase in run.phases)
    return (
        f"Three phases of dE(x) on training images, the three straight lines of least squared error ({slopes} [nat]);"
        f" they leave {100 * run.unexplained:.0f} % of the squared error of one line: near 100 % there are no phases."
        " A reconstruction of arXiv 2505.22486, which reports a third phase in which dE(x) falls sharply."
    )
