"""A watcher tells one story from what pods write in the store and what the cluster says of those that cannot."""

from __future__ import annotations

import itertools

import pytest
from fake_cluster import FakeCluster, pod

from pyflow import pipeline, task
from pyflow.contract import ErrorRecord
from pyflow.errors import AccessDeniedError, StoreError, UnreachableError
from pyflow.executors.argo import watch as watching
from pyflow.executors.argo.watch import Followed, Watch
from pyflow.packing import pack
from pyflow.runs import Journal, RunSummary, read_events
from pyflow.runtime import KILLED
from pyflow.store import ContentStore, Keys, open_blobs


@task(memory="64Mi")
def fit(x):
    return x


@pipeline
def flow():
    return fit.with_options(name="second")(fit(1))


class Scene:
    """A run on a cluster in memory, and somebody who watches it."""

    def __init__(self, folder, monkeypatch):
        monkeypatch.setattr(watching, "_LOOK_S", 0.0)
        monkeypatch.setattr(watching, "_SHARE", 0)
        self.content = ContentStore(open_blobs(folder), Keys("p", "o"))
        self.graph = pack(flow.trace(), self.content).graph
        self.first, self.second = (node.id for node in self.graph.walk())
        self.cluster = FakeCluster()
        made = self.cluster.create({"metadata": {"generateName": "flow-"}, "spec": {}})
        self.name, self.run_id = made["metadata"]["name"], made["metadata"]["uid"]
        self.told = []
        clock = itertools.count(1000.0, 1.0)
        self.now = lambda: next(clock)
        self.watch = self.watcher()

    def watcher(self):
        followed = Followed(self.run_id, self.name, 1000.0, self.graph)
        return Watch(followed, self.content, self.cluster, self.told.append, now=lambda: self.now())  # noqa: PLW0108  a test sets another one

    def pod_writes(self, event, writer="pod-1", **details):
        journal = Journal(self.content, self.run_id, writer=writer)
        journal.add(event, **details)
        journal.flush()

    def kinds(self):
        return [event["event"] for event in self.told]


@pytest.fixture
def scene(tmp_path, monkeypatch):
    return Scene(tmp_path / "store", monkeypatch)


def test_pending_is_not_done(scene):
    """A workflow that waits has not ended, however often one looks."""
    scene.cluster.set_status(scene.name, "Pending")
    assert [scene.watch.look() for _ in range(3)] == [None, None, None]


def test_what_pods_write_is_told_in_order(scene):
    """And a summary in the store is the end, without a word from the cluster."""
    scene.pod_writes("started", slot=str(scene.first), attempt=1, worker="w")
    scene.cluster.set_status(scene.name, "Running", pod(scene.first, "Running"))
    assert scene.watch.look() is None
    assert scene.watch.view.status == "running"
    scene.pod_writes("ended", "pod-2", slot=str(scene.first), attempt=1, status="succeeded")
    RunSummary(run_id=scene.run_id, status="succeeded", ended_at=2.0, duration_s=1.0).write(scene.content)
    calls = len(scene.cluster.calls)
    assert scene.watch.look().status == "succeeded"
    assert scene.kinds() == ["started", "ended", "run-ended"]
    assert len(scene.cluster.calls) == calls


def test_a_pod_that_waits_says_why_once(scene):
    """The reason with the fix, again only when it changes, and that it is over."""
    waiting = pod(scene.first, "Pending", "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.")
    scene.cluster.set_status(scene.name, "Running", waiting)
    scene.watch.look()
    scene.watch.look()
    scene.cluster.set_status(scene.name, "Running", pod(scene.first, "Running"))
    scene.watch.look()
    reasons = [event["reason"] for event in scene.told if event["event"] == "waiting"]
    assert len(reasons) == 2
    assert "Insufficient cpu. No node has so much free" in reasons[0]
    assert reasons[1] == ""


def test_a_killed_pod_is_lost_with_its_reason(scene):
    """It told nothing itself; what the cluster says of it is written down for everybody."""
    scene.pod_writes("started", slot=str(scene.first), attempt=1, worker="w")
    scene.cluster.set_status(scene.name, "Failed", pod(scene.first, "Failed", "OOMKilled (exit code 137)"))
    summary = scene.watch.look()
    assert summary.status == "failed"
    ((slot, name, kind, message),) = summary.failures
    assert (slot, name, kind) == (str(scene.first), "fit", "OutOfMemoryError")
    assert "out of memory: it reached its limit of 64 MiB" in message
    ended = [event for event in read_events(scene.content, scene.run_id) if event["event"] == "ended"]
    assert [event["status"] for event in ended] == ["lost"]
    assert RunSummary.read(scene.content, scene.run_id) == summary


