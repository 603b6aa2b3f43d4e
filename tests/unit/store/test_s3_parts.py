"""The small parts of the store in a bucket: addresses, bodies, records, who reads what of a log."""

from __future__ import annotations

import contextlib
import io
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore import session
from servers import BUCKET

from pyflow.errors import StoreError
from pyflow.images.compiling import OPERATIONS
from pyflow.store import open_blobs
from pyflow.store.s3 import S3Blobs
from pyflow.store.s3.address import Address
from pyflow.store.s3.blobs import MOST_RECORD_BYTES
from pyflow.store.s3.body import Parts
from pyflow.store.s3.client import _config, asking, client
from pyflow.store.s3.records import Records

LOG = "v1/demo/runs/ann/r1/logs/w1"


@pytest.fixture
def url(moto, monkeypatch) -> str:
    moto.enter(monkeypatch)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.mark.parametrize(
    ("url", "bucket", "prefix", "written"),
    [
        ("s3://bucket", "bucket", "", "s3://bucket"),
        ("s3://bucket/", "bucket", "", "s3://bucket"),
        ("S3://my.bucket/team/x/", "my.bucket", "team/x/", "s3://my.bucket/team/x"),
    ],
)
def test_addresses_are_written_one_way(url, bucket, prefix, written):
    """However a URL is spelled, pyflow writes it one way."""
    address = Address.parse(url)
    assert (address.bucket, address.prefix, address.url) == (bucket, prefix, written)


def test_one_process_has_one_store_for_an_address(url):
    """Two handles in one process see what either has gathered for a log."""
    assert open_blobs(url) is open_blobs(url + "/")


def test_parts_read_like_one_file():
    """Parts of memory are read in pieces of any size, again after seeking, without joining them."""
    parts = [b"one", b"", memoryview(b"two"), bytearray(b"three")]
    for size in (1, 2, 4, 100):
        body = Parts(parts)
        for start in (0, 3, 5, 11, 99):
            body.seek(start)
            assert b"".join(iter(lambda body=body, size=size: body.read(size), b"")) == b"onetwothree"[start:]
    assert (body.seek(-2, io.SEEK_END), body.read(), body.tell()) == (9, b"ee", 11)


def test_records_are_forgotten_by_size():
    """What was used last stays, up to a number of bytes."""
    records = Records(most_bytes=1000)
    for name in ("a", "b", "c"):
        records.add(name, b"x" * 30)
    records.get("a")
    records.add("d", b"x" * 30)
    assert [name for name in "abcd" if records.get(name)] == ["a", "c", "d"]
    records.forget(["a", "c", "d", "e"])
    assert not any(map(records.get, "abcd"))


def test_a_log_is_gathered_for_a_second(url, moto):
    """Many small appends are one object, and other processes see all of them after a flush."""
    store = S3Blobs(url)
    for number in range(100):
        store.append(LOG, b"line %d\n" % number)
    store.flush()
    segments = [info.key.rpartition("/")[2] for info in store.list(LOG)]
    assert segments[:2] == ["0000000000000000", "0000000000000007"]
    assert len(segments) < 50
    assert S3Blobs(url).read_log(LOG) == b"".join(b"line %d\n" % number for number in range(100))


def test_a_log_is_read_up_to_what_is_missing(url):
    """A segment that is not there yet hides what comes behind it: a reader never sees a log with a hole."""
    store = S3Blobs(url)
    for _ in range(3):
        store.append(LOG, b"x" * 10)
        store.publish(LOG)
    store.delete([f"{LOG}/{10:016d}"])
    assert S3Blobs(url).read_log(LOG) == b"x" * 10


def test_long_logs_are_read_from_the_middle(url):
    """A reader who knows where to start gets what follows, however long the log is."""
    store, content = S3Blobs(url), bytes(range(256)) * 4096 * 3
    store.append(LOG, content)
    store.append(LOG, b"end")
    store.flush()
    for start in (0, 5, 2**20 - 1, 2**20, 2**20 + 1, 2**21 + 7, len(content), len(content) + 2):
        assert S3Blobs(url).read_log(LOG, start) == (content + b"end")[start:]


