"""An environment comes to a host once, whole, whatever happens meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pyflow.environments import environments_folder, is_unpacked, unpacked
from pyflow.environments import unpack as module
from pyflow.errors import EnvironmentMismatchError, ExecutorError, IntegrityError, NotFoundError

FILES = {"pkg/__init__.py": b"ANSWER = 42\n", "pkg/data.bin": bytes(1000), "one.py": b""}


def test_it_is_fetched_and_unpacked_once(tmp_path, content, keep):
    """The second time nothing is asked of the store."""
    environment = keep(FILES)
    assert not is_unpacked(environment, tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    tree = unpacked(environment, content, tmp_path / "cache")
    assert (tree / "pkg/__init__.py").read_bytes() == b"ANSWER = 42\n"
    assert is_unpacked(environment, tmp_path / "cache")
    content.blobs.delete([content.keys.blob(environment["digest"])])
    assert unpacked(environment, content, tmp_path / "cache") == tree


def test_several_at_once_do_the_work_once(tmp_path, content, keep, monkeypatch):
    """Eight threads ask at the same time: one unpacks, all get the same whole folder."""
    environment = keep(FILES)
    calls = []
    unpack = module._unpack
    monkeypatch.setattr(module, "_unpack", lambda *args: (calls.append(1), unpack(*args)))
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(unpacked(environment, content, tmp_path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(found) == 8
    assert len(set(found)) == 1


def test_without_locks_one_of_several_wins(tmp_path, content, keep, monkeypatch):
    """On a file system without locks all do the work, and each gets a whole folder."""

    def no_locks(_fd, _how):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("pyflow.environments.locks.fcntl.flock", no_locks)
    environment = keep(FILES)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(unpacked(environment, content, tmp_path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all((tree / "pkg/__init__.py").is_file() for tree in found)
    assert [p.name for p in tmp_path.iterdir() if ".new-" in p.name] == []


@pytest.mark.parametrize("point", ["environment.fetch", "environment.unpack", "environment.rename"])
def test_a_kill_leaves_nothing_that_counts(tmp_path, point, keep, content):
    """Killed before any step, an environment is not there; the next one who asks gets it, and clears up."""
    environment = keep(FILES)
    store = tmp_path / "store"
    program = f"""
import json, sys
from pathlib import Path
from pyflow.environments import unpacked
from pyflow.store import ContentStore, Keys, open_blobs
content = ContentStore(open_blobs({str(store)!r}), Keys("project", "owner"))
content.put_blob([Path({str(next(tmp_path.glob("archive-*")))!r}).read_bytes()])
print(unpacked({environment!r}, content, Path({str(tmp_path / "cache")!r})))
"""
    (tmp_path / "cache").mkdir()
    environ = {**os.environ, "PYFLOW_TEST_FAILPOINT": f"{point}:1:kill"}
    died = subprocess.run([sys.executable, "-c", program], env=environ, check=False, capture_output=True)
    assert died.returncode == -9, died.stderr
    assert not is_unpacked(environment, tmp_path / "cache")
    assert [p for p in (tmp_path / "cache").iterdir() if ".new-" in p.name]
    tree = unpacked(environment, content, tmp_path / "cache")
    assert (tree / "one.py").is_file()
    assert [p for p in (tmp_path / "cache").iterdir() if ".new-" in p.name] == []


def test_a_full_disk_says_how_much_is_missing(tmp_path, content, keep, monkeypatch):
    """The error has both sizes and the way out, and nothing is left behind."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyflow.environments.archive.os.pwrite", full)
    environment = keep({"big.bin": os.urandom(3 * 2**20)})
    (tmp_path / "cache").mkdir()
    with pytest.raises(
        ExecutorError, match=r"take 3 MiB, and the disk with '.*cache' has \d+ MiB left.*XDG_CACHE_HOME"
    ):
        unpacked(environment, content, tmp_path / "cache")
    assert [p.name for p in (tmp_path / "cache").iterdir() if p.suffix not in {".lock", ".use"}] == []


def test_a_folder_from_which_files_vanished_is_made_anew(tmp_path, content, keep):
    """Cleaners of old files remove a package here and there: what is not whole does not count."""
    environment = keep(FILES)
    tree = unpacked(environment, content, tmp_path)
    shutil.rmtree(tree / "pkg")
    assert not is_unpacked(environment, tmp_path)
    assert (unpacked(environment, content, tmp_path) / "pkg/data.bin").is_file()


def test_bytes_that_are_not_the_ones_that_were_kept_are_refused(tmp_path, content, keep):
    """A swapped archive is found before a byte of it is unpacked."""
    environment, other = keep(FILES), keep({"evil.py": b"1"})
    swapped = bytes(content.read_blob(other["digest"], other["size"]))
    content.blobs.put(content.keys.blob(environment["digest"]), [swapped.ljust(environment["size"], b"\0")])
    with pytest.raises(IntegrityError):
        unpacked(environment, content, tmp_path)
    assert not is_unpacked(environment, tmp_path)


def test_an_archive_that_is_gone_is_told(tmp_path, content, keep):
    """Without the archive there is no environment."""
    environment = keep(FILES)
    content.blobs.delete([content.keys.blob(environment["digest"])])
    with pytest.raises(NotFoundError):
        unpacked(environment, content, tmp_path)


@pytest.mark.parametrize("changes", [{"python": "3.2"}, {"platform": "plan9/amd64"}])
def test_another_python_or_system_is_refused_before_anything_is_fetched(tmp_path, content, keep, changes):
    """Packages for another minor would crash the interpreter, with no message."""
    with pytest.raises(EnvironmentMismatchError, match="python= and platform="):
        unpacked(keep(FILES, **changes), content, tmp_path)


def test_the_cache_is_the_users_own(tmp_path, monkeypatch):
    """``XDG_CACHE_HOME`` comes before ``~/.cache``; with neither it is a temporary folder that only this user can enter."""
    assert environments_folder({"XDG_CACHE_HOME": f"{tmp_path}/x"}) == tmp_path / "x/pyflow/environments"
    assert environments_folder({"HOME": f"{tmp_path}/h"}) == tmp_path / "h/.cache/pyflow/environments"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = environments_folder({"HOME": "/proc/nobody"})
    assert folder.parent.parent == tmp_path
    assert folder.parent.stat().st_mode & 0o777 == 0o700


def test_a_temporary_folder_that_others_can_write_is_not_used(tmp_path, monkeypatch):
    """Somebody may have made the folder first, to put code into it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    trap = tmp_path / f"pyflow-{os.getuid()}"
    trap.mkdir()
    trap.chmod(0o777)
    assert environments_folder({}).parent != trap


def test_a_folder_that_cannot_be_written_is_told(tmp_path, content, keep):
    """A file in the way of the cache is an error that says what to set."""
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ExecutorError, match="XDG_CACHE_HOME"):
        unpacked(keep(FILES), content, Path(tmp_path / "cache"))