def test_a_failure_that_the_pod_told_is_not_told_again(scene):
    """The task's own error is worth more than an exit code."""
    error = {"type": "ValueError", "message": "no", "traceback": "no"}
    scene.pod_writes("started", slot=str(scene.first), attempt=1, worker="w")
    scene.pod_writes("ended", slot=str(scene.first), attempt=1, status="failed", error=error)
    scene.cluster.set_status(scene.name, "Failed", pod(scene.first, "Failed", "Error (exit code 70)"))
    assert scene.watch.look().failures == [[str(scene.first), "fit", "ValueError", "no"]]


def test_a_failure_before_any_attempt_is_not_a_loss(scene):
    """A pod that finds mapped arguments of different lengths says so, and has no attempt that could be lost."""
    error = ErrorRecord(type="pyflow.errors.DefinitionError", message="different lengths", traceback="")
    scene.pod_writes("failed", slot=str(scene.first), error=error.to_wire())
    failed = pod(scene.first, "Failed", "Error (exit code 71): different lengths", attempt=1)
    scene.cluster.set_status(scene.name, "Failed", failed)
    assert scene.watch.look().failures == [[str(scene.first), "fit", "DefinitionError", "different lengths"]]
    assert "ended" not in scene.kinds()


def test_attempts_are_told_apart(scene):
    """The first pod was deleted, the second one works: that is no failure of the run."""
    scene.pod_writes("started", slot=str(scene.first), attempt=1, worker="w")
    scene.cluster.set_status(
        scene.name,
        "Running",
        pod(scene.first, "Error", "pod deleted", attempt=1),
        pod(scene.first, "Running", attempt=2),
    )
    assert scene.watch.look() is None
    scene.pod_writes("started", "pod-2", slot=str(scene.first), attempt=2, worker="v")
    scene.pod_writes("ended", "pod-2", slot=str(scene.first), attempt=2, status="succeeded")
    scene.cluster.set_status(scene.name, "Succeeded", pod(scene.first, "Succeeded", attempt=2))
    assert scene.watch.look().status == "succeeded"
    assert [a.status for a in scene.watch.view.by_name()["fit"].slots[str(scene.first)].attempts] == [
        "lost",
        "succeeded",
    ]


def test_two_watchers_say_the_same(scene):
    """Whoever looks later, in another process, finds the end written down."""
    scene.cluster.set_status(scene.name, "Failed", pod(scene.first, "Failed", "pod deleted"))
    first, second = scene.watch.look(), scene.watcher().look()
    assert first == second


def test_a_deleted_workflow_is_an_end(scene):
    """Somebody removed it: the run failed, or was cancelled if that was asked for; nobody waits forever."""
    scene.cluster.delete(scene.name)
    summary = scene.watch.look()
    assert summary.status == "failed"
    assert "was deleted in namespace 'team'" in summary.failures[0][3]


def test_a_cancelled_and_deleted_run_is_cancelled(scene):
    """The request in the store says that it was wanted."""
    scene.content.blobs.create(scene.content.keys.cancel(scene.run_id), b"{}")
    scene.cluster.delete(scene.name)
    assert scene.watch.look().status == "cancelled"


def test_another_workflow_of_that_name_is_not_ours(scene):
    """A name may be used again; the uid is the run."""
    scene.cluster.workflows[scene.name]["metadata"]["uid"] = "another"
    assert scene.watch.look().status == "failed"


def test_a_workflow_that_argo_refuses_fails_with_its_words(scene):
    """No pod ever ran, so the controller's message is all there is."""
    scene.cluster.set_status(scene.name, "Error", message="invalid spec: templates.main: no such template")
    assert "invalid spec: templates.main" in scene.watch.look().failures[0][3]


@pytest.mark.parametrize("error", [UnreachableError("It did not answer."), AccessDeniedError("The token has expired.")])
def test_a_lost_connection_or_token_is_said_and_survived(scene, error):
    """Once, however long it lasts; the store goes on telling, and the end is seen."""
    scene.cluster.fails = error
    assert scene.watch.look() is scene.watch.look() is None
    scene.cluster.fails = None
    scene.cluster.set_status(scene.name, "Running")
    scene.watch.look()
    troubles = [event["message"] for event in scene.told if event["event"] == "trouble"]
    assert len(troubles) == 2
    assert troubles[0].startswith(str(error))
    assert troubles[1] == ""


