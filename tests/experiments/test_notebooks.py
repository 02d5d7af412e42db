"""Every notebook runs from top to bottom; its own last cell says what must have come out."""

from pathlib import Path

import pytest

import experiments

FOLDER = Path(experiments.__file__).parent / "notebooks"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))


def read(name):
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(FOLDER / name, as_version=4)


@pytest.fixture(scope="module")
def kernel():
    """One kernel for all notebooks: half of what each costs is a kernel's imports."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    empty = nbformat.v4.new_notebook()
    client = nbclient.NotebookClient(empty, timeout=3600, kernel_name="python3")
    with client.setup_kernel():
        yield client.km


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_shows_what_it_makes(name, kernel):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    notebook = read(name)
    # Nothing of the one before is left.
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    nbclient.NotebookClient(notebook, timeout=3600, km=kernel).execute()
    shown = [
        o.data for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "data" in o
    ]
    # Results, tables and audits are tables in a notebook, figures are pictures.
    assert any("text/markdown" in data for data in shown)
    bars = [data for data in shown if "<progress " in data.get("text/html", "")]
    assert all("text/markdown" in d or "image/png" in d or d in bars for d in shown)
    # Each has filled in its place.
    assert len(bars) == (name == "sweep.ipynb")
    assert all(data["text/plain"].startswith("settings: 4 of 4, ") for data in bars)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_kept_without_what_a_machine_printed(name):
    notebook = read(name)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    # A reader learns from the first line what it shows.
    assert notebook.cells[0].source.startswith("# ")


def test_there_are_three_of_them():
    assert NAMES == ["audit_predictions.ipynb", "natmu_on_your_network.ipynb", "sweep.ipynb"]
