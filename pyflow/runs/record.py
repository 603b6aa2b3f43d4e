"""What is written of a run as a whole: ``run.json`` when it starts, ``summary.json`` when it has ended."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeVar

from pyflow.errors import EnvironmentMismatchError, IntegrityError, NotFoundError
from pyflow.jsontext import Json, dump_lines
from pyflow.runs.state import ENDED, Status
from pyflow.store import ContentStore, about, advice

RECORD_VERSION: Final = 1
_MOST_BYTES: Final = 16 * 1024 * 1024
"""Of a record; what is longer is none, and is not read into memory."""

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
    """Where a run goes on that no process of the caller drives: on a cluster the namespace, the workflow's name, and
    how large it was expected to get."""
    _stored: bytes = field(default=b"", init=False, repr=False, compare=False)
    """As it lies in the store, with its signature."""

    @classmethod
    def read(cls, content: ContentStore, run_id: str) -> RunRecord:
        """The record of a run.

        Raises:
            NotFoundError: The store has no such run.
        """
        try:
            data = bytes(content.blobs.read(content.keys.run_info(run_id), 0, _MOST_BYTES))
        except NotFoundError as error:
            raise NotFoundError(
                f"The store {content.blobs.url} has no run {run_id!r} of {content.keys.owner!r} in project "
                f"{content.keys.project!r}. 'pyflow ls' lists what it has."
            ) from error
        record = _read(cls, data, content.keys.run_info(run_id))
        if record.run_id != run_id:
            raise _damaged(content.keys.run_info(run_id), f"it is that of run {record.run_id[:200]!r}")
        object.__setattr__(record, "_stored", data)
        return record

    @property
    def where(self) -> str:
        """Where it goes on without its caller, in words; empty when it does not."""
        if not self.place:
            return ""
        estimate = self.place.get("estimate")
        return f"workflow {self.place['workflow']} in namespace {self.place['namespace']}" + (
            f": {estimate}" if estimate else ""
        )

    def write(self, content: ContentStore) -> None:
        """Keep the record, signed; a run id is used once.

        Raises:
            ConfigError: There is no key to sign with, and none can be made.
        """
        if not self.create(content):
            raise NotFoundError(f"There is a run {self.run_id!r} already.")

    @property
    def is_kept(self) -> bool:
        """Whether it lies in a store; a cluster that has started a run by itself tells of it before there is a record."""
        return bool(self._stored)

    def check(self, content: ContentStore) -> None:
        """Make sure that somebody with a key wrote it: it names the graph, and that names code.

        To look at a run takes no more than its record; to load what it made, or to run it, takes this.

        Raises:
            IntegrityError: Nobody of those did; the message names run and key.
        """
        why = self.objection(content)
        if why:
            raise IntegrityError(
                f"The record of run {self.run_id} ({content.keys.run_info(self.run_id)}) in {content.blobs.url} is not believed: {why}. "
                + advice(content.blobs.url)
            )

    def objection(self, content: ContentStore) -> str:
        """Why it is not believed, in words; empty when it is."""
        return content.trust.objection(about("run", self.run_id), self._stored)

    def create(self, content: ContentStore) -> bool:
        """Keep the record unless there is one; False when there is: on a cluster the caller and the pods all try."""
        data = content.trust.seal(about("run", self.run_id), dump_lines(_to_wire(self)).encode())
        object.__setattr__(self, "_stored", data)
        return content.blobs.create(content.keys.run_info(self.run_id), data)


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
            data = bytes(content.blobs.read(content.keys.summary(run_id), 0, _MOST_BYTES))
        except NotFoundError:
            return None
        return _read(cls, data, content.keys.summary(run_id))

    def write(self, content: ContentStore) -> None:
        """Keep the summary, signed. Nothing is loaded on its word, so only who verifies a store looks at the signature."""
        data = content.trust.seal(about("summary", self.run_id), json.dumps(_to_wire(self)).encode())
        content.blobs.put(content.keys.summary(self.run_id), [data])


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


R = TypeVar("R", RunRecord, RunSummary)

_TYPES: Final[dict[str, tuple[type, ...]]] = {"str": (str,), "Status": (str,), "int": (int,), "float": (int, float)}


def _to_wire(record: RunRecord | RunSummary) -> dict[str, Any]:
    wire = {"version": RECORD_VERSION, **{f.name: getattr(record, f.name) for f in fields(record) if f.init}}
    if not wire.get("place", True):
        del wire["place"]
    return wire


def _read(cls: type[R], data: bytes, key: str) -> R:
    """A record from its JSON text, whoever wrote that."""
    try:
        wire: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(key, f"it is not JSON: {error}") from error
    if not isinstance(wire, dict):
        raise _damaged(key, "it is not a JSON object")
    wire.pop("sig", None)
    if wire.pop("version", None) != RECORD_VERSION:
        raise EnvironmentMismatchError(f"The record {key!r} has a format that this pyflow does not read.")
    for f in fields(cls):
        if f.init and f.name in wire and not isinstance(wire[f.name], _TYPES.get(str(f.type), (object,))):
            raise _damaged(key, f"it has {str(wire[f.name])[:100]!r} for {f.name!r}")
    if cls is RunSummary and wire.get("status") not in ENDED:
        raise _damaged(key, f"it says that the run ended as {str(wire.get('status'))[:100]!r}")
    try:
        return cls(**wire)
    except TypeError as error:
        raise _damaged(key, f"it has other fields than it must: {error}") from error


def _damaged(key: str, why: str) -> IntegrityError:
    return IntegrityError(f"The record {key!r} is damaged: {why}. 'pyflow verify' lists all that is wrong in a store.")


def given_text(texts: Mapping[str, str]) -> str:
    """The parameters of a run that were typed, as one short line."""
    return ", ".join(f"{name}={text[:40]}" for name, text in texts.items())[:200]


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
    """When a process began, in the kernel's own count since boot; empty when there is none, or one that waits to be buried."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # The command, in brackets, may hold anything; behind it come field 3 of proc(5), the state, and 22, the time.
            fields = stat.read().rpartition(b")")[2].split()
        return "" if fields[0] in {b"Z", b"X"} else fields[19].decode()
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
