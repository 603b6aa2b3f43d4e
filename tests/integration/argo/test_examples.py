"""The examples for users of Hera run on a real cluster, and print what their pages say."""

from __future__ import annotations

from pathlib import Path

import pytest
from argo_world import needs_argo, new_store, prepared
from docs_runner import REPO, run_page

pytestmark = [*needs_argo, pytest.mark.timeout(600)]

PAGES = sorted((REPO / "examples" / "argo").glob("*/README.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_example(page: Path, tmp_path: Path) -> None:
    """A reader who has said once where the cluster is gets what the page shows, from the unchanged file."""
    lines = ["[tool.pyflow]", 'executor = "argo"', f'store = "{new_store()}"', "progress = false", "[tool.pyflow.argo]"]
    lines += [f'{name} = "{value}"' for name, value in prepared().items()]
    (tmp_path / "pyproject.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    faults = run_page(page, tmp_path, time_limit_s=500)
    if faults:
        pytest.fail("\n\n".join(faults), pytrace=False)
