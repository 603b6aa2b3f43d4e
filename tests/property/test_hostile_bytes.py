"""Bytes, records and keys that anybody may have written: an answer or one of pyflow's own errors, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyflow import pipeline, task
from pyflow.errors import IntegrityError, PyflowError
from pyflow.packing import pack
from pyflow.payload import KINDS, decode, encode, read_header
from pyflow.runs import RunRecord, RunSummary, RunView, is_event, read_events
from pyflow.store import ContentStore, Keys, check_key, open_blobs
from pyflow.store.book import decode_line, encode_line
from pyflow.upkeep import Verifier

# Those that are not pickles: of a pickle only somebody with the key, or the digest, decides.
PLAIN_KINDS = sorted(KINDS - {"pickle", "function"})

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)


def payload_of(header: object, body: bytes) -> memoryview:
    """Bytes as a payload has them, whatever its header says."""
    text = json.dumps(header).encode()
    start = b"PYFLOW1\n" + struct.pack("<I", len(text)) + text
    return memoryview(bytearray(start + bytes(-len(start) % 64) + body))


@given(st.binary(max_size=300))
def test_random_bytes_are_no_payload(data):
    """The header is read or refused."""
    with pytest.raises(IntegrityError):
        read_header(data)


@given(
    st.sampled_from(PLAIN_KINDS),
    st.binary(max_size=300),
    st.dictionaries(st.sampled_from(["file", "python", "stream", "buffers"]), JSON),
)
def test_a_hostile_body_is_decoded_or_refused(kind, body, more):
    """A valid header in front of anything: no other error, and no file outside of the scratch folder."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "inner" / "scratch"
        scratch.mkdir(parents=True)
        data = payload_of({"version": 1, "kind": kind, "size": len(body), **more}, body)
        with contextlib.suppress(PyflowError):
            decode(data, scratch=scratch)
        outside = [
            file
            for file in Path(folder).rglob("*")
            if scratch not in [file, *file.parents] and file not in scratch.parents
        ]
        assert outside == []


@given(st.sampled_from([{"a": [1, "x"]}, "text" * 400, b"bytes" * 300]), st.data())
def test_a_changed_payload_is_decoded_or_refused(value, data):
    """Bytes cut out, put in or changed anywhere in a true payload of a plain kind."""
    whole = b"".join(encode(value).parts)
    at = data.draw(st.integers(0, len(whole)))
    until = data.draw(st.integers(at, min(len(whole), at + 40)))
    changed = whole[:at] + data.draw(st.binary(max_size=40)) + whole[until:]
    try:
        if read_header(changed).kind in PLAIN_KINDS:
            decode(memoryview(bytearray(changed)))
    except PyflowError:
        pass


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from(["..", ".", "a", "", "/", "%2e", "\0", "a" * 129, "é"]), max_size=6).map("/".join)
)
def test_a_key_stays_inside_or_is_refused(key):
    """Whatever the text: no path that leads out, hides, or is absolute."""
    try:
        check_key(key)
    except PyflowError:
        return
    root = "/root/of/the/store"
    path = os.path.normpath(f"{root}/{key}")
    assert path == f"{root}/{key}"
    assert not any(part.startswith(".") for part in key.split("/"))


@given(st.binary(max_size=200))
def test_a_line_of_a_book_is_whole_or_nothing(line):
    """Random lines are not records, and what was written whole is read back."""
    assert decode_line(line) is None
    record = line.replace(b"\n", b"")
    assert decode_line(encode_line("1.0", record)[1:-1]) == ("1.0", record)


@task
def one(n: int) -> int:
    return n


@pipeline
def flow():
    return one.map([1, 2]), one(3)


CONTENT = ContentStore(open_blobs("memory://hostile"), Keys("p", "o"))

RECORD = {
    "version": 1, "run_id": "r1", "pipeline": "flow", "executor": "local", "graph_digest": "0" * 64, "graph_size": 1,
    "started_at": 1.0, "pyflow_version": "1", "python": "3", "host": "h", "pid": 1, "pid_started": "1",
}  # fmt: skip
SUMMARY = {"version": 1, "run_id": "r1", "status": "failed", "ended_at": 1.0, "duration_s": 1.0}


@given(
    st.sampled_from([RECORD, SUMMARY]),
    st.dictionaries(st.sampled_from([*RECORD, *SUMMARY, "place", "counts", "failures", "new"]), JSON),
    st.binary(max_size=50),
)
def test_a_record_is_read_or_refused(record, change, raw):
    """Fields of any type in ``run.json`` and ``summary.json``, and bytes that are no JSON."""
    for data in (json.dumps({**record, **change}).encode(), raw):
        for kind, key in ((RunRecord, CONTENT.keys.run_info("r1")), (RunSummary, CONTENT.keys.summary("r1"))):
            CONTENT.blobs.put(key, [data])
            with contextlib.suppress(PyflowError):
                kind.read(CONTENT, "r1")
        list(Verifier(CONTENT).run("r1"))


EVENT_FIELDS = st.fixed_dictionaries(
    {"at": st.floats() | st.integers(0, 9), "event": st.sampled_from(["run-started", "started", "ended", "expanded", "skipped", "paused", "failed", "run-ended", "x"])},
    optional={
        "slot": st.sampled_from(["0", "1.0", "1.1", "2", "99", "0.0.0", "../x", "", "-1", "1e3"]) | JSON,
        "attempt": st.integers(-1, 3) | JSON,
        "worker": st.text(max_size=3) | JSON,
        "status": st.sampled_from(["succeeded", "failed", "lost", "cancelled", "running", "pending", "skipped", "x"]) | JSON,
        "count": st.integers(-1, 3) | JSON,
        "log": st.lists(JSON, max_size=4),
        "error": st.dictionaries(st.sampled_from(["type", "message", "traceback", "frames", "pickled", "cause", "context", "x"]), JSON),
    },
)  # fmt: skip


@settings(max_examples=200)
@given(st.lists(EVENT_FIELDS | JSON, max_size=12))
def test_a_run_is_shown_whatever_its_events_say(events):
    """Events of any shape are taken or left out, and the view that they make can be looked at."""
    graph = pack(flow.trace(), CONTENT).graph
    key = CONTENT.keys.events("r2", "driver")
    CONTENT.blobs.delete([key])
    CONTENT.blobs.append(key, b"".join(json.dumps(event).encode() + b"\n" for event in events))
    found = list(read_events(CONTENT, "r2"))
    assert all(map(is_event, found))
    view = RunView(graph, found)
    view.caller_died()
    for node in view.by_name().values():
        assert repr(node)
        assert node.counts() is not None
