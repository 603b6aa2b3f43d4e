"""Runs on a real cluster: what a person sees and gets, also when pods die, somebody cancels, or the caller leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pexpect
import pytest
from argo_world import cluster, kubectl, needs_argo, prepared, project, pyflow, until

from pyflow import errors, load_run
from pyflow.api import list_runs, load_deployment, open_workplace
from pyflow.config import Settings
from pyflow.executors.argo.workflow import FINAL, phase_of, pod_nodes

pytestmark = [*needs_argo, pytest.mark.timeout(400)]

FLOW = """
    import os, sys, time
    from pyflow import container, task, pipeline

    @task
    def told(run):
        print("exit handler:", run.status)

    @task
    def nap(seconds):
        print("napping", flush=True)
        time.sleep(seconds)
        return seconds

    @task(memory="96Mi")
    def hungry():
        return len(bytearray(400 << 20))

    @task
    def double(x):
        print("doubling", x)
        return 2 * x

    @task
    def check(xs):
        if 4 in xs:
            raise ValueError(f"there is a 4 in {xs}")
        return xs

    @pipeline(on_exit=told)
    def naps(seconds):
        return nap.with_options(retries=1, backoff="1s")(seconds)

    @pipeline
    def eats():
        return hungry()

    @container(image="busybox:1.36", memory="20Mi")
    def greedy():
        return ["sh", "-c", "sleep 3; x=a; while true; do x=$x$x; done"]

    @container(image="busybox:1.36", stdout=True)
    def echo():
        return ["echo", "late"]

    @pipeline
    def unlucky():
        return nap.with_options(service_account="nobody-such", name="stranger")(0), greedy(), echo.after(nap(12))()

    @pipeline
    def doubles(xs):
        return check(double.map(xs))

    TAGS = "{{workflow.name}} {{workflow.bogus}} {{=1+1}} $(HOME)"

    @pipeline(name="nightly")
    def earlier(items: list, n=1):
        return double.map(items)

    @pipeline
    def nightly(items: list, note: str, rate: float = 0.5, is_dry: bool = False, more: "str | Literal['{{workflow.bogus}} $(HOME)']" = TAGS):
        return double.map(items), note, rate, is_dry, more
"""


@pytest.fixture
def flows(tmp_path, monkeypatch):
    """The pipelines in a file of an author's, with the settings of a project beside it."""
    return project(tmp_path, monkeypatch, FLOW)


def test_values_errors_and_logs_come_back(flows):
    """The same as on the author's machine; another process finds the run by its id, also when its pods are gone."""
    assert flows.doubles([1, 3]) == [2, 6]
    with pytest.raises(ValueError, match=r"there is a 4 in \[2, 4\]") as caught:
        flows.doubles([1, 2])
    assert any("Raised by task 'check', attempt 1" in note for note in caught.value.__notes__)
    failed, succeeded = list_runs()
    assert (failed.status, succeeded.status) == ("failed", "succeeded")
    assert pyflow("result", succeeded.id).stdout.strip() == "[2, 6]"
    assert pyflow("logs", succeeded.id, "double[1]").stdout == "doubling 3\n"
    assert succeeded.record.place["namespace"] == prepared()["namespace"]
    assert "pods; " in succeeded.record.where
    label = f"workflows.argoproj.io/workflow={succeeded.record.place['workflow']}"
    assert kubectl("get", "pods", "-l", label, "-o", "name") == ""
    peaks = [
        attempt.peak_memory_bytes for slot in succeeded.nodes["double"].slots.values() for attempt in slot.attempts
    ]
    assert len(peaks) == 2
    assert min(peaks) > 1 << 20


