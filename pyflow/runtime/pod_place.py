"""What a pod finds where it runs: which run it belongs to, and where it tells what happens."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pyflow.contract import ErrorRecord, Home, Invocation
from pyflow.errors import ConfigError, StoreError
from pyflow.runs import Journal, RunRecord, given_text
from pyflow.runtime.cgroup import memory_limit_bytes
from pyflow.runtime.request import PARAMETERS_VARIABLE, texts_given
from pyflow.runtime.sharing import MEMORY
from pyflow.store import ContentStore
from pyflow.version import VERSION

# Kubernetes keeps no more of a termination message ("Customizing the termination message").
_MESSAGE_BYTES: Final = 4096
_TERMINATION_LOG: Final = "/dev/termination-log"
_FLUSH_S: Final = 1.0
_SOON_S: Final = 0.25
"""How long what happened is kept back: to tell of a task while it loads its code slows it down, and short ones end meanwhile."""


class PodPlace(NamedTuple):
    """One pod of one run."""

    home: Home
    graph_digest: str
    graph_size: int
    most: int
    run_id: str
    workflow: str
    namespace: str
    pod: str
    nonce: str
    given: str = ""
    """What the run was started with, if it is one of a deployed pipeline: a short line."""

    @classmethod
    def of(cls, environment: Mapping[str, str], nonce: str) -> PodPlace:
        """What the variables say that the manifest gives to each container.

        Raises:
            ConfigError: One is missing: this is no pod of a run.
        """
        try:
            word = environment["PYFLOW_POD"]
            spec = json.loads(urlsafe_b64decode(word + "=" * (-len(word) % 4)))
            texts = texts_given(environment.get(PARAMETERS_VARIABLE))
            namespace, _, workflow = environment["PYFLOW_WORKFLOW"].partition("/")
            return cls(
                home=Home.from_wire(spec),
                graph_digest=spec["graph"],
                graph_size=spec["size"],
                most=spec["most"],
                run_id=environment["PYFLOW_UID"],
                workflow=workflow,
                namespace=namespace,
                pod=environment["PYFLOW_POD_NAME"],
                nonce=nonce,
                given=given_text({name: text for name, text in texts.items() if text is not None}),
            )
        except (KeyError, ValueError) as error:
            raise ConfigError(f"This is not a pod that pyflow made: {error!r} is missing or wrong.") from error

    @property
    def writer(self) -> str:
        """The name of this container's logs: a pod may be made again under its name, and a log has one writer."""
        return f"{self.pod[-100:].lstrip('.-')}.{self.nonce}"

    def invocation(self, node: int, indices: tuple[int, ...], attempt: int) -> Invocation:
        """One slot of this run, to be run here."""
        return Invocation(
            home=self.home,
            run_id=self.run_id,
            graph_digest=self.graph_digest,
            graph_size=self.graph_size,
            node=node,
            indices=indices,
            attempt=attempt,
            nonce=self.nonce,
        )

    def record(self, pipeline: str, arguments: str) -> RunRecord:
        """The record of a run that nobody has recorded: the cluster started it by itself."""
        return RunRecord(
            run_id=self.run_id,
            pipeline=pipeline,
            executor="argo",
            graph_digest=self.graph_digest,
            graph_size=self.graph_size,
            started_at=round(time.time(), 4),
            pyflow_version=VERSION,
            python=platform.python_version(),
            host=self.pod,
            pid=0,
            pid_started="",
            arguments=arguments,
            place={"namespace": self.namespace, "workflow": self.workflow},
        )


class Reporter:
    """Writes what happens in this pod into the log of events, soon enough that its sudden death leaves traces.

    Args:
        content: The store.
        place: The pod.
        pipeline: The name of what runs, for the record of a run that nobody has recorded.
    """

    def __init__(self, content: ContentStore, place: PodPlace, pipeline: str) -> None:
        self.content = content
        self._place = place
        self._pipeline = pipeline
        self._is_recorded = False
        self._key = content.keys.events(place.run_id, place.writer)
        self._journal = self._new_journal()
        self._lock = threading.Lock()
        self._published_at = float("-inf")
        self._noted_at: float | None = None
        """When the first of what is not published happened."""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._publish_now_and_then, daemon=True)
        self._thread.start()

    def _new_journal(self) -> Journal:
        return Journal(self.content, self._place.run_id, writer=self._place.writer, is_new=True)

    def record(self) -> None:
        """See to it that the run has a record, in front of all that is told of it."""
        with self._lock:
            self._record()

    def _record(self) -> None:
        if self._is_recorded:
            return
        # Nearly always somebody has recorded it, and to look takes a third of the time of trying to write.
        is_there = self.content.blobs.info(self.content.keys.run_info(self._place.run_id)) is not None
        arguments = self.content.guard.masked(self._place.given)
        if not is_there and self._place.record(self._pipeline, arguments).create(self.content):
            first = self._new_journal()
            first.add("run-started")
            first.flush()
        self._is_recorded = True

    def note(self, event: str, **details: Any) -> None:
        """Something happened now."""
        with self._lock:
            self._journal.add(event, **details)
            self._noted_at = self._noted_at or time.monotonic()

    def publish(self) -> None:
        """Let others see all of it."""
        with self._lock:
            self._record()
            self._journal.flush()
            self.content.blobs.publish(self._key)
            self._noted_at = None
            self._published_at = time.monotonic()

    def close(self) -> None:
        """Nothing more will be told."""
        self._closed.set()
        self._thread.join()
        self.publish()

    def _publish_now_and_then(self) -> None:
        while not self._closed.wait(_SOON_S):
            noted_at = self._noted_at
            if noted_at is not None and time.monotonic() >= max(noted_at + _SOON_S, self._published_at + _FLUSH_S):
                # What is told is still held, and the end of the pod raises if it cannot be written then.
                with contextlib.suppress(StoreError):
                    self.publish()


def say_memory(path: str = _TERMINATION_LOG) -> None:
    """Let the cluster know how much memory this pod has, whatever ends it: the next attempt's depends on it."""
    limit_bytes = memory_limit_bytes()
    if limit_bytes is not None and Path(path).exists():
        Path(path).write_bytes(b"%b%dMi\n" % (MEMORY.encode(), limit_bytes >> 20))


def say_why(error: ErrorRecord, path: str = _TERMINATION_LOG) -> None:
    """Let the cluster show the end of an error, and the container's own output the whole."""
    os.write(2, error.traceback.encode(errors="backslashreplace") + b"\n")
    text = f"{error.type}: {error.message}\n{error.traceback}".encode(errors="backslashreplace")
    if Path(path).exists():
        said = Path(path).read_bytes()
        memory = said[: said.find(b"\n") + 1] if said.startswith(MEMORY.encode()) else b""
        Path(path).write_bytes((memory + text)[:_MESSAGE_BYTES])