def test_a_workflow_that_no_controller_takes_is_told(scene):
    """It would wait forever, and nothing else would say so."""
    scene.now = lambda: 1020.0
    scene.watch.look()
    scene.watch.look()
    (event,) = scene.told
    assert "Argo's controller has not looked at workflow" in event["message"]


def test_a_hopeless_wait_ends_the_run(scene):
    """An image that nobody has: after a while the run is stopped, and the error says what to do; what waited beside it is cancelled."""
    beside = pod(scene.second, "Pending", "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.")
    scene.cluster.set_status(scene.name, "Running", pod(scene.first, "Pending", "ErrImagePull: no such image"), beside)
    scene.watch.look()
    scene.now = lambda: 2000.0
    scene.watch.look()
    assert ("stop", scene.name) in scene.cluster.calls
    stopped = "workflow shutdown with strategy:  Stop"
    scene.cluster.set_status(
        scene.name, "Failed", pod(scene.first, "Failed", stopped), pod(scene.second, "Failed", stopped)
    )
    summary = scene.watch.look()
    (failure,) = summary.failures
    assert summary.counts == {"lost": 1, "cancelled": 1}
    assert "could not start within 300 s: ErrImagePull" in failure[3]


def test_a_pod_that_cannot_mount_something_is_explained(scene):
    """Its node says no more than that it is on its way; what Kubernetes has warned of says why it never gets there."""
    scene.cluster.warned = ['FailedMount: MountVolume.SetUp failed for volume "k" : secret "pyflow-key" not found']
    scene.cluster.set_status(scene.name, "Running", pod(scene.first, "Pending", "PodInitializing"))
    scene.watch.look()
    assert scene.kinds() == []
    scene.now = lambda: 1100.0
    scene.watch.look()
    (event,) = scene.told
    assert event["slot"] == str(scene.first)
    assert 'secret "pyflow-key" not found' in event["reason"]
    assert "pyflow argo setup" in event["reason"]


def at(scene, *times):
    """Look at these times."""
    for now in times:
        scene.now = lambda now=now: now
        scene.watch.look()


def test_a_pod_that_takes_long_and_warns_of_nothing_is_told(scene):
    """After a minute; until then a pod that gets ready is none that waits."""
    scene.cluster.set_status(scene.name, "Running", pod(scene.first, "Pending", "PodInitializing"))
    at(scene, 1000.0, 1010.0, 1059.0)
    assert scene.kinds() == []
    at(scene, 1061.0, 1070.0)
    (event,) = scene.told
    assert "getting ready for more than a minute" in event["reason"]
    assert "-c init' tell" in event["reason"]


def test_a_pod_that_gets_its_inputs_is_not_slow(scene):
    """That of a container task tells that it has begun, and may fetch for long, while Kubernetes takes it for one that gets ready."""
    scene.pod_writes("started", slot=str(scene.first), attempt=1, worker="w")
    scene.cluster.set_status(scene.name, "Running", pod(scene.first, "Pending", "PodInitializing"))
    at(scene, 1000.0, 1010.0, 1100.0)
    assert "waiting" not in scene.kinds()


def test_each_of_several_pods_is_asked_about(scene):
    """Two that wait for the same are both explained, and one that explains itself takes no turn."""
    scene.cluster.warned = ['MountVolume.SetUp failed for volume "k" : secret "pyflow-key" not found']
    slow = [pod(node, "Pending", "PodInitializing") for node in (scene.first, scene.second)]
    scene.cluster.set_status(scene.name, "Running", *slow)
    at(scene, *range(1000, 1075, 5))
    assert [event["slot"] for event in scene.told] == [str(scene.first), str(scene.second)]
    assert all('secret "pyflow-key" not found' in event["reason"] for event in scene.told)


def test_a_pod_that_never_told_anything_is_quoted(scene):
    """Nothing of it is in the store, so what it printed is in its error."""
    scene.cluster.printed = ["a", "b", "c", "d", "e", "sh: python3: not found"]
    scene.cluster.set_status(scene.name, "Failed", pod(scene.first, "Failed", "Error (exit code 127)"))
    (failure,) = scene.watch.look().failures
    assert failure[3].endswith("Its last lines: b / c / d / e / sh: python3: not found")


