"""The dashboard's definition, its picture, and the workspace that is built from it."""

import json

import pytest

from energy_at import EnergyLogger
from energy_at.cli import main
from energy_at.cli.dashboard import workspace
from energy_at.evaluation.dashboard import COLUMNS, dashboard_layout, draw_dashboard
from energy_at.evaluation.training_run import TrainingRun
from energy_at.metrics import QUANTITIES, SHARES

PANELS = [panel for section in dashboard_layout() for panel in section.panels]
ROWS = [{"epoch": e, **{name: e / 10 for panel in PANELS for name in panel.lines}} for e in range(3)]
HEADER = "epoch,step,train/E_marginal,train/E_marginal_adv,val/robust_acc"


def test_it_shows_every_energy_each_in_a_panel_with_its_counterpart():
    named = {name for panel in PANELS for name in panel.lines}
    assert {f"val/{quantity}" for quantity in QUANTITIES} <= named
    assert {f"val/{share}" for share in SHARES if share == "AAE_loss"} <= named
    assert ("val/E_joint", "val/E_joint_adv") in [panel.lines for panel in PANELS]
    assert all(bool(panel.lines) != bool(panel.media) for panel in PANELS)
    assert all(len(section.panels) <= COLUMNS for section in dashboard_layout())
    assert EnergyLogger().histograms  # which the last section shows


def test_every_curve_of_a_run_is_drawn_and_what_is_missing_is_said():
    figure = draw_dashboard(dashboard_layout(), [TrainingRun("a", ROWS), TrainingRun("b", ROWS)])
    axes = {a.get_title(): a for sub in figure.subfigs for a in sub.axes if a.get_title()}
    for panel in (panel for panel in PANELS if panel.lines):
        drawn = [line.get_label() for line in axes[panel.title].lines]
        assert drawn == [f"{run}: {name}" for run in "ab" for name in panel.lines]
        assert all(list(line.get_ydata()) == [0, 0.1, 0.2] for line in axes[panel.title].lines)
    figure = draw_dashboard(dashboard_layout(), [TrainingRun("a", [{"epoch": 0, "val/dE_joint": 1.0}])])
    axes = {a.get_title(): a for sub in figure.subfigs for a in sub.axes if a.get_title()}
    assert [line.get_marker() for line in axes["dE(x,y)"].lines] == ["."]  # one epoch makes no line
    assert [text.get_text() for text in axes["dE(x)"].texts] == ["none"]


def test_the_command_draws_runs(tmp_path, capsys):
    for run in ("one", "two"):
        (tmp_path / run / "version_0").mkdir(parents=True)
        (tmp_path / run / "version_0" / "metrics.csv").write_text(f"{HEADER}\n0,9,1.0,0.9,0.5\n1,19,1.1,0.8,0.6\n")
    runs = json.dumps([str(tmp_path / run / "version_0") for run in ("one", "two")])
    assert main(["dashboard", f"--runs={runs}", f"--output={tmp_path / 'new' / 'd.png'}"]) == 0
    assert (tmp_path / "new" / "d.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "give --entity NAME, --runs '[FOLDER, ...]' or both"),
        (["--runs=[nowhere]"], "there is no file nowhere/metrics.csv"),
    ],
)
def test_a_mistake_is_answered_in_one_line(args, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["dashboard", *args]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said


def test_a_workspace_without_its_library_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "wandb_workspaces.workspaces", None)
    assert main(["dashboard", "--entity=someone"]) == 2
    assert "pip install 'energy-at[dashboard]'" in capsys.readouterr().err


def test_the_workspace_is_the_layout():
    interface = pytest.importorskip("wandb_workspaces.reports.v2")
    built = workspace(dashboard_layout(), "someone", "a project", "Energies")
    assert (built.entity, built.project, built.name) == ("someone", "a project", "Energies")
    assert [section.name for section in built.sections] == [section.name for section in dashboard_layout()]
    panels = [panel for section in built.sections for panel in section.panels]
    for panel, ours in zip(panels, PANELS, strict=True):
        assert panel.title == ours.title
        if isinstance(panel, interface.LinePlot):
            assert tuple(panel.y) == ours.lines
        else:
            assert tuple(panel.media_keys) == ours.media
    sent = built._to_model().model_dump_json(by_alias=True)  # what save() sends
    assert all(name in sent for panel in PANELS for name in (*panel.lines, *panel.media))
