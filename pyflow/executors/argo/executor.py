"""The executor ``argo``: hands a packed graph to a cluster as a workflow, and follows it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final, Protocol

from pyflow.contract import ErrorRecord, ExitCode, Home
from pyflow.errors import ExecutorError
from pyflow.executors.argo.cluster import Cluster, Kind
from pyflow.executors.argo.deployment import deployed_of, on_trial, schedule_of, template_of
from pyflow.executors.argo.diagnosis import findings
from pyflow.executors.argo.estimate import ESTIMATE
from pyflow.executors.argo.failure import MissingError
from pyflow.executors.argo.opening import open_cluster
from pyflow.executors.argo.place import check_reachable
from pyflow.executors.argo.settings import ArgoSettings
from pyflow.executors.argo.unrecorded import unrecorded
from pyflow.executors.argo.verified import verified
from pyflow.executors.argo.versions import version_of
from pyflow.executors.argo.watch import Followed, Watch, counts_of
from pyflow.executors.driver import Ending, Failure, Job
from pyflow.executors.interrupts import Interrupts, counted_interrupts
from pyflow.executors.remote import Begun, Deployed, Finding
from pyflow.executors.support import check_options
from pyflow.jsontext import Json
from pyflow.packed import PackedContainer, PackedGraph
from pyflow.runs import Event, RunRecord, RunSummary, RunView, Status, slot_name
from pyflow.store import ContentStore

_TICK_S: Final = 0.25
_KINDS: Final[tuple[Kind, ...]] = ("CronWorkflow", "WorkflowTemplate")


class MakeWorkflow(Protocol):
    """Makes the manifest of a job."""

    def __call__(self, job: Job, settings: ArgoSettings) -> Mapping[str, Json]:
        """A workflow as plain JSON, with a name or the beginning of one."""


class ArgoExecutor:
    """Tasks run in pods, scheduled by Argo Workflows.

    Args:
        settings: Where the cluster is.
        make: Makes the manifest.
        cluster: The way to the cluster; None: as the settings say.
        ask: What to do with a run when Ctrl-C is pressed: ``cancel`` or ``detach``.
    """

    name = "argo"

    def __init__(
        self,
        settings: ArgoSettings,
        make: MakeWorkflow,
        *,
        cluster: Cluster | None = None,
        ask: Callable[[str], str] = lambda _run_id: "detach",
    ) -> None:
        self._settings = settings
        self._make = make
        self._cluster = cluster or open_cluster(settings)
        self._ask = ask
        self._asked: dict[str, Watch] = {}
        """Of runs whose state somebody asks for, those that go on: what was read of one is not read again."""
        self._lock = threading.Lock()

    def check(self, graph: PackedGraph) -> None:
        """Refuse what cannot be honoured, before anything runs."""
        check_options(graph, self.name)

    def compile(self, job: Job) -> dict[str, Json]:
        """The manifest, without asking the cluster for anything."""
        return dict(self._make(job, self._settings))

    def begin(self, job: Job) -> Begun:
        """Submit the workflow; its uid is the run's id.

        Raises:
            ExecutorError: The cluster does not take it, or pods cannot work with the store.
        """
        check_store(job.content, job.home.store_url)
        check_key(self._settings, trusts_store=job.content.trust.trusts_store)
        return _begun(self._cluster.create(self._make(job, self._settings_there(job.graph))))

    def run(self, job: Job) -> Ending:
        """Follow the run to its end, or until Ctrl-C leaves it alone."""
        record = RunRecord.read(job.content, job.run_id)

        def tell(event: Event) -> None:
            for watcher in job.watchers:
                watcher.on_event(event)

        watch = self._watch(record, job.graph, job.content, tell)
        watch.begin()
        with counted_interrupts() as interrupts:
            return self._follow(watch, job, record, interrupts)

    def status(self, record: RunRecord, content: ContentStore) -> Status:
        """How a run without a summary is; one that has ended without is given its summary now."""
        with self._lock:
            watch = self._asked.get(record.run_id)
            if watch is None:
                graph = PackedGraph.from_bytes(content.read_blob(record.graph_digest, record.graph_size))
                watch = self._asked[record.run_id] = self._watch(record, graph, content)
            summary = watch.look()
            if summary is not None:
                del self._asked[record.run_id]
                return summary.status
        return "running" if watch.view.status == "running" else "pending"

    def trouble(self, record: RunRecord) -> str:
        """Why the status that was given last may not be all that there is to say."""
        watch = self._asked.get(record.run_id)
        return "" if watch is None else watch.trouble

    def unrecorded(self, run_id: str, home: Home, content: ContentStore) -> RunRecord | None:
        """The record of a workflow that something else has started, and that no pod has recorded yet."""
        return unrecorded(self._cluster, run_id, home, content)

    def cancel(self, record: RunRecord) -> None:
        """Stop the workflow, so that its exit handler still runs."""
        self._cluster.stop(record.place["workflow"])

    def deploy(self, job: Job, deployed: Deployed) -> Deployed:
        """Keep the workflow of a job as a template, with a schedule if there is one; those of that name are replaced, both or neither."""
        check_store(job.content, job.home.store_url)
        check_key(self._settings, trusts_store=job.content.trust.trusts_store)
        home = {name: str(value) for name, value in job.home.to_wire().items()}
        done = replace(deployed, graph_digest=job.graph_digest, graph_size=job.graph_size, home=home)
        made = self._make(job, self._settings_there(job.graph))
        template = verified(template_of(dict(made), done))
        schedule = None if done.schedule is None else verified(schedule_of(done))
        if schedule is not None:
            self._cluster.lint(on_trial(schedule, template))
        before = self._kept("WorkflowTemplate", done.name)
        self._cluster.apply("WorkflowTemplate", template)
        try:
            if schedule is not None:
                self._cluster.apply("CronWorkflow", schedule)
            else:
                self._remove("CronWorkflow", done.name)
        except BaseException:
            self._put_back("WorkflowTemplate", done.name, before)
            raise
        return done

    def deployed(self, name: str) -> Deployed:
        """What is kept under a name."""
        return deployed_of(self._cluster.read("WorkflowTemplate", name))

    def start(self, deployed: Deployed, parameters: Mapping[str, str]) -> Begun:
        """Start a run of what is kept."""
        return _begun(self._cluster.start(deployed.name, parameters))

    def undeploy(self, deployed: Deployed) -> None:
        """Keep it no longer."""
        for kind in _KINDS:
            self._remove(kind, deployed.name)

    def _settings_there(self, graph: PackedGraph) -> ArgoSettings:
        """The settings, with the server's version as the target where it matters and nobody has said one."""
        if self._settings.target is not None or not any(isinstance(node, PackedContainer) for node in graph.walk()):
            return self._settings
        found = self._cluster.version()
        # The Kubernetes API tells its own version, which says nothing of Argo's.
        return replace(self._settings, target=found) if version_of(found) is not None else self._settings

    def _remove(self, kind: Kind, name: str) -> None:
        with contextlib.suppress(MissingError):
            self._cluster.remove(kind, name)

    def _kept(self, kind: Kind, name: str) -> Json:
        """What the cluster keeps under a name; None for nothing."""
        try:
            return self._cluster.read(kind, name)
        except MissingError:
            return None

    def _put_back(self, kind: Kind, name: str, before: Json) -> None:
        """Let the cluster keep again what it kept before."""
        if before is None:
            self._remove(kind, name)
        else:
            self._cluster.apply(kind, before)

    def findings(self) -> Iterator[Finding]:
        """What the cluster says of itself and of who asks."""
        return findings(self._cluster, self._settings)

    def _watch(
        self,
        record: RunRecord,
        graph: PackedGraph,
        content: ContentStore,
        tell: Callable[[Event], None] = lambda _: None,
    ) -> Watch:
        followed = Followed(record.run_id, record.place["workflow"], record.started_at, graph)
        return Watch(followed, content, self._cluster, tell)

    def _follow(self, watch: Watch, job: Job, record: RunRecord, interrupts: Interrupts) -> Ending:
        answered, is_cancelled = 0, False
        while (summary := watch.look()) is None:
            if interrupts.count > answered:
                answered = interrupts.count
                if is_cancelled or self._ask(job.run_id) != "cancel":
                    return Ending(is_interrupted=True, is_detached=True)
                is_cancelled = True
                job.content.blobs.create(job.content.keys.cancel(job.run_id), b"{}")
                self.cancel(record)
            for watcher in job.watchers:
                watcher.on_tick()
            time.sleep(_TICK_S)
        ending = ending_of(summary, watch.view)
        ending.is_interrupted = is_cancelled
        return ending


