"""The page for users of Hera compares what is really there: manifests that build, and lines that were counted."""

from __future__ import annotations

import ast
import json
import re
import runpy

import pytest
from docs_runner import REPO

EXAMPLES = sorted(folder for folder in (REPO / "examples" / "argo").iterdir() if folder.is_dir())
PAGE = (REPO / "docs" / "coming-from-hera.md").read_text()


def lines_of_code(text: str) -> int:
    """Lines that are neither blank nor a comment, nor the docstring at the top."""
    first = ast.parse(text).body[0]
    docstring_ends = (first.end_lineno or 0) if isinstance(first, ast.Expr) else 0
    lines = text.splitlines()[docstring_ends:]
    return sum(1 for line in lines if line.strip() and not line.strip().startswith("#"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda folder: folder.name)
def test_page_counts_the_lines(example):
    """The table says how long both ways are."""
    ours = lines_of_code((example / "flow.py").read_text())
    by_hand = example / "hera_equivalent.py"
    theirs = str(lines_of_code(by_hand.read_text())) if by_hand.exists() else "–"
    row = re.search(
        rf"^\| \[[^]]*\]\(\.\./examples/argo/{example.name}/README\.md\) \| (\S+) \| (\S+) \|", PAGE, re.MULTILINE
    )
    assert row is not None, f"the table has no row for {example.name}"
    assert row.groups() == (theirs, str(ours))


@pytest.mark.parametrize(
    "by_hand",
    [e / "hera_equivalent.py" for e in EXAMPLES if (e / "hera_equivalent.py").exists()],
    ids=lambda f: f.parent.name,
)
def test_what_is_compared_with_builds(by_hand):
    """Each manifest by hand builds, so that the comparison is with something that works."""
    manifest = runpy.run_path(str(by_hand))["MANIFEST"]
    assert manifest["kind"] == "Workflow"
    assert manifest["spec"]["entrypoint"] == "main"
    assert len(json.dumps(manifest)) > 500
