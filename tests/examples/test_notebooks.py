"""The notebooks: stored without results, and run from top to bottom on small settings.

The run is marked slow, and needs what `.ci/requirements.txt` or the extra `dev` installs.
"""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def named(path):
    return path.stem


def test_there_are_notebooks():
    assert {path.stem for path in NOTEBOOKS} >= {"first_steps", "own_pictures", "take_it_away"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_no_result_is_stored(path):
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert cell["outputs"] == [] and cell["execution_count"] is None
    assert "META_TF_QUICK" in "".join(code[0]["source"])  # or the run below would take minutes


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_it_runs(path, tmp_path, monkeypatch):
    import nbclient
    import nbformat

    monkeypatch.setenv("META_TF_QUICK", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()  # raises at the first cell that does
    printed = "".join(
        output.get("text", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    # Programs without the library answer as the notebook did, but for rounding.
    for difference in re.findall(r"difference: (\S+)", printed):
        assert float(difference) < 1e-4
    if path.stem == "take_it_away":
        assert printed.count("difference:") == 2, printed