def test_a_child_of_a_fork_starts_afresh(url):
    """What a process has gathered is its own to write: the child of a fork writes none of it."""
    store = open_blobs(url)
    store.append(LOG, b"first")
    store.append(LOG, b"second")
    child = os.fork()
    if child == 0:
        open_blobs(url).flush()
        os._exit(0 if open_blobs(url).read_log(LOG) == b"first" else 1)
    assert os.waitpid(child, 0)[1] == 0
    store.flush()
    assert S3Blobs(url).read_log(LOG) == b"firstsecond"


@pytest.fixture
def kept_open(seaweed, monkeypatch):
    """A server that keeps connections open for more requests, as the stand-in does not."""
    seaweed.enter(monkeypatch)


@pytest.mark.parametrize("is_amid", [False, True])
def test_a_child_of_a_fork_has_the_client_to_itself(url, kept_open, is_amid):
    """The child goes on with the parent's client, which the parent connects anew; with a new one, if a thread was amid a request."""
    store, ours = open_blobs(url), client()
    store.put("v1/a", [b"x" * 100])
    with asking() if is_amid else contextlib.nullcontext():
        child = os.fork()
        if child == 0:
            is_ours = client() is ours
            answers = [open_blobs(url).get("v1/a") for _ in range(50)]
            os._exit(int(answers != [b"x" * 100] * 50) * 2 + int(is_ours is is_amid))
    # At the same time, so that answers would be mixed up on a connection of both.
    assert [store.get("v1/a") for _ in range(50)] == [b"x" * 100] * 50
    assert os.waitpid(child, 0)[1] == 0


def test_forks_amid_requests_of_threads_mix_up_no_answers(url, kept_open):
    """Whatever moment a fork finds, each connection has one user; children of children fork as well."""
    store = open_blobs(url)
    for name in range(4):
        store.put(f"v1/{name}", [b"%d" % name * 100])

    def are_right() -> bool:
        return all(store.get(f"v1/{name}") == b"%d" % name * 100 for name in (0, 1, 2, 3, 0, 1, 2, 3))

    def forked(depth: int) -> bool:
        child = os.fork()
        if child == 0:
            os._exit(0 if are_right() and (depth == 0 or forked(depth - 1)) else 1)
        return are_right() and os.waitpid(child, 0)[1] == 0

    with ThreadPoolExecutor(3) as threads:
        busy = [threads.submit(lambda: all(are_right() for _ in range(10))) for _ in range(3)]
        assert all(forked(1) for _ in range(10))
        assert all(found.result() for found in busy)


