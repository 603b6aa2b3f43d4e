"""The folder store: its files, and what it does when it shares them."""

from __future__ import annotations

import gc
import json
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from pyflow.errors import NotFoundError, StoreError
from pyflow.store import open_blobs
from pyflow.store.disk import MAP_FROM, MOST_MAPPINGS
from pyflow.store.folder import FolderBlobs

RUN = "v1/demo/runs/ann/r1"
BOOK = f"{RUN}/commits"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def store(root):
    return FolderBlobs(root)


def names_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def test_nothing_is_made_before_something_is_written(store, root):
    """To open and to ask makes no folder."""
    assert store.info(f"{RUN}/run.json") is None
    assert list(store.commits(BOOK)) == []
    assert store.read_log(f"{RUN}/events/w") == b""
    store.delete([f"{RUN}/run.json"])
    store.flush()
    assert not root.exists()


@pytest.mark.parametrize("write", ["put", "create", "append", "commit"])
def test_the_first_write_makes_the_store(store, root, write):
    """Whatever is written first, the folder is closed to others, hidden from git, and says its layout."""
    {
        "put": lambda: store.put(f"{RUN}/a", [b"x"]),
        "create": lambda: store.create(f"{RUN}/a", b"x"),
        "append": lambda: store.append(f"{RUN}/a", b"x"),
        "commit": lambda: store.commit(BOOK, "1", b"x"),
    }[write]()
    assert names_in(root) == [".gitignore", ".tmp", "pyflow-store.json", "v1"]
    assert (root / ".gitignore").read_text() == "*\n"
    assert json.loads((root / "pyflow-store.json").read_text()) == {"layout": 1}
    assert names_in(root / ".tmp") == []
    for folder, _, files in os.walk(root):
        assert mode(folder) == 0o700, folder
        assert {mode(f"{folder}/{name}") for name in files} <= {0o600}


def test_a_folder_of_the_users_is_not_hidden(tmp_path):
    """A folder that already holds other things keeps its mode and gets no .gitignore."""
    (tmp_path / "notes.txt").write_text("mine")
    tmp_path.chmod(0o755)
    FolderBlobs(tmp_path).put(f"{RUN}/a", [b"x"])
    assert mode(tmp_path) == 0o755
    assert not (tmp_path / ".gitignore").exists()
    assert mode(tmp_path / "v1") == 0o700


def test_a_newer_layout_is_refused(store, root):
    """A store that a newer pyflow made is neither read nor written, and the message says what would work."""
    store.put(f"{RUN}/a", [b"x"])
    (root / "pyflow-store.json").write_text('{"layout": 2}')
    for ask in (
        lambda new: new.get(f"{RUN}/a"),
        lambda new: new.info(f"{RUN}/a"),
        lambda new: list(new.list(RUN)),
        lambda new: new.folders("v1"),
        lambda new: new.put(f"{RUN}/a", [b"y"]),
        lambda new: new.create(f"{RUN}/a", b"y"),
        lambda new: new.append(f"{RUN}/b", b"y"),
        lambda new: new.commit(BOOK, "1", b"y"),
        lambda new: new.committed(BOOK, "1"),
        lambda new: new.delete([f"{RUN}/a"]),
    ):
        with pytest.raises(StoreError, match=r"has layout 2, and this pyflow reads layouts up to 1.*Upgrade"):
            ask(FolderBlobs(root))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"layout": "one"}', '{"layout": 0}', "{}"])
def test_a_damaged_marker_is_told(store, root, content):
    """A layout that cannot be read is not guessed."""
    store.put(f"{RUN}/a", [b"x"])
    (root / "pyflow-store.json").write_text(content)
    with pytest.raises(StoreError, match="does not say which layout"):
        FolderBlobs(root).get(f"{RUN}/a")


