"""The notebooks in examples/ run from their first cell to the last, in a kernel, with small settings."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.documentation import ROOT

SMALL = {  # what the test says in place of the cell that is tagged "parameters"
    "compare_conventions": "IMAGES = 8",
    "profile_a_spikingjelly_network": "EPOCHS, IMAGES = 1, 16",
    "train_with_the_spike_penalty": "STEPS, PENALTIES, IMAGES = 2, (0.0, 16.0), 8",
}


def test_every_notebook_is_executed() -> None:
    assert {path.stem for path in (ROOT / "examples").iterdir()} == set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_notebook_is_kept_without_outputs(name: str) -> None:
    notebook = nbformat.read(ROOT / "examples" / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of Jupyter
@pytest.mark.parametrize("name", SMALL)
def test_notebook_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "examples" / f"{name}.ipynb", as_version=4)
    (settings,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    changed = {part.split("=")[0].strip() for part in settings.source.splitlines()}
    assert changed == {each.strip() for each in SMALL[name].split("=")[0].split(",")}
    settings.source = SMALL[name]
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert any(output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs)
