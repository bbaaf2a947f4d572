"""Every notebook runs from its first cell to its last, on data that the package brings; its trainings are cut short."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# what makes a notebook take minutes, and what is enough to see that it runs
SHORTER = {
    "01_energy": {"epochs=14": "epochs=4"},
    "02_train": {"max_epochs=25": "max_epochs=4", "eps_warmup=8": "eps_warmup=1"},
    "03_generate": {"epochs=20": "epochs=5", "n=300": "n=40", "n=200": "n=30"},
    "04_dual": {"epochs=20": "epochs=2", "epochs=25": "epochs=2", "(50, 200)": "(5, 10)", "n := 300": "n := 30"},
}


def shortened(notebook, name):
    for cell in notebook.cells:
        for long, short in SHORTER[name].items():
            cell.source = cell.source.replace(long, short)
    return notebook


@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    assert all(long in str(notebook) for long in SHORTER[path.stem])
    NotebookClient(
        shortened(notebook, path.stem), timeout=800, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_with_its_pictures_and_small(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert path.stat().st_size < 1_000_000
