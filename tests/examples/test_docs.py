"""Every code block of the README and the pages beside it, the docs and the examples runs, and prints what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs_runner import REPO, blocks_of, run_page
from indexes import need_index
from servers import Server

from pyflow.images import ensure_runtime_image, has_engine, open_engine

# Those below examples/argo need a cluster: tests/integration runs them.
PAGES = [
    *sorted(REPO.glob("*.md")),
    *sorted(REPO.glob("docs/**/*.md")),
    *sorted(REPO.glob("examples/[0-9]*/README.md")),
]
EXAMPLES = sorted(folder for folder in REPO.glob("examples/[0-9][0-9]_*") if folder.is_dir())

NEED_DOCKER = {REPO / "docs" / "containers.md"}


def _marked(page: Path):
    """Pages about containers need an engine, and say so where there is none."""
    if page not in NEED_DOCKER:
        return page
    without = pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")
    return pytest.param(page, marks=[pytest.mark.docker, without])


@pytest.mark.parametrize("page", [_marked(page) for page in PAGES], ids=lambda page: str(page.relative_to(REPO)))
def test_page(page: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of a page works when a reader follows it from top to bottom."""
    needs = re.findall(r"^<!-- needs: (.+) -->$", page.read_text(), flags=re.MULTILINE)
    if "package index" in needs:
        need_index()
    for bucket in [need.removeprefix("bucket ") for need in needs if need.startswith("bucket ")]:
        server: Server = request.getfixturevalue("moto")
        server.enter(monkeypatch)
        server.client().create_bucket(Bucket=bucket)
    if page in NEED_DOCKER:  # the first run of all builds the image, and shows that it does
        ensure_runtime_image(open_engine())
    faults = run_page(page, tmp_path)
    if faults:
        pytest.fail("\n\n".join(faults), pytrace=False)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda folder: folder.name)
def test_example_shows_its_output(example: Path) -> None:
    """The page of an example runs it and says what comes out."""
    blocks = blocks_of((example / "README.md").read_text())
    assert any(block.is_run and block.expected for block in blocks)


def test_few_blocks_are_left_out() -> None:
    """Blocks that are not run are rare, so that the pages stay true."""
    blocks = [block for page in PAGES for block in blocks_of(page.read_text())]
    left_out = [block for block in blocks if "not run" in block.directives]
    assert len(left_out) <= 10, [(block.line, block.directives["not run"]) for block in left_out]
