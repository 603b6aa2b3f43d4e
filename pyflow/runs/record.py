"""What is written of a run as a whole: ``run.json`` when it starts, ``summary.json`` when it has ended."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from pyflow.errors import EnvironmentMismatchError, NotFoundError
from pyflow.jsontext import Json
from pyflow.runs.state import Status
from pyflow.store import ContentStore

RECORD_VERSION: Final = 1
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What was started, when, by whom and where."""

    run_id: str
    pipeline: str
    executor: str
    graph_digest: str
    graph_size: int
    started_at: float
    """Seconds since 1970, UTC."""
    pyflow_version: str
    python: str
    host: str
    pid: int
    pid_started: str
    """Tells this process from a later one with the same number."""
    arguments: str = ""
    """The call, shortened, for listings."""
    place: dict[str, str] = field(default_factory=dict)
    """Where a run goes on that no process of the caller drives: on a cluster the namespace and the workflow's name."""

    @classmethod
    def read(cls, content: ContentStore, run_id: str) -> RunRecord:
        """The record of a run.

        Raises:
            NotFoundError: The store has no such run.
        """
        try:
            data = content.blobs.get(content.keys.run_info(run_id))
        except NotFoundError as error:
            raise NotFoundError(
                f"The store {content.blobs.url} has no run {run_id!r} of {content.keys.owner!r} in project "
                f"{content.keys.project!r}. 'pyflow ls' lists what it has."
            ) from error
        return cls(**_checked(data))

    def write(self, content: ContentStore) -> None:
        """Keep the record; a run id is used once."""
        if not self.create(content):
            raise NotFoundError(f"There is a run {self.run_id!r} already.")

    def create(self, content: ContentStore) -> bool:
        """Keep the record unless there is one; False when there is: on a cluster the caller and the pods all try."""
        wire = {"version": RECORD_VERSION, **asdict(self)}
        if not self.place:
            del wire["place"]
        return content.blobs.create(content.keys.run_info(self.run_id), json.dumps(wire, indent=1).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """How a run ended."""

    run_id: str
    status: Status
    ended_at: float
    duration_s: float
    counts: dict[str, int] = field(default_factory=dict)
    """How many slots ended in which state."""
    failures: list[Json] = field(default_factory=list)
    """``[slot, name, type, message]`` of the first failures, in the order of the trace."""

    @classmethod
    def read(cls, content: ContentStore, run_id: str) -> RunSummary | None:
        """The summary of a run that has ended; None for one that has not."""
        try:
            data = content.blobs.get(content.keys.summary(run_id))
        except NotFoundError:
            return None
        return cls(**_checked(data))

    def write(self, content: ContentStore) -> None:
        """Keep the summary."""
        content.blobs.put(
            content.keys.summary(self.run_id), [json.dumps({"version": RECORD_VERSION, **asdict(self)}).encode()]
        )


@dataclass(frozen=True, kw_only=True)
class ExitOutcome:
    """What an exit handler gets: how the run ended."""

    run_id: str
    pipeline: str
    status: Status
    """``succeeded``, ``failed`` or ``cancelled``."""
    duration_s: float
    failures: tuple[tuple[str, str, str], ...] = ()
    """Node, type of the error and its message, for each failure, in the order of the trace."""


def _checked(data: bytes) -> dict[str, Any]:
    wire: dict[str, Any] = json.loads(data)
    if wire.pop("version", None) != RECORD_VERSION:
        raise EnvironmentMismatchError("The record of a run has a format that this pyflow does not read.")
    return wire


def new_run_id(pipeline: str, now: float) -> str:
    """An id that sorts by time, tells the pipeline, and is used once: ``20261123-173012-train-k3f9xa``.

    It may be a DNS label (RFC 1035: 63 characters), as names in clusters must.
    """
    letters = [c if c.isascii() and c.isalnum() else "-" for c in pipeline.lower()]
    slug = "".join(letters).strip("-")[:30].strip("-") or "run"
    nonce = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in os.urandom(6))
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{slug}-{nonce}"


def this_host() -> str:
    """Name of this machine."""
    return os.uname().nodename


def process_started(pid: int) -> str:
    """When a process began, in the kernel's own count since boot; empty when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # The command, in brackets, may hold anything; field 22 of proc(5) is the 20th after it.
            return stat.read().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return _alive_without_proc(pid)


def _alive_without_proc(pid: int) -> str:
    if os.path.isdir("/proc/self"):
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "alive"
    return "alive"


def is_caller_alive(record: RunRecord) -> bool | None:
    """Whether the process that started a run still exists; None when this machine cannot tell, or it does not matter."""
    if record.place or record.host != this_host():
        return None
    return process_started(record.pid) == record.pid_started
