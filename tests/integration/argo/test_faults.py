"""What happens to a run on a real cluster when its pods, its workflow or its credentials do not hold: the same values, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from argo_world import cluster, kubectl, needs_argo, only_when_all, prepared, project, until

from pyflow import errors, load_run
from pyflow.api import list_runs, open_workplace
from pyflow.config import Settings
from pyflow.executors.argo.workflow import phase_of, pod_nodes

pytestmark = [*needs_argo, pytest.mark.timeout(400)]

FLOW = """
    import os, time
    from pathlib import Path
    from pyflow import Volume, pipeline, task

    SEEN = {shared!r}
    LIMITS = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")

    @task(volumes={{SEEN: Volume.host(SEEN, read_only=False)}}, retries=2, backoff="1s")
    def draw(name, seconds=0.0):
        with open(Path(SEEN, name), "ab", buffering=0) as file:
            file.write(b".")
            count = file.tell()
        print("drawing", flush=True)
        end = time.monotonic() + seconds
        while count == 1 and time.monotonic() < end and not Path(SEEN, "go on").exists():
            time.sleep(0.1)
        return name, os.urandom(8).hex()

    @task
    def repeat(drawn):
        return drawn

    @task(volumes={{SEEN: Volume.host(SEEN, read_only=False)}})
    def mend(drawn):
        if not Path(SEEN, "mended").exists():
            raise ConnectionError("not yet")
        return drawn

    @task(volumes={{SEEN: Volume.host(SEEN, read_only=False)}}, memory="64Mi", memory_on_oom="512Mi", retries=3, backoff="1s")
    def moody():
        found = [path for path in LIMITS if path.exists()]
        with open(Path(SEEN, "limits"), "a") as file:
            file.write(str(int(found[0].read_text()) >> 20) + " ")
        limits = Path(SEEN, "limits").read_text().split()
        if len(limits) == 2:
            return len(bytearray(200 << 20))
        if len(limits) < 4:
            raise ConnectionError("not yet")
        return limits

    @pipeline
    def trying():
        return moody()

    @pipeline
    def drawing(name, seconds=0.0):
        drawn = draw(name, seconds)
        return drawn, repeat(drawn)

    @pipeline
    def mending(name):
        drawn = draw(name)
        return drawn, mend(drawn)

    @task
    def told(outcome):
        print(outcome.status)

    @pipeline(on_exit=told)
    def long(name, seconds):
        return draw.with_options(retries=0)(name, seconds)
"""


class Place:
    """The author's project, and a folder of this machine that pods see."""

    def __init__(self, flows, shared: Path) -> None:
        self.flows = flows
        self.shared = shared

    def count(self, name: str) -> int:
        """How often a task was executed."""
        file = self.shared / name
        return file.stat().st_size if file.exists() else 0


@pytest.fixture
def place(tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)  # pods run as somebody else
    return Place(project(tmp_path, monkeypatch, FLOW.format(shared=str(shared))), shared)


def pods_of(run, phase="Running"):
    return [node.pod for node in pod_nodes(cluster().get(run.record.place["workflow"])) if node.phase == phase]


def check_one_result(run, executions, place, name):
    """All that read the result have the same one, there is one record of each slot, and it was executed so often."""
    first, second = run.result()
    assert first == second == run.result("draw") == load_run(run.id).result("repeat")
    content = open_workplace(Settings()).content
    slots = [slot for slot, _ in content.blobs.records(content.keys.commits(run.id))]
    assert sorted(slots) == ["0", "1"]
    assert place.count(name) == executions


def test_memory_grows_when_it_was_lacking_and_not_otherwise(place):
    """Four attempts: an error, a death by lack of memory, an error, and the end; only the second makes the next one larger."""
    assert place.flows.trying() == ["64", "64", "128", "128"]


@only_when_all
def test_a_pod_deleted_before_it_started_is_replaced(place):
    """It waits for a node. Argo makes it again, some by another attempt, and it starts as soon as there is one."""
    label = f"pyflow-{uuid.uuid4().hex[:8]}"
    place.flows.draw = place.flows.draw.with_options(node_selector={label: "yes"})
    run = place.flows.drawing.submit("before")
    of_run = (
        "-l",
        f"workflows.argoproj.io/workflow={run.record.place['workflow']}",
        "-o",
        "jsonpath={.items[*].metadata.uid}",
    )
    first = until(lambda: kubectl("get", "pods", *of_run))
    kubectl("delete", "pods", *of_run[:2], "--grace-period=0", "--force")
    until(lambda: kubectl("get", "pods", *of_run) not in {"", first})
    kubectl("label", "node", "localhost", f"{label}=yes")
    try:
        assert run.wait(200) == "succeeded"
    finally:
        kubectl("label", "node", "localhost", f"{label}-")
    check_one_result(run, 1, place, "before")


