"""The notebook that shows the Python interface: it runs, and stands there as it ran."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tour.ipynb"


def code_cells():
    """Return the notebook's cells of code."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_it_is_committed_as_one_run_left_it():
    cells = code_cells()
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert kinds <= {"stream", "display_data", "execute_result"}
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell["outputs"])
    # Nothing of the machine that it ran on.
    assert "/tmp/" not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.slow
def test_it_runs_and_shows_what_is_committed(tmp_path):
    pytest.importorskip("nbclient", reason="nbclient and ipykernel are in the extra `test`")
    pytest.importorskip("ipykernel", reason="nbclient and ipykernel are in the extra `test`")
    from tests.tour import executed

    cells = [cell for cell in executed(tmp_path).cells if cell.cell_type == "code"]
    for cell, committed in zip(cells, code_cells(), strict=True):
        shown = [sorted(output.get("data", [output.output_type])) for output in cell.outputs]
        wanted = [sorted(output.get("data", [output["output_type"]])) for output in committed["outputs"]]
        # Numbers differ between processors in their last digits; what is shown does not.
        assert shown == wanted, cell.source