def _begun(made: Json) -> Begun:
    metadata = made["metadata"]
    place = {"namespace": metadata["namespace"], "workflow": metadata["name"]}
    # One that a template or a clock has started carries none.
    estimate = (metadata.get("annotations") or {}).get(ESTIMATE)
    return Begun(metadata["uid"], place if estimate is None else {**place, "estimate": estimate})


def check_store(content: ContentStore, url: str) -> None:
    """Refuse a store that pods cannot reach, or in which two attempts could both commit.

    Raises:
        ConfigError: Pods cannot reach it.
        ExecutorError: Two attempts could both commit.
    """
    check_reachable(url)
    has_create_only: Callable[[], bool] = getattr(content.blobs, "has_create_only", lambda: True)
    if not has_create_only():
        raise ExecutorError(
            f"The store {url} does not honour create-only writes (If-None-Match: *), so two attempts at one task could both commit. "
            "Executor 'argo' refuses it: use a store that does (docs/s3.md lists some)."
        )


def check_key(settings: ArgoSettings, *, trusts_store: bool) -> None:
    """Refuse to work without the key that results are signed with, unless the site trusts its bucket.

    Raises:
        ExecutorError: No Secret with it is named.
    """
    if settings.key_secret is None and not settings.trust_bucket and not trusts_store:
        raise ExecutorError(
            "Executor 'argo' needs the key that results are signed with, for whoever can write to the bucket could forge them. "
            "'pyflow argo setup | kubectl apply -f -' makes a Secret of yours; name it by argo={'key_secret': 'pyflow-key'}. "
            "A site that trusts its bucket says argo={'trust_bucket': True}."
        )


def ending_of(summary: RunSummary, view: RunView) -> Ending:
    """What the summary and the events of a run that has ended say."""
    names = {node.id: node.name for node in view.nodes.values()}
    failures = []
    for node in view.nodes.values():
        for slot in node.slots.values():
            if slot.status not in {"failed", "lost"} or not slot.error:
                continue
            attempt = slot.attempts[-1] if slot.attempts else None
            failures.append(
                Failure(
                    slot.slot,
                    slot_name(node, slot.slot, names),
                    attempt.number if attempt else 0,
                    ErrorRecord(**slot.error),
                    int(ExitCode.TASK_RAISED),
                    is_lost=slot.status == "lost",
                    log=attempt.log if attempt else None,
                )
            )
    return Ending(
        is_success=summary.status == "succeeded",
        is_cancelled=summary.status == "cancelled",
        failures=failures,
        counts=summary.counts or counts_of(view),
    )
