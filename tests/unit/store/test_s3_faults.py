"""What goes wrong on the way to a bucket and back ends as it must: no lost write, no write twice, no short data."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pytest
from servers import BUCKET, Proxy, running_proxy

from pyflow.digest import CHUNK_SIZE
from pyflow.errors import StoreError
from pyflow.store.s3 import Patience, S3Blobs

RUN = "v1/demo/runs/ann/r1"
LARGE = bytes(range(256)) * (2 * CHUNK_SIZE // 256) + b"and some more"


@dataclass
class Fault:
    """What to do to the next request with this method and this text in its path or query."""

    method: str
    text: str
    kind: str
    """A status and code to answer with, or: lost, cut, short."""


class Faulty(Proxy):
    """Does what a script says to the requests that it names."""

    script: list[Fault]

    def do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = next((f for f in self.script if f.method == self.command and f.text in self.path), None)
        if fault is None:
            self.answer(*self.pass_on(body))
            return
        self.script.remove(fault)
        status, _, code = fault.kind.partition(" ")
        if status.isdecimal():
            self.answer(int(status), [], f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode())
            return
        status, headers, content = self.pass_on(body)
        if fault.kind == "short":
            self.answer(status, headers, content[: len(content) // 2])
            return
        if fault.kind == "cut":
            self.answer(status, [*headers, ("X-Cut", "1")], content)
        self.close_connection = True

    def answer(self, status, headers, content) -> None:
        if ("X-Cut", "1") not in headers:
            super().answer(status, headers, content)
            return
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])


@pytest.fixture
def script(moto, monkeypatch):
    faults: list[Fault] = []
    with running_proxy(moto, type("Scripted", (Faulty,), {"script": faults})) as server:
        server.enter(monkeypatch)
        yield faults
    assert faults == [], "a fault of the script that never happened"


@pytest.fixture
def store(script):
    made = S3Blobs(f"s3://{BUCKET}/{uuid.uuid4().hex}", patience=Patience(deadline_s=20))
    made.put(f"{RUN}/first", [b"so that the marker is there"])
    return made


@pytest.mark.parametrize("kind", ["503 SlowDown", "500 InternalError", "409 ConditionalRequestConflict", "lost"])
def test_who_created_hears_so(store, script, kind):
    """Whatever happened to the answer, the one who created is told yes, and the next one no."""
    script += [Fault("PUT", "claim", kind)] * 2
    assert store.create(f"{RUN}/claim", b"same")
    assert not store.create(f"{RUN}/claim", b"same")


def test_who_did_not_create_hears_so(store, script):
    """A lost answer to a create of what was there does not make it one's own, also with the same bytes."""
    store.create(f"{RUN}/claim", b"same")
    script.append(Fault("PUT", "claim", "lost"))
    assert not store.create(f"{RUN}/claim", b"same")


@pytest.mark.parametrize("kind", ["503 SlowDown", "409 ConditionalRequestConflict", "lost"])
def test_a_commit_is_told_once(store, script, kind):
    """A commit whose answer was lost is one's own; the record that holds is the first."""
    script += [Fault("PUT", "commits", kind)] * 2
    assert store.commit(f"{RUN}/commits", "1", b"mine") == b"mine"
    assert store.commit(f"{RUN}/commits", "1", b"late") == b"mine"


@pytest.mark.parametrize("kind", ["503 SlowDown", "cut", "short", "lost"])
def test_bodies_come_whole(store, script, kind):
    """A body that is cut, or shorter than the object, is asked for again."""
    store.put(f"{RUN}/blob", [b"0123456789" * 1000])
    script += [Fault("GET", "blob", kind)] * 2
    assert store.read(f"{RUN}/blob") == b"0123456789" * 1000


def test_parts_of_large_bodies_come_whole(store, script):
    """So are the parts of a large one, each alone."""
    store.put(f"{RUN}/blob", [LARGE])
    script += [Fault("GET", "blob", kind) for kind in ("cut", "short", "503 SlowDown", "lost")]
    assert store.read(f"{RUN}/blob") == LARGE


@pytest.mark.parametrize(
    ("method", "text", "kind"),
    [
        ("POST", "?uploads", "503 SlowDown"),
        ("PUT", "partNumber=2", "500 InternalError"),
        ("PUT", "partNumber=3", "lost"),
        ("POST", "uploadId", "503 SlowDown"),
        ("POST", "uploadId", "lost"),
    ],
)
def test_a_large_blob_goes_up_whole(store, script, method, text, kind):
    """Each step of an upload may fail or lose its answer, also the last: the blob is there, once, and whole."""
    script.append(Fault(method, text, kind))
    store.put(f"{RUN}/blob", [LARGE[:100], memoryview(LARGE)[100 : CHUNK_SIZE + 5], LARGE[CHUNK_SIZE + 5 :]])
    assert store.get(f"{RUN}/blob") == LARGE


def test_an_upload_that_fails_leaves_nothing(store, script, moto):
    """When a part is refused, the upload is ended, so that nobody pays for what was sent."""
    script.append(Fault("PUT", "partNumber=2", "403 AccessDenied"))
    with pytest.raises(StoreError, match="AccessDenied"):
        store.put(f"{RUN}/blob", [LARGE])
    assert store.info(f"{RUN}/blob") is None
    mine = [
        upload
        for upload in moto.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())
        if upload["Key"].startswith(store.url.rpartition("/")[2])
    ]
    assert mine == []


def test_a_log_that_cannot_be_written_takes_nothing(store, script):
    """An append that raises has not added its bytes: what is appended next starts where it would have."""
    assert store.append(f"{RUN}/logs/w1", b"first") == 0
    script.append(Fault("PUT", "logs", "403 AccessDenied"))
    with pytest.raises(StoreError, match="AccessDenied"):
        store.append(f"{RUN}/logs/w1", b"x" * 300_000)
    assert store.append(f"{RUN}/logs/w1", b"second") == 5
    store.flush()
    assert store.read_log(f"{RUN}/logs/w1") == b"firstsecond"


def test_what_was_taken_in_is_written_later(store, script):
    """A flush that fails loses nothing: the next one writes it."""
    store.append(f"{RUN}/logs/w1", b"first")
    store.append(f"{RUN}/logs/w1", b"second")
    script.append(Fault("PUT", "logs", "403 AccessDenied"))
    with pytest.raises(StoreError, match="AccessDenied"):
        store.flush()
    store.flush()
    again = S3Blobs(store.url)
    assert again.read_log(f"{RUN}/logs/w1", 3) == b"stsecond"


def test_a_refused_key_is_named(store, script):
    """Of many keys to delete, one that cannot be is told; a store without the batch is asked for each."""
    keys = [f"{RUN}/{name}" for name in "abc"]
    for key in keys:
        store.put(key, [b"x"])
    script.append(Fault("POST", "delete", "501 NotImplemented"))
    store.delete(keys)
    assert [info.key for info in store.list(RUN)] == [f"{RUN}/first"]