def test_a_child_goes_on_with_the_connection_of_its_parent(url, kept_open, monkeypatch):
    """No time of a task's start goes into a new one."""
    monkeypatch.setenv("AWS_APPLICATION", url)  # a client of its own
    others = _sockets()
    store = open_blobs(url)
    store.put("v1/a", [b"x"])
    (mine,) = _sockets() - others
    child = os.fork()
    if child == 0:
        store.get("v1/a")
        os._exit(0 if mine in _sockets() and len(_sockets() - others) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert mine not in _sockets()
    assert store.get("v1/a") == b"x"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_fork_that_cannot_let_go_of_connections_keeps_nobody_from_asking(url, kept_open, monkeypatch):
    """Python goes on after an error or Ctrl-C there, and other threads must be able to."""
    store = open_blobs(url)
    store.put("v1/a", [b"x"])
    with monkeypatch.context() as patch:
        patch.setattr(client(), "close", lambda: 1 / 0)
        child = os.fork()
        if child == 0:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(store.get, "v1/a").result(20) == b"x"


def _sockets() -> set[str]:
    """The connections of this process, by their inodes."""
    return {target for target in map(_target, Path("/proc/self/fd").iterdir()) if target.startswith("socket:")}


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # the folder was read by a descriptor that is closed again
        return ""


def test_a_client_has_all_handlers_that_botocore_gives_to_its_operations(moto):
    """Only those of other services are left out."""
    usual = session.Session().create_client("s3", config=_config(for_amazon=False))
    ours = client()
    for operation in OPERATIONS:
        for event in EVENTS:
            name = f"{event}.s3.{operation}"
            # Of ours there is one more, see ``_stay_here``.
            assert [handler for handler in _handlers(ours, name) if handler != "_stay_here"] == _handlers(usual, name)
    assert len(_handlers(usual, "before-call.s3.GetObject")) > 2


EVENTS = (
    "provide-client-params", "before-parameter-build", "before-endpoint-resolution", "before-call", "request-created", "choose-signer",
    "before-sign", "before-send", "response-received", "needs-retry", "before-parse", "after-call", "after-call-error",
)  # fmt: skip


def _handlers(client: Any, event: str) -> list[str]:
    """What is called at an event, in its order, but for what moto adds to botocore's where its server was started first."""
    found = client.meta.events._emitter._handlers.prefix_search(event)
    names = [getattr(handler, "__qualname__", type(handler).__qualname__) for handler in found]
    return [name for name in names if name != "BotocoreStubber"]


def test_what_a_store_can_do_is_found_once(url, seaweed, deaf, monkeypatch):
    """Whether a store honours create-only writes is tried when a store is made, and kept in its marker."""
    for server, verdict in ((seaweed, b"true"), (deaf, b"false")):
        server.enter(monkeypatch)
        where = f"{url}-{verdict.decode()}"
        S3Blobs(where).put("v1/a", [b"x"])
        key = Address.parse(where).prefix + "pyflow-store.json"
        marker = server.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert marker == b'{"layout": 1, "create_only": %b}\n' % verdict


def test_a_store_of_a_newer_pyflow_is_refused(url, moto):
    """A bucket has the same marker as a folder, and says as clearly that it cannot be read."""
    key = Address.parse(url).prefix + "pyflow-store.json"
    moto.client().put_object(Bucket=BUCKET, Key=key, Body=b'{"layout": 99}')
    for ask in (lambda s: s.get("v1/a"), lambda s: s.put("v1/a", []), lambda s: s.commit("v1/b", "1", b"")):
        with pytest.raises(StoreError, match="layout 99"):
            ask(S3Blobs(url))


def test_large_blobs_go_and_come_in_parts(url):
    """Blobs beyond a chunk are written and read in parts, and any range of them can be read."""
    store, content = S3Blobs(url), os.urandom(1000) * 40_000
    store.put("v1/large", [content[:7], memoryview(content)[7:]])
    assert store.read("v1/large") == content
    for start, length in ((16 * 2**20 - 1, 2), (1, 17 * 2**20), (39_999_999, 5), (40_000_001, 5)):
        assert store.read("v1/large", start, length) == content[start : start + length]


def test_a_record_that_is_no_record_is_read_no_further(url):
    """An object of gigabytes in the place of a commit is neither believed nor read whole; the true one has its place behind it."""
    store, book = S3Blobs(url), "v1/demo/runs/ann/r1/commits"
    store.put(f"{book}/1", [b"{" + bytes(3 * MOST_RECORD_BYTES)])

    def accepts(_slot: str, record: bytes) -> bool:
        assert len(record) <= MOST_RECORD_BYTES
        return record == b'{"mine":1}'

    assert store.committed(book, "1", accepts=accepts) is None
    assert store.commit(book, "1", b'{"mine":1}', accepts=accepts) == b'{"mine":1}'
    assert list(S3Blobs(url).commits(book, accepts=accepts)) == [("1", b'{"mine":1}')]


def test_a_record_that_would_not_be_read_is_not_written(url):
    """What a reader would take for no record is refused by who would write it."""
    with pytest.raises(StoreError, match="hand over fewer outputs"):
        S3Blobs(url).commit("v1/demo/runs/ann/r1/commits", "1", bytes(MOST_RECORD_BYTES))
