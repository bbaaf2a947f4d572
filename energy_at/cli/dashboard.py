"""``energy-at dashboard``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energy_at.evaluation.dashboard import COLUMNS, Panel, Section, dashboard_layout, draw_dashboard
from energy_at.evaluation.training_run import read_run
from energy_at.files import as_a_whole
from energy_at.types import InputError, require


def dashboard(
    entity: str | None = None,
    project: str = "energy-at",
    name: str = "Energies",
    runs: list[str] | None = None,
    output: str = "runs/dashboard.png",
) -> None:
    """Lay out the energy curves of a W&B project as a saved workspace; or draw the same from the files of runs.

    Args:
        entity: user or team of W&B; needs the package wandb-workspaces, and a login there.
        project: of that entity.
        name: of the workspace.
        runs: folders of trainings, such as runs/NAME/version_0, to be drawn without W&B.
        output: the picture of them.
    """
    require(
        bool(entity or runs), "there is neither entity nor runs; give --entity NAME, --runs '[FOLDER, ...]' or both"
    )
    layout = dashboard_layout()
    if runs:
        picture = draw_dashboard(layout, [read_run(Path(run) / "metrics.csv", _name(run)) for run in runs])
        with as_a_whole(Path(output)) as temporary:
            picture.savefig(temporary, dpi=110, format="png")
        print(f"Drawn: {output}")
    if entity:
        print(f"Saved: {_saved(workspace(layout, entity, project, name))}")


def workspace(layout: Sequence[Section], entity: str, project: str, name: str) -> Any:
    """The ``wandb_workspaces`` workspace of a layout, not saved yet.

    Args:
        layout: its sections.
        entity: user or team of W&B.
        project: of that entity.
        name: of the workspace.

    Raises:
        InputError: if wandb-workspaces is not installed.
    """
    try:
        import wandb_workspaces.workspaces as ws
    except ImportError as error:
        raise InputError("a workspace needs wandb-workspaces; pip install 'energy-at[dashboard]' brings it") from error
    size = ws.SectionLayoutSettings(columns=COLUMNS, rows=1)
    sections = [
        ws.Section(section.name, [_panel(panel) for panel in section.panels], is_open=True, layout_settings=size)
        for section in layout
    ]
    return ws.Workspace(entity, project, name, sections)


def _panel(panel: Panel) -> Any:
    from wandb_workspaces.reports.v2 import LinePlot, MediaBrowser  # type: ignore[attr-defined] # imported lazily there

    if panel.media:
        return MediaBrowser(title=panel.title, media_keys=list(panel.media))
    return LinePlot(title=panel.title, x="epoch", y=list(panel.lines))


def _saved(unsaved: Any) -> str:
    try:
        return unsaved.save().url
    except Exception as error:  # of W&B's client, or of its HTTP library
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        remedy = "log in with wandb login, and check entity and project"
        raise InputError(f"W&B does not save the workspace ({reason}); {remedy}") from error


def _name(run: str) -> str:
    path = Path(run).absolute()
    return f"{path.parent.name}/{path.name}"
