"""Environments that nobody uses go, and those that somebody uses stay, whatever their age."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from pyflow.cli import cli
from pyflow.environments import environments_folder, is_unpacked, on_host, prune, prune_beside, unpacked
from pyflow.environments import locks as module

DAY = 86_400.0


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "cache"
    made.mkdir()
    return made


@pytest.fixture
def forgotten(monkeypatch):
    """Lets go of what this process uses, as its end would."""

    def let_go():
        for fd in module._held.values():
            os.close(fd)
        module._held.clear()

    monkeypatch.setattr(module, "_held", {})
    yield let_go
    let_go()


def states(folder, **how):
    return [one.state for one in prune(30 * DAY, time.time() + 31 * DAY, folder, **how)]


def test_what_was_not_used_for_long_is_removed_and_comes_back(folder, content, keep, forgotten):
    """A month later it goes, locks and all; without being meant nothing does; whoever needs it gets it again."""
    environment = keep({"a.py": b"x = 1", "pack-1.0.dist-info/RECORD": b""})
    tree = unpacked(environment, content, folder)
    forgotten()
    assert prune(30 * DAY, time.time() + 29 * DAY, folder, is_meant=True) == []
    [told] = prune(30 * DAY, time.time() + 31 * DAY, folder)
    assert (told.state, told.packages, told.size_bytes) == ("removed", ("pack-1.0",), 5)
    assert is_unpacked(environment, folder)
    assert states(folder, is_meant=True) == ["removed"]
    assert list(folder.iterdir()) == []
    assert (unpacked(environment, content, folder) / "a.py").read_bytes() == (tree / "a.py").read_bytes() == b"x = 1"


def test_what_this_process_uses_stays(folder, content, keep, forgotten):
    """From the moment that it has asked for it until it ends."""
    unpacked(keep({"a.py": b""}), content, folder)
    assert states(folder, is_meant=True) == ["in use"]
    assert len(on_host(folder)) == 1
    forgotten()
    assert states(folder, is_meant=True) == ["removed"]


def test_what_another_process_uses_stays(folder, content, keep, forgotten):
    """A worker holds what it has put on its path; when it has been killed nobody does."""
    place = unpacked(keep({"a.py": b""}), content, folder).parent
    forgotten()
    program = "import sys, pathlib; from pyflow.environments.locks import use; use(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        assert states(folder, is_meant=True) == ["in use"]
        other.kill()
    assert states(folder, is_meant=True) == ["removed"]


def test_to_use_it_makes_it_young(folder, content, keep, forgotten):
    """The age counts from the last process that began to use it, not from when it was unpacked."""
    environment = keep({"a.py": b""})
    place = unpacked(environment, content, folder).parent
    forgotten()
    long_ago = time.time() - 90 * DAY
    for path in (place / "complete", module.use_lock(place)):
        os.utime(path, (long_ago, long_ago))
    [old] = prune(30 * DAY, time.time(), folder)
    assert abs(old.used_at - long_ago) < 1
    unpacked(environment, content, folder)
    assert prune(30 * DAY, time.time(), folder) == []


def test_whoever_holds_a_lock_holds_the_file_that_others_would_open(folder):
    """A lock whose file was removed meanwhile is none: the next one is made anew."""
    path = str(folder / "x.lock")
    with module.locked(path) as first:
        (folder / "x.lock").unlink()
        with module.locked(path, waits=False) as second:
            assert first
            assert second
            with module.locked(path, waits=False) as third:
                assert not third


def test_without_locks_nothing_is_removed(folder, content, keep, forgotten, monkeypatch):
    """Where nobody can tell whether something is in use, it stays."""

    def no_locks(_fd, _how):
        raise OSError(errno.ENOLCK, "no locks")

    unpacked(keep({"a.py": b""}), content, folder)
    monkeypatch.setattr(module.fcntl, "flock", no_locks)
    assert states(folder, is_meant=True) == ["no locks"]
    assert len(on_host(folder)) == 1


def test_what_killed_processes_left_is_removed_after_a_day(folder):
    """Half of an unpacked environment, and one that was being built."""
    names = ["0" * 64 + ".new-17-ab", "building-x1"]
    for name in names:
        (folder / name).mkdir()
    assert prune(0, time.time() + DAY / 2, folder, is_meant=True) == []
    assert sorted(one.digest for one in prune(0, time.time() + 2 * DAY, folder, is_meant=True)) == sorted(names)
    assert list(folder.iterdir()) == []


def test_what_is_made_again_goes_when_it_was_not_used_for_a_month(folder):
    """Runtimes and marks beside the environments, of whatever age is asked; what was used since stays."""
    old, new, mark = (folder.parent / name for name in ("runtime/old", "runtime/new", "checked/mark"))
    for path in (old / "pyflow", new, mark.parent):
        path.mkdir(parents=True)
    mark.touch()
    (old / "pyflow" / "a.py").write_bytes(b"x = 1")
    month_ago = time.time() - 31 * DAY
    for path in (old, mark):
        os.utime(path, (month_ago, month_ago))
    assert prune_beside(0, time.time(), folder) == (2, 5)
    assert prune_beside(0, time.time(), folder, is_meant=True) == (2, 5)
    assert (old.exists(), mark.exists(), new.exists()) == (False, False, True)


def test_the_command_says_what_would_go_and_removes_it_when_it_is_meant(
    content, keep, forgotten, monkeypatch, tmp_path
):
    """``pyflow env prune`` names the packages, the size and what stays."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))

    def command(*words):
        told = CliRunner().invoke(cli, ["env", "prune", *words], prog_name="pyflow")
        assert told.exit_code == 0, told.output
        return told.output

    unpacked(keep({"a.py": b"x" * 2048, "pack-1.0.dist-info/RECORD": b""}), content)
    assert "(a process uses it)" in command("--unused-for", "0h", "--yes")
    forgotten()
    assert "Would remove: 0 environments" in command()
    told = command("--unused-for", "0h")
    assert ": pack-1.0\n" in told
    assert f"Would remove: 1 environment (2.0 KiB) in {environments_folder()}. 0 stay.\n" in told
    assert "Removed: 1 environment (2.0 KiB)" in command("--unused-for", "0h", "--yes")
    assert '"environments": []' in command("--json")