def test_a_cancelled_run_runs_its_exit_handler(flows):
    """From another handle than the one that submitted it; what it printed is kept, and who follows its logs sees it come."""
    run = flows.naps.submit(300)
    command = [sys.executable, "-m", "pyflow.cli", "logs", "--follow", run.id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout.readline() == "napping\n"
        assert run.status == "running"
        load_run(run.id).cancel()
        assert run.wait(120) == "cancelled"
        rest, _ = follower.communicate(timeout=120)
    assert (follower.returncode, rest.splitlines()[-1]) == (0, "exit handler: cancelled")
    assert run.logs("told") == "exit handler: cancelled\n"
    with pytest.raises(errors.RunCancelledError):
        run.result()


def test_a_deleted_pod_is_replaced(flows):
    """The attempt is lost, with its reason; another one gives the value."""
    run = flows.naps.submit(8)
    until(lambda: "napping" in run.logs("nap"))

    def running() -> list[str]:
        return [node.pod for node in pod_nodes(cluster().get(run.record.place["workflow"])) if node.phase == "Running"]

    (pod,) = until(running)  # the workflow says so a little later than the pod
    subprocess.run(["kubectl", "delete", "pod", pod, "--grace-period=0", "--force"], check=True, capture_output=True)
    assert run.wait(200) == "succeeded"
    assert run.result() == 8
    assert [attempt.status for attempt in run.nodes["nap"].slots["0"].attempts] == ["lost", "succeeded"]


def test_out_of_memory_is_told_with_the_limit(flows):
    """Nobody has to read the cluster's events for it."""
    with pytest.raises(errors.OutOfMemoryError, match="out of memory: it reached its limit of 96 MiB"):
        flows.eats()


def test_what_nobody_saw_is_known_later(flows):
    """Whom Kubernetes refused, who ran out of memory, and who came after these: known when all is over, as if somebody had watched."""
    run = flows.unlucky.submit()
    until(lambda: phase_of(cluster().get(run.record.place["workflow"])) in FINAL, 200)
    stranger, greedy = (run.failure_of(name) for name in ("stranger", "greedy"))
    assert isinstance(stranger, errors.LostTaskError)
    assert "There is no such service account" in str(stranger)
    assert isinstance(greedy, errors.OutOfMemoryError)
    assert "it reached its limit of 20 MiB" in str(greedy)
    statuses = {name: node.status for name, node in run.nodes.items()}
    assert statuses == {"stranger": "lost", "greedy": "lost", "nap": "succeeded", "echo": "cancelled"}


def test_why_a_pod_waits_is_said_within_seconds(tmp_path, monkeypatch):
    """An image that nobody has: the reason with the fix in the plain lines, and Ctrl-C leaves the run alone.

    Cancelled it ends, though the pod that should write that down has no image either.
    """
    project(tmp_path, monkeypatch, FLOW, image="nobody.invalid/has/this:1")
    command = [sys.executable, "-m", "pyflow.cli", "run", "flows.py:eats", "--progress"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as going:
        said = ""
        while "waits:" not in said:
            line = going.stderr.readline()
            assert line, said
            said += line
        assert "image" in said.lower()
        assert "Check the image's name" in said
        going.send_signal(signal.SIGINT)
        rest = going.stderr.read()
        assert going.wait(30) == 130
    (run,) = list_runs()
    assert f"Run {run.id} goes on. Watch it: pyflow logs --follow {run.id}" in rest
    assert run.status in {"pending", "running"}
    run.cancel()
    assert "It was asked to end" in pyflow("show", run.id).stdout
    assert run.wait(120) == "cancelled"


@pytest.mark.parametrize(
    ("answer", "said", "status"), [("d", "goes on. Watch it", "running"), ("c", "Stopped.", "cancelled")]
)
def test_ctrl_c_asks_whoever_can_answer(flows, answer, said, status):
    """In a terminal a person chooses whether to leave the run alone or to cancel it."""
    words = ["-m", "pyflow.cli", "run", "flows.py:naps", "--seconds", "300"]
    child = pexpect.spawn(sys.executable, words, encoding="utf-8", timeout=100)
    (run,) = until(list_runs)
    until(lambda: "napping" in run.logs("nap"))
    child.sendintr()
    child.expect_exact("(d)etach and let it, or (c)ancel it? [d]")
    child.sendline(answer)
    child.expect_exact(said)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert run.status == status
    run.cancel()


def test_a_deleted_workflow_ends_its_run(flows):
    """Nobody waits forever for what is not there any more."""
    run = flows.naps.submit(300)
    cluster().delete(run.record.place["workflow"])
    assert run.wait(60) == "failed"
    with pytest.raises(errors.ExecutorError, match="was deleted in namespace"):
        run.result()


def test_a_deployed_pipeline_takes_its_parameters_from_anywhere(flows):
    """From Python, the command line and Argo's own way; whatever is in a text or a default arrives unchanged, and all are listed."""
    earlier = flows.earlier.deploy()
    deployment = flows.nightly.deploy()
    with pytest.raises(errors.ExecutorError, match="not cron"):
        flows.earlier.deploy(schedule="not cron", values={"items": []})
    hostile = "{{workflow.name}} $(HOME) \"q\" 'x' --flag é\n2"
    first = earlier.run(items=[1, 2], note=hostile)
    second = pyflow("start", "nightly", "items=[3]", "note=7", "rate=2", "is_dry=true")
    assert second.returncode == 0, second.stderr
    third = cluster().start("nightly", {"items": "[]", "note": ""})["metadata"]["uid"]
    early = load_run(third)  # before a pod of it has told anything
    assert early.record.pipeline == "nightly"
    offered = {
        p["name"]: p.get("enum")
        for p in cluster().read("WorkflowTemplate", "nightly")["spec"]["arguments"]["parameters"]
    }
    assert offered == {"items": None, "note": None, "rate": None, "is_dry": ["true", "false"], "more": None}
    runs = [first, load_run(second.stdout.strip())]
    assert [run.wait(200) for run in runs] == ["succeeded"] * 2
    until(lambda: third in {run.id for run in list_runs()}, 200)
    assert load_run(third).record.arguments.startswith("items=[], note=, rate=0.5")
    runs.append(early)
    runs[2].wait(200)
    assert [run.result() for run in runs] == [
        ([2, 4], hostile, 0.5, False, flows.TAGS), ([6], "7", 2.0, True, flows.TAGS), ([], "", 0.5, False, flows.TAGS),
    ]  # fmt: skip
    refused = pyflow("start", "nightly", "items=[3]", "note=7", "rate=x")
    assert "'rate' is of type float, and 'x' is not a number" in refused.stderr
    refused = pyflow("start", "nightly", "items=[3]", "note=7", env={**os.environ, "PYFLOW_PROJECT": "another"})
    assert "'nightly' was not started: it was deployed for project" in refused.stderr
    with pytest.raises(errors.DefinitionError, match="has no parameter 'itms' and needs a value for 'items'"):
        load_deployment("nightly", open_workplace(Settings())).run(itms=[1], note="")
    deployment.remove()
    with pytest.raises(errors.ExecutorError, match="not found"):
        load_deployment("nightly", open_workplace(Settings()))


def test_a_manifest_is_compiled_without_a_cluster(flows):
    """And applied by hand it is a run like any other, from the command line as well."""
    nothing = {name: value for name, value in os.environ.items() if name not in {"ARGO_SERVER", "KUBECONFIG"}}
    done = pyflow("compile", "flows.py:doubles", "--xs", "[1]", "-o", "run.yaml", env=nothing)
    assert done.returncode == 0, done.stderr
    created = subprocess.run(
        ["kubectl", "create", "-n", prepared()["namespace"], "-f", "run.yaml", "-o", "jsonpath={.metadata.uid}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    until(lambda: created.stdout in {run.id for run in list_runs()}, 200)
    assert load_run(created.stdout).result() == [2]
