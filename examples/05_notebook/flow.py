"""Run the notebook beside this file without a browser, and print what its cells show."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("notebook.ipynb")


def shown(output: dict) -> str:
    """What a cell prints or gives, as text."""
    return output.get("text") or output.get("data", {}).get("text/plain", "")


if __name__ == "__main__":
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            text = shown(output).rstrip()
            if text:
                print(text)
