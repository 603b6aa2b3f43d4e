"""When the disk is full, closed, read-only or not there: a clear error, and nothing half visible."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from pyflow.errors import NotFoundError, StoreError, StoreUnavailableError
from pyflow.store import open_blobs
from pyflow.store.failure import folder_error
from pyflow.store.folder import FolderBlobs

RUN = "v1/demo/runs/ann/r1"
BOOK = f"{RUN}/commits"
LOG = f"{RUN}/events/w"


def mount(path, *options):
    path.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(path)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("needs the right to mount a file system")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one MiB."""
    path = tmp_path / "disk"
    mount(path, "-t", "tmpfs", "-o", "size=1M", "none")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def in_child(work) -> None:
    """Run something in a process of its own that may give up rights; what it raises fails the test."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
            os.write(write, b"done")
        except BaseException as error:
            os.write(write, repr(error).encode()[:60_000])
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as said:
        assert said.read().decode() == "done"
    os.waitpid(child, 0)


def test_a_full_disk_is_told(small_disk):
    """Each kind of write to a full disk says so, leaves nothing half visible, and works once there is room."""
    store = open_blobs(small_disk / "store")
    store.put(f"{RUN}/a", [b"old"])
    store.append(LOG, b"first\n")
    store.commit(BOOK, "0", b"before")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))
    large = b"x" * 500_000
    for write in (
        lambda: store.put(f"{RUN}/a", [large, large]),
        lambda: store.create(f"{RUN}/b", large),
        lambda: store.append(LOG, large),
        lambda: store.commit(BOOK, "1", large),
    ):
        with pytest.raises(StoreError, match=r"v1/demo/runs.*in the store file:.*No space left.*free some space"):
            write()
    assert list((small_disk / "store" / ".tmp").iterdir()) == []
    assert store.get(f"{RUN}/a") == b"old"
    assert store.info(f"{RUN}/b") is None
    filler.unlink()
    assert store.append(LOG, b"second\n") == 6
    assert store.read_log(LOG) == b"first\nsecond\n"
    assert store.commit(BOOK, "1", b"after") == b"after"
    assert dict(open_blobs(store.url).commits(BOOK)) == {"0": b"before", "1": b"after"}


def test_a_limit_on_file_size_is_told(tmp_path):
    """A write that is cut short in the middle leaves no half blob, no half line, and no half record that counts."""
    import resource

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        store = open_blobs(tmp_path / "store")
        large = b"x" * 70_000
        store.append(LOG, large)
        store.commit(BOOK, "0", large)
        store.put(f"{RUN}/a", [b"old"])
        for write in (
            lambda: store.put(f"{RUN}/a", [large, large]),
            lambda: store.create(f"{RUN}/b", large + large),
            lambda: store.append(LOG, large),
            lambda: store.commit(BOOK, "1", large),
        ):
            with pytest.raises(StoreError, match=r"File too large.*ulimit -f"):
                write()
        assert store.read_log(LOG) == large
        assert store.append(LOG, b"short") == len(large)
        assert store.get(f"{RUN}/a") == b"old"
        assert store.info(f"{RUN}/b") is None
        assert dict(open_blobs(store.url).commits(BOOK)) == {"0": large}

    in_child(work)
    store = open_blobs(tmp_path / "store")
    assert store.commit(BOOK, "1", b"after") == b"after"
    assert len(store.damaged(BOOK)) == 1


def test_a_read_only_drive_is_told(small_disk):
    """A read-only store can be read; writing names the reason."""
    FolderBlobs(small_disk / "store").put(f"{RUN}/a", [b"x"])
    FolderBlobs(small_disk / "store").commit(BOOK, "1", b"y")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    store = FolderBlobs(small_disk / "store")
    assert store.get(f"{RUN}/a") == b"x"
    assert store.committed(BOOK, "1") == b"y"
    for write in (
        lambda: store.put(f"{RUN}/a", [b"z"]),
        lambda: store.append(LOG, b"z"),
        lambda: store.commit(BOOK, "2", b"z"),
        lambda: store.delete([f"{RUN}/a"]),
        lambda: FolderBlobs(small_disk / "new").put(f"{RUN}/a", [b"z"]),
    ):
        with pytest.raises(StoreError, match=r"Read-only file system.*choose a store on one that can be written"):
            write()


def test_a_closed_folder_is_told(tmp_path):
    """A folder that is closed to this user is an error that says how to open it, not a store without keys."""
    store = FolderBlobs(tmp_path / "store")
    store.put(f"{RUN}/a", [b"x"])
    tmp_path.chmod(0o755)

    def work():
        if os.geteuid() == 0:
            os.setuid(65534)
        else:
            (tmp_path / "store").chmod(0)
        fresh = FolderBlobs(tmp_path / "store")
        for ask in (
            lambda: fresh.get(f"{RUN}/a"),
            lambda: fresh.info(f"{RUN}/a"),
            lambda: list(fresh.list(RUN)),
            lambda: fresh.committed(BOOK, "1"),
            lambda: fresh.put(f"{RUN}/a", [b"y"]),
            lambda: fresh.append(LOG, b"y"),
        ):
            with pytest.raises(StoreError, match=r"(?s)Permission denied.*your own and writable"):
                ask()

    try:
        in_child(work)
    finally:
        (tmp_path / "store").chmod(0o700)


def test_a_file_in_the_way_is_told(tmp_path):
    """A store's path that is a file is told, whatever is done first."""
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        store = FolderBlobs(path)
        for write in (
            lambda store=store: store.put(f"{RUN}/a", [b"x"]),
            lambda store=store: store.commit(BOOK, "1", b"x"),
        ):
            with pytest.raises(StoreError, match="is a file where a folder should be"):
                write()
        with pytest.raises(NotFoundError):
            store.get(f"{RUN}/a")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_path_that_is_too_long_is_told(tmp_path):
    """A path beyond what the file system takes is told, not cut."""
    store = FolderBlobs(tmp_path / ("a" * 300))
    with pytest.raises(StoreError, match="choose a shorter one"):
        store.put(f"{RUN}/a", [b"x"])


def test_too_many_open_files_may_pass(tmp_path):
    """Running out of descriptors is an error that trying later may heal, and says how to raise the limit."""
    import resource

    def work():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        store = FolderBlobs(tmp_path / "store")
        store.put(f"{RUN}/a", [b"x"])
        taken = []
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(StoreUnavailableError, match="ulimit -n"):
            store.get(f"{RUN}/a")
        os.close(taken.pop())
        assert store.get(f"{RUN}/a") == b"x"

    in_child(work)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETXTBSY])
def test_every_refusal_has_advice(number):
    """Any error of the file system names what was tried, where, why not, and what would work."""
    error = OSError(number, os.strerror(number), "/mnt/store/v1/a")
    message = str(folder_error(error, "read 'v1/a'", "file:///mnt/store"))
    assert message.startswith(
        f"Cannot read 'v1/a' in the store file:///mnt/store: {os.strerror(number)} (/mnt/store/v1/a)."
    )
    assert message.endswith(".")


def test_errors_cross_processes(tmp_path):
    """A store's error pickles, and keeps its cause in the process it was raised in."""
    import pickle

    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError) as caught:
        FolderBlobs(tmp_path / "file").put(f"{RUN}/a", [b"x"])
    assert isinstance(caught.value.__cause__, OSError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert sys.exc_info() == (None, None, None)
