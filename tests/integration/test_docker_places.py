"""Containers where there is little: no room on the disk, no root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from integration.docker_tasks import create

from pyflow import errors, pipeline, task
from pyflow.images import has_engine

SOCKET = Path("/var/run/docker.sock")
pytestmark = [pytest.mark.docker, pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")]
NOBODY = 4321


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 3 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3M", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted by this user")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_store_that_is_full_is_told(small_disk):
    """Neither a result nor an output that finds no room ends as anything but an error that says so."""

    @task
    def large():
        return os.urandom(8 * 2**20)

    @pipeline
    def result():
        return large()

    @pipeline
    def output():
        return create("you " * 2_000_000)

    for flow in (result, output):
        chosen = flow.with_options(executor="docker", store=str(small_disk / flow.name), progress=False)
        with pytest.raises(errors.PyflowError, match="No space left on device"):
            chosen()
        shutil.rmtree(small_disk / flow.name)


def test_a_scratch_that_is_full_fails_the_task(small_disk, tmp_path, monkeypatch):
    """The task sees what any program sees on a full disk, and its error arrives as it is."""
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))

    @task
    def write():
        Path("large").write_bytes(bytes(8 * 2**20))

    @pipeline
    def flow():
        return write()

    with pytest.raises(OSError, match="No space left on device"):
        flow.with_options(executor="docker", store=str(tmp_path / "store"), progress=False)()


PROGRAM = """
import sys
from integration.docker_tasks import create, surroundings, text_of
from pyflow import pipeline

@pipeline
def flow():
    return surroundings(), text_of(create("you"))

if __name__ == "__main__":
    seen, text = flow.with_options(executor="docker", store=sys.argv[1], progress=False)()
    print(seen["uid"], seen["capabilities"], seen["writable"], text.strip())
"""


def as_nobody(folder, *groups):
    """Run the program as a user without any rights but to read files, as this one's own may lie in the home of root."""
    folder.mkdir()
    (folder / "flow.py").write_text(PROGRAM)
    for path in (folder, *folder.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    who = ["--reuid", str(NOBODY), "--regid", str(NOBODY), *groups]
    reads = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    environment = {**kept, "HOME": str(folder), "PYTHONPATH": str(Path(__file__).parents[1]), "TMPDIR": "/tmp"}
    return subprocess.run(
        ["setpriv", *who, *reads, sys.executable, "flow.py", str(folder / "store")],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("setpriv") or not SOCKET.exists(), reason="only root can become another user"
)
def test_a_caller_that_is_not_root(tmp_path):
    """Containers run as the caller and all files are the caller's; who may not use the engine is told which group may."""
    tmp_path.chmod(0o755)
    told = as_nobody(tmp_path / "member", "--groups", str(SOCKET.stat().st_gid))
    assert told.stdout.split() == [str(NOBODY), "0", "[]", "Hello", "you"], told.stderr
    assert {path.stat().st_uid for path in (tmp_path / "member" / "store").rglob("*")} == {NOBODY}
    told = as_nobody(tmp_path / "stranger", "--clear-groups")
    assert told.returncode == 1
    assert "join the group 'docker'" in told.stderr
