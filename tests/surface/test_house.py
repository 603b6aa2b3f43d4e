"""The house holds: layers, doors between folders, and the size of its rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pyflow"
FILES = sorted(PACKAGE.rglob("*.py"))
LAZY_HOMES = {"__init__.py"}
"""The one file that imports other parts of pyflow in a function: public names. What else is to be late is written with ``late``."""


def test_layers(repo: Path) -> None:
    """Imports point down only, and no folder is left out of the drawing."""
    pytest.importorskip("importlinter")
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=repo, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)


def test_folders_speak_through_their_init() -> None:
    """A module takes what another folder offers, not the file inside it."""
    reached = [
        f"{place} imports from {module}; write `from {'.'.join(module.split('.')[:2])} import …`"
        for place, module, _ in own_imports()
        if module.count(".") > 1 and not place.startswith(module.split(".")[1] + "/")
    ]
    assert reached == []


def test_own_imports_stand_at_the_top() -> None:
    """Parts of pyflow are imported late in few known places, never to break a circle."""
    hidden = [f"{place} imports {module} late" for place, module, late in own_imports() if late]
    assert [line for line in hidden if line.partition(" ")[0].partition(":")[0] not in LAZY_HOMES] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_are_small(path: Path) -> None:
    """A file has at most 500 lines, a function at most 60, a signature at most 12 parameters."""
    source = path.read_text()
    too_big = [f"{path.name} has {source.count(chr(10))} lines"] if source.count("\n") > 500 else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            arguments = node.args
            width = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs)
            if lines > 60 or width > 12:
                too_big.append(f"{node.name}() has {lines} lines and {width} parameters")
    assert too_big == []


def own_imports() -> Iterator[tuple[str, str, bool]]:
    """Every import of a part of pyflow: where (``runs/state.py:7``), the module, and whether inside a function."""
    for path in FILES:
        tree = ast.parse(path.read_text())
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        late = {id(inner) for function in functions for inner in ast.walk(function)}
        for node in ast.walk(tree):
            for module in _modules(node):
                yield f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}", module, id(node) in late


def _modules(node: ast.AST) -> list[str]:
    """The modules of pyflow that one statement spells out; ``from pyflow.graph import Graph`` says ``pyflow.graph``."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "pyflow":
        names = [f"pyflow.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.level == 0:
        names = [node.module or ""]
    else:
        names = []
    return [name for name in names if name.split(".")[0] == "pyflow"]
