"""The examples for users of Hera run on a real cluster, and print what their pages say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from argo_world import kubectl, needs_argo, new_store, prepared
from docs_runner import REPO, run_page

pytestmark = [*needs_argo, pytest.mark.timeout(600)]

PAGES = sorted((REPO / "examples" / "argo").glob("*/README.md"))


@pytest.fixture
def applied(page: Path, tmp_path: Path) -> Iterator[None]:
    """The objects that an example expects on the cluster, and for its claim a disk: a folder of this machine."""
    file = page.parent / "objects.yaml"
    if not file.exists():
        yield
        return
    folder = tmp_path / "disk"
    folder.mkdir()
    folder.chmod(0o777)  # for pods, which are somebody else
    claim = {"name": "scenes", "namespace": prepared()["namespace"]}
    spec = {
        "capacity": {"storage": "1Mi"},
        "accessModes": ["ReadWriteMany"],
        "claimRef": claim,
        "hostPath": {"path": str(folder)},
    }
    disk = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "scenes"}, "spec": spec}
    text = f"{yaml.safe_dump(disk)}---\n{file.read_text(encoding='utf-8')}"
    kubectl("apply", "-f", "-", input=text)
    yield
    kubectl("delete", "--wait=false", "-f", "-", input=text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
@pytest.mark.usefixtures("applied")
def test_example(page: Path, tmp_path: Path) -> None:
    """A reader who has said once where the cluster is gets what the page shows, from the unchanged file."""
    lines = ["[tool.pyflow]", 'executor = "argo"', f'store = "{new_store()}"', "progress = false", "[tool.pyflow.argo]"]
    lines += [f'{name} = "{value}"' for name, value in prepared().items()]
    (tmp_path / "pyproject.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    faults = run_page(page, tmp_path, time_limit_s=500)
    if faults:
        pytest.fail("\n\n".join(faults), pytrace=False)
