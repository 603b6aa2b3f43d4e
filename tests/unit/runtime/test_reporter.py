"""What a pod tells of: in time, all of it, and without keeping the pod from its end."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from argo_world import until

from pyflow.contract import ErrorRecord, Home
from pyflow.errors import StoreError
from pyflow.executors.argo.text import encoded
from pyflow.runs import RunRecord, read_events
from pyflow.runtime import PARAMETERS_VARIABLE, open_home, pod_place
from pyflow.runtime.pod_place import PodPlace, Reporter, say_memory, say_why


@pytest.fixture
def place(tmp_path) -> PodPlace:
    home = Home(store_url=str(tmp_path), project="p", owner="o")
    return PodPlace(home, "d" * 64, 10, 500, "run-1", "wf", "ns", "wf-p0-1", "1a2b3c4d")


@pytest.fixture
def content(place):
    return open_home(place.home)


def test_a_run_is_recorded_before_anything_is_told_of_it(place, content):
    """The first pod of a run that nobody has recorded does so; the others add what happens in them."""
    for pod in ("wf-p0-1", "wf-p0-2"):
        reporter = Reporter(content, place._replace(pod=pod), "train")
        reporter.note("started", slot="0", attempt=1, worker=pod)
        reporter.close()
    assert RunRecord.read(content, "run-1").pipeline == "train"
    assert [event["event"] for event in read_events(content, "run-1")] == ["run-started", "started", "started"]


def test_what_happens_is_told_while_the_pod_goes_on(place, content):
    """Whoever watches need not wait for the end; a store that fails meanwhile is asked again."""
    reporter = Reporter(content, place, "train")
    usual, failures = reporter.publish, [StoreError("It is full."), StoreError("It is full.")]

    def publish() -> None:
        if failures:
            raise failures.pop()
        usual()

    reporter.publish = publish
    reporter.note("started", slot="0", attempt=1, worker="w")
    until(lambda: [event["event"] for event in read_events(content, "run-1")] == ["run-started", "started"])
    assert not failures
    reporter.close()
    assert not reporter._thread.is_alive()
    assert len([*read_events(content, "run-1")]) == 2


def test_the_last_words_of_a_pod_begin_with_its_memory(tmp_path, monkeypatch):
    """Whatever is said behind it, however often and however much, for Argo reckons with it."""
    monkeypatch.setattr(pod_place, "memory_limit_bytes", lambda: 512 << 20)
    log = tmp_path / "log"
    say_memory(str(log))
    assert not log.exists()  # this is no pod
    log.touch()
    say_memory(str(log))
    assert log.read_text() == "pyflow-memory=512Mi\n"
    for _ in range(2):
        say_why(ErrorRecord(type="ValueError", message="no", traceback="x" * 9000), str(log))
    assert log.read_text().startswith("pyflow-memory=512Mi\nValueError: no\nxxx")
    assert log.stat().st_size == 4096


def test_a_pod_records_what_its_run_was_given(content, place):
    """Argo's page has started it, so nobody else could say."""
    listed = [{"name": "items", "value": "[1]"}, {"name": "note", "value": "x" * 50}, {"name": "unset"}]
    variables = {
        "PYFLOW_POD": encoded({**place.home.to_wire(), "graph": "d" * 64, "size": 10, "most": 500}),
        "PYFLOW_WORKFLOW": "ns/wf", "PYFLOW_UID": "run-2", "PYFLOW_POD_NAME": "wf-p0-1",
        PARAMETERS_VARIABLE: b64encode(json.dumps(listed).encode()).decode(),
    }  # fmt: skip
    reporter = Reporter(content, PodPlace.of(variables, "1a2b3c4d"), "train")
    reporter.close()
    assert RunRecord.read(content, "run-2").arguments == f"items=[1], note={'x' * 40}"