def test_a_pod_deleted_after_its_commit_keeps_its_result(place):
    """Its result is adopted by the next attempt, which does not execute the task again."""
    go = place.shared / "go"
    patch = {"containers": [{"name": "main", "env": [{"name": "PYFLOW_TEST_FAILPOINT", "value": f"commit.after:1:wait={go}"}]}]}  # fmt: skip
    place.flows.draw = place.flows.draw.with_options(pod_patch=patch)
    run = place.flows.drawing.submit("after")
    until((place.shared / "go.waiting").exists)
    (pod,) = until(lambda: pods_of(run))  # the workflow says so a little later
    kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    assert run.wait(200) == "succeeded"
    check_one_result(run, 1, place, "after")


@only_when_all
def test_twins_have_one_result(place):
    """A second pod with the same specification runs the same node; whoever commits first has made the result."""
    run = place.flows.drawing.submit("twins", 100.0)
    until(lambda: place.count("twins"))
    (pod,) = until(lambda: pods_of(run))  # the workflow says so a little later
    twin = json.loads(kubectl("get", "pod", pod, "-o", "json"))
    twin["metadata"] = {"name": f"{pod}-twin", "annotations": twin["metadata"]["annotations"]}
    twin["spec"].pop("nodeName")
    twin.pop("status")
    kubectl("create", "-f", "-", input=json.dumps(twin))
    try:
        until(lambda: place.count("twins") == 2)
        (place.shared / "go on").touch()
        assert run.wait(200) == "succeeded"
        until(lambda: "Succeeded" in kubectl("get", "pod", f"{pod}-twin", "-o", "jsonpath={.status.phase}"))
    finally:
        kubectl("delete", "pod", f"{pod}-twin", "--grace-period=0", "--force", "--ignore-not-found")
    check_one_result(run, 2, place, "twins")


def test_a_retried_workflow_goes_on(place):
    """``argo retry`` is the same run: what was committed stays, what had failed is tried again, and the new end counts."""
    run = place.flows.mending.submit("retried")
    assert run.wait(200) == "failed"
    drawn = run.result("draw")
    (place.shared / "mended").touch()
    until(lambda: phase_of(cluster().get(run.record.place["workflow"])) == "Failed")
    argo("retry", run.record.place["workflow"])
    until(lambda: load_run(run.id).status == "succeeded", 200)
    assert load_run(run.id).result() == (drawn, drawn)
    assert place.count("retried") == 1


@only_when_all
def test_a_resubmitted_workflow_is_another_run(place):
    """``argo resubmit`` starts from the beginning, with an id and results of its own, and is listed like any other."""
    run = place.flows.drawing.submit("again")
    assert run.wait(200) == "succeeded"
    argo("resubmit", run.record.place["workflow"])
    until(lambda: len(list_runs()) == 2)
    another = next(found for found in list_runs() if found.id != run.id)
    until(lambda: another.status == "succeeded", 200)
    assert another.result()[0] == another.result()[1] != run.result()[0]
    assert place.count("again") == 2


@only_when_all
def test_a_pod_evicted_by_a_time_limit_is_replaced(place):
    """A limit that the pod's own specification has, not the option: lost, and tried again."""
    place.flows.draw = place.flows.draw.with_options(pod_patch={"activeDeadlineSeconds": 45})
    run = place.flows.drawing.submit("evicted", 300.0)
    assert run.wait(200) == "succeeded"
    check_one_result(run, 2, place, "evicted")


@only_when_all
def test_a_run_that_takes_too_long_is_ended(place):
    """``run_timeout`` holds for the run as a whole; what it was at is told, and the run is over when its exit handler is."""
    chosen = place.flows.long.with_options(argo={**prepared(), "run_timeout": "15s"})
    run = chosen.submit("whole", 300.0)
    assert run.wait(200) == "failed"
    assert run.logs("told") == "failed\n"
    with pytest.raises(errors.TaskTimeoutError, match="time limit"):
        run.result()


def test_an_expired_token_is_said_and_survived(place, tmp_path):
    """The display tells that the server refuses, and goes on with what pods write in the store; the value comes."""
    token = tmp_path / "token"
    token.write_text(kubectl("create", "token", "submitter", "--duration=10m"), encoding="utf-8")
    settings = tmp_path / "pyproject.toml"
    settings.write_text(f"{settings.read_text(encoding='utf-8')}token_file = '{token}'\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "ARGO_TOKEN"}
    command = [sys.executable, "-m", "pyflow.cli", "run", "flows.py:drawing", "--name", "token", "--seconds", "12", "--progress"]  # fmt: skip
    going = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environment
    )
    until(lambda: place.count("token"))
    token.write_text("eyJhbGciOiJSUzI1NiJ9.e30.AAAA", encoding="utf-8")
    value, said = going.communicate(timeout=200)
    assert going.returncode == 0, said
    assert "The run goes on; what its pods write in the store is still shown." in said
    assert "ARGO_TOKEN" in said
    (run,) = list_runs()
    assert str(run.result()) in value
    check_one_result(run, 1, place, "token")


def argo(*words: str) -> None:
    """Argo's own command, as an administrator uses it: to try a workflow again it deletes pods."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ARGO_")}
    command = ["argo", "-n", prepared()["namespace"], *words]
    subprocess.run(command, check=True, capture_output=True, timeout=60, env=environment)