def test_a_killed_pod_is_told_with_what_it_had(scene):
    """Its last sign of life says how much memory it had, which is a better hint than the limit alone."""
    where = f"{scene.content.keys.heartbeats(scene.run_id)}/{scene.first}.1.abcd"
    scene.content.blobs.put(where, [b'{"at":1.0,"memory_bytes":52428800}'])
    scene.pod_writes("started", slot=str(scene.first), attempt=1, worker="w")
    scene.cluster.set_status(scene.name, "Failed", pod(scene.first, "Failed", "OOMKilled (exit code 137)"))
    assert "its limit of 64 MiB, and had 50 MiB when last looked at" in scene.watch.look().failures[0][3]


def test_a_pod_that_comes_after_a_failure_is_not_lost(scene):
    """It has found the mark of another one's failure and ended as cancelled; the failure is the other one's alone."""
    error = {"type": "ValueError", "message": "no", "traceback": "no"}
    scene.pod_writes("started", slot=str(scene.second), attempt=1, worker="w")
    scene.pod_writes("ended", slot=str(scene.second), attempt=1, status="failed", error=error)
    late = pod(scene.first, "Failed", "main: Error (exit code 75)") | {"outputs": {"exitCode": "75"}}
    scene.cluster.set_status(scene.name, "Failed", late)
    summary = scene.watch.look()
    assert summary.failures == [[str(scene.second), "second", "ValueError", "no"]]
    assert scene.watch.view.by_name()["fit"].status == "cancelled"


def test_a_container_that_comes_after_a_failure_is_not_lost(scene):
    """Its first container ends as cancelled, so the author's never began: the code stands in the message alone."""
    late = pod(scene.first, "Failed", "stage: Error (exit code 75)")
    scene.cluster.set_status(scene.name, "Failed", late)
    scene.watch.look()
    assert "ended" not in scene.kinds()
    assert scene.watch.view.by_name()["fit"].status == "cancelled"


def test_the_cluster_knows_what_killed_a_container(scene):
    """Whoever keeps its results sees it die and not why; that the cluster knows better is told once, with the log."""
    error = ErrorRecord(type="pyflow.errors.LostTaskError", message=KILLED, traceback=KILLED).to_wire()
    scene.pod_writes("started", slot=str(scene.first), attempt=1, worker="w")
    log = ["w", 0, 7]
    scene.pod_writes("ended", "pod-2", slot=str(scene.first), attempt=1, status="lost", error=error, log=log)
    scene.pod_writes("paused", "pod-2", slot=str(scene.first), seconds=1.0)
    scene.cluster.set_status(scene.name, "Running", pod(scene.first, "Running"))
    scene.watch.look()
    assert scene.kinds() == ["started"]
    scene.cluster.set_status(scene.name, "Failed", pod(scene.first, "Failed", "OOMKilled (exit code 137)"))
    scene.watch.look()
    assert scene.kinds() == ["started", "ended", "paused", "run-ended"]
    ended = scene.told[1]
    assert ended["log"] == log
    assert "out of memory: it reached its limit of 64 MiB" in ended["error"]["message"]


def test_a_hopeless_wait_ends_a_run_whoever_looks(scene):
    """One look after the other, each by somebody else: what they saw is written down, and so is since when."""
    waits = pod(scene.first, "Pending", 'CreateContainerConfigError: secret "x" not found')
    scene.cluster.set_status(scene.name, "Running", waits)
    for now in (1000.0, 1100.0, 1299.0):
        scene.now = lambda now=now: now
        assert scene.watcher().look() is None
    events = [event for event in read_events(scene.content, scene.run_id) if event["event"] == "waiting"]
    assert [(event["at"], event["kind"]) for event in events] == [(1000.0, "config")]
    assert ("stop", scene.name) not in scene.cluster.calls
    scene.now = lambda: 1301.0
    scene.watcher().look()
    assert ("stop", scene.name) in scene.cluster.calls


def test_a_wait_that_is_over_counts_no_more(scene):
    """It begins anew when the pod waits again, and what runs waits for nothing."""
    waits = pod(scene.first, "Pending", "ErrImagePull: no such image")
    for now, node in ((1000.0, waits), (1100.0, pod(scene.first, "Running")), (1200.0, waits), (1400.0, waits)):
        scene.now = lambda now=now: now
        scene.cluster.set_status(scene.name, "Running", node)
        scene.watcher().look()
    assert ("stop", scene.name) not in scene.cluster.calls