def test_many_processes_can_make_the_store_at_once(tmp_path):
    """However many first writers there are, the store is made once and whole."""
    for number in range(20):
        root = tmp_path / f"store-{number}"
        stores = [FolderBlobs(root) for _ in range(6)]
        start = threading.Barrier(len(stores))
        told = []

        def first_write(store, me, start=start, told=told):
            start.wait()
            store.put(f"{RUN}/blob-{me}", [b"x"])
            told.append(store.commit(BOOK, "1", b"%d" % me))

        threads = [threading.Thread(target=first_write, args=(store, me)) for me, store in enumerate(stores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(told) == 6
        assert len(set(told)) == 1
        assert (root / ".gitignore").read_text() == "*\n"
        assert names_in(root / ".tmp") == []


def test_a_store_that_was_removed_is_made_again(store, root):
    """Who deletes the folder between two runs loses what was in it, and nothing else."""
    import shutil

    store.put(f"{RUN}/a", [b"x"])
    shutil.rmtree(root)
    store.put(f"{RUN}/b", [b"y"])
    store.commit(BOOK, "1", b"z")
    assert [info.key for info in FolderBlobs(root).list(RUN)] == [f"{RUN}/b", f"{BOOK}/log"]
    assert (root / "pyflow-store.json").exists()


def test_writers_survive_a_deleter(store):
    """A writer that makes a folder while somebody removes the empty ones above it still gets its key."""
    is_done = threading.Event()

    def delete():
        other = FolderBlobs(store.url.removeprefix("file://"))
        while not is_done.is_set():
            other.delete([f"{RUN}/a/b/c/unknown"])
            is_done.wait(0.0001)

    deleter = threading.Thread(target=delete)
    deleter.start()
    try:
        for number in range(100):
            store.put(f"{RUN}/a/b/c/{number}", [b"x"])
            store.delete([f"{RUN}/a/b/c/{number}"])
    finally:
        is_done.set()
        deleter.join()


def test_a_link_is_not_followed(store, root, tmp_path):
    """A key whose file was replaced by a link leads nowhere."""
    (tmp_path / "secret").write_text("secret")
    store.put(f"{RUN}/a", [b"x"])
    for name in ("linked", "log-linked"):
        (root / RUN / name).symlink_to(tmp_path / "secret")
    with pytest.raises(StoreError, match="symbolic link"):
        store.get(f"{RUN}/linked")
    with pytest.raises(StoreError, match="symbolic link"):
        store.append(f"{RUN}/log-linked", b"x")
    assert store.info(f"{RUN}/linked") is None
    assert [info.key for info in store.list(RUN)] == [f"{RUN}/a"]


def test_a_replaced_file_is_a_new_file(store, root):
    """Put never writes into a file that somebody may have mapped."""
    store.put(f"{RUN}/a", [b"x" * MAP_FROM])
    view = store.read(f"{RUN}/a")
    before = (root / RUN / "a").stat().st_ino
    store.put(f"{RUN}/a", [b"y" * MAP_FROM])
    assert (root / RUN / "a").stat().st_ino != before
    assert bytes(view[:4]) == b"xxxx"


def open_files() -> int:
    gc.collect()  # other tests' leftovers
    return len(names_in(Path("/proc/self/fd")))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_many_mapped_blobs_leave_descriptors_to_the_user(store):
    """A task that holds a thousand arrays can still open files of its own."""
    store.put(f"{RUN}/a", [b"x" * MAP_FROM])
    before = open_files()
    views = [store.read(f"{RUN}/a") for _ in range(MOST_MAPPINGS + 200)]
    assert open_files() - before <= (0 if sys.version_info >= (3, 13) else MOST_MAPPINGS)
    assert {bytes(view[-2:]) for view in views} == {b"xx"}
    del views
    assert open_files() == before


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_few_files_stay_open(store):
    """However many logs and books a process works on, it keeps few open; one that was let go of goes on."""
    before = open_files()
    for turn in range(3):
        for number in range(50):
            assert store.append(f"{RUN}/events/w{number}", b"line\n") == 5 * turn
            answer = store.commit(f"{RUN}-{number}/commits", "1", b"%d" % turn)
            assert answer == b"0"
    assert open_files() - before <= 40
    del store


def test_a_forked_child_goes_on_alone(store):
    """A child of a fork commits and appends beside its parent, even when a lock was held at that moment."""
    store.commit(BOOK, "0", b"parent")
    store.append(f"{RUN}/events/parent", b"1")
    book = store._book(BOOK)
    with book._lock:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert store.commit(BOOK, "0", b"child") == b"parent"
                for slot in range(1, 200):
                    store.commit(BOOK, str(slot), b"child")
                status = 0
            finally:
                os._exit(status)
    told = [store.commit(BOOK, str(slot), b"parent") for slot in range(1, 200)]
    assert os.waitpid(child, 0)[1] == 0
    assert dict(FolderBlobs(store.url.removeprefix("file://")).commits(BOOK)) == {
        "0": b"parent",
        **{str(slot): record for slot, record in enumerate(told, start=1)},
    }


def test_flush_writes_to_the_disk(store):
    """Flush returns after a write, and for a store that does not exist yet."""
    store.flush()
    store.put(f"{RUN}/a", [b"x"])
    store.flush()


def test_the_url_leads_back(tmp_path):
    """Any path makes a URL that opens the same store."""
    for name in ("plain", "with space", "ünï", "per%20cent", "a?b#c", "trailing."):
        store = open_blobs(tmp_path / name)
        store.put(f"{RUN}/a", [name.encode()])
        assert open_blobs(store.url).get(f"{RUN}/a") == name.encode()
        assert " " not in store.url


def test_a_key_below_a_key_is_told(store):
    """In a folder a key cannot lie below another; the error says what is in the way."""
    store.put(f"{RUN}/a", [b"x"])
    with pytest.raises(StoreError, match="is a file where a folder should be"):
        store.put(f"{RUN}/a/b", [b"y"])
    with pytest.raises(StoreError, match="is a file where a folder should be"):
        store.put(RUN, [b"y"])
    with pytest.raises(NotFoundError):
        store.get(f"{RUN}/a/b")
