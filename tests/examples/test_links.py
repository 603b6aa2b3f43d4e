"""Links between the pages lead to pages and headings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs_runner import REPO

PAGES = [*sorted(REPO.glob("*.md")), *sorted(REPO.glob("docs/**/*.md")), *sorted(REPO.glob("examples/**/*.md"))]


def prose_of(page: Path) -> str:
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors_of(page: Path) -> set[str]:
    """The names by which GitHub lets links lead to headings."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_links_lead_somewhere(page: Path) -> None:
    """A link inside the repository names a file, and a heading in it where it says one."""
    dead = []
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", prose_of(page)):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            dead.append(link)
    assert not dead
