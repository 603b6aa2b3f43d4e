"""Each fragment of the changelog gets into it: towncrier passes over names that it does not understand."""

from __future__ import annotations

import re
from pathlib import Path


def test_fragments_have_names_that_towncrier_reads(repo: Path) -> None:
    """A number, or a plus and a word; one of the kinds in pyproject, which the README explains; perhaps a counter."""
    configured = (repo / "pyproject.toml").read_text().partition("[tool.towncrier]")[2]
    kinds = re.findall(r'^directory = "(\w+)"$', configured.partition("[[")[2], re.MULTILINE)
    readme = (repo / "changelog.d/README.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", readme, re.MULTILINE) == kinds
    name = re.compile(rf"(\d+|\+[a-z0-9-]+)\.({'|'.join(kinds)})(\.\d+)?\.md")
    fragments = [path for path in (repo / "changelog.d").iterdir() if path.name not in {"README.md", ".gitignore"}]
    assert [path.name for path in fragments if not name.fullmatch(path.name)] == []
    assert [path.name for path in fragments if not path.read_text().strip()] == []