def test_a_wait_is_that_of_the_attempt_that_waits(scene):
    """The pod of the attempt before is over, and has nothing to say of it."""
    before = pod(scene.first, "Error", "pod deleted", attempt=1)
    waits = pod(scene.first, "Pending", "ErrImagePull: no such image", attempt=2)
    scene.cluster.set_status(scene.name, "Running", before, waits)
    at(scene, 1000.0, 1001.0, 1002.0)
    assert scene.kinds() == ["started", "ended", "waiting"]
    at(scene, 1301.0, 1302.0)
    assert scene.cluster.calls.count(("stop", scene.name)) == 1
    assert scene.kinds() == ["started", "ended", "waiting", "started", "ended"]


def test_who_may_not_write_may_look(scene, monkeypatch):
    """What there is to be written down is told all the same."""

    def refuse(*_arguments, **_more):
        raise StoreError("You may not write here.")

    scene.cluster.set_status(scene.name, "Running", pod(scene.first, "Pending", "ErrImagePull: no such image"))
    monkeypatch.setattr(scene.content.blobs, "append", refuse)
    assert scene.watch.look() is None
    assert scene.kinds() == ["waiting"]


def test_who_may_not_end_a_run_is_told_so(scene):
    """Whoever looks at a run that should end may not be allowed to end it; to look is no less possible for that."""
    scene.cluster.set_status(scene.name, "Running", pod(scene.first, "Pending", "ErrImagePull: no such image"))
    scene.watch.look()
    scene.now = lambda: 2000.0

    def refuse(_name):
        raise AccessDeniedError("You may not patch workflows.")

    scene.cluster.stop = refuse
    assert scene.watch.look() is scene.watch.look() is None
    assert [event["event"] for event in scene.told].count("trouble") == 1
    assert "You may not patch workflows." in scene.told[-1]["message"]
    assert "ended" not in scene.kinds()


def at_the_end(scene, phase, message=""):
    """The node of the pod that ends a run."""
    return {
        "id": "w-exit", "name": f"{scene.name}.onExit(0)", "type": "Pod", "templateName": "exit", "phase": phase,
        "displayName": f"{scene.name}.onExit(0)", "message": message,
    }  # fmt: skip


def test_a_cancelled_run_whose_last_pod_cannot_start_is_ended(scene):
    """It needs the same as the pods that could not start; so it is not waited for, and the run is cancelled."""
    scene.content.blobs.create(scene.content.keys.cancel(scene.run_id), b"{}")
    scene.cluster.stop(scene.name)
    stopped = pod(scene.first, "Failed", "workflow shutdown with strategy:  Stop")
    waits = at_the_end(
        scene, "Pending", "Unschedulable: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity"
    )
    scene.cluster.set_status(scene.name, "Running", stopped, waits)
    at(scene, 1000.0, 1029.0)
    assert scene.watch.view.is_cancel_requested
    assert ("terminate", scene.name) not in scene.cluster.calls
    at(scene, 1031.0)
    assert ("terminate", scene.name) in scene.cluster.calls
    scene.cluster.set_status(
        scene.name, "Failed", stopped, at_the_end(scene, "Failed", "workflow shutdown with strategy:  Terminate")
    )
    summary = scene.watch.look()
    assert (summary.status, summary.failures) == ("cancelled", [])


def test_the_last_pod_of_a_run_that_goes_on_may_wait_for_room(scene):
    """Nobody has asked for the end, and there may be room later."""
    waits = at_the_end(scene, "Pending", "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.")
    scene.cluster.set_status(scene.name, "Running", waits)
    at(scene, 1000.0, 2000.0, 9000.0)
    assert ("terminate", scene.name) not in scene.cluster.calls


def test_a_run_is_not_over_while_the_pod_that_ends_it_may_go_on(scene):
    """At the time limit of a run Argo gives that pod up while it starts, and it goes on all the same: its word is waited for."""
    late = pod(scene.first, "Failed", "Step exceeded its deadline")
    scene.cluster.set_status(scene.name, "Failed", late, at_the_end(scene, "Failed", "Step exceeded its deadline"))
    scene.cluster.workflows[scene.name]["status"]["finishedAt"] = "1970-01-01T00:16:40Z"
    scene.now = lambda: 1030.0
    assert scene.watch.look() is None
    scene.now = lambda: 1061.0
    assert scene.watch.look().failures[0][2] == "TaskTimeoutError"
