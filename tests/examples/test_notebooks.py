"""Every notebook of the examples runs from top to bottom and prints what is kept in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from docs_runner import REPO, matches
from nbclient import NotebookClient

NOTEBOOKS = sorted(REPO.glob("examples/*/*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.parent.name)
def test_notebook(notebook: Path, tmp_path: Path) -> None:
    """A notebook prints what its cells show, ``...`` in a kept output standing for anything."""
    shutil.copytree(REPO / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns(".pyflow"))
    kept = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    fresh = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    folder = tmp_path / "examples" / notebook.parent.name
    NotebookClient(fresh, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    for number, (before, after) in enumerate(zip(kept.cells, fresh.cells, strict=True)):
        if before.cell_type == "code":
            assert matches(_text(before), _text(after)), f"cell {number} printed {_text(after)!r}"


def _text(cell: Any) -> str:
    """What a reader sees below a cell as text: streams and plain results, in order."""
    shown = []
    for output in cell.outputs:
        shown.append(output.get("text", "") or output.get("data", {}).get("text/plain", ""))
    return "\n".join(text.rstrip("\n") for text in shown if text)
