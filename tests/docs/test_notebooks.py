"""The notebooks of the documentation run from top to bottom, and are stored without what they print."""

import json
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_stored(path: Path) -> None:
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_the_own_task_is_that_of_the_examples() -> None:
    written = {}
    for cell in cells(DOCS / "notebooks" / "own_task.ipynb"):
        first, _, rest = "".join(cell["source"]).partition("\n")
        if first.startswith("%%writefile "):
            written[first.removeprefix("%%writefile ")] = f"{rest}\n"
    assert written == {
        name: (DOCS / "examples" / "task" / name).read_text(encoding="utf-8")
        for name in ("own_task.py", "conf/task/own.yaml")
    }


@pytest.mark.full
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    printed = [
        output for cell in notebook.cells for output in cell.get("outputs", ()) if output["output_type"] == "stream"
    ]
    assert not [output for output in printed if output["name"] == "stderr"], "nothing on stderr, such as a warning"
