"""The notebook docs/tour.ipynb, executed: `python -m tests.tour` writes it again with its outputs."""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tour.ipynb"
SECONDS = 600
"""A cell takes at most; on an idle machine the slowest takes a few."""


def executed(folder: Path) -> NotebookNode:
    """Return the notebook after all of its cells were run in a folder, by a kernel of this very Python.

    Progress lines and warnings of libraries, on standard error, are left out: they differ from run to run.
    """
    notebook = nbformat.read(PAGE, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=resources).execute()
    for cell in notebook.cells:
        # When each cell began and ended.
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
    notebook.metadata.pop("language_info", None)
    return notebook


def main() -> None:
    """Write the notebook."""
    with tempfile.TemporaryDirectory() as folder:
        notebook = executed(Path(folder))
    nbformat.write(notebook, PAGE)


if __name__ == "__main__":
    main()
