"""Attempts at a task in processes of their own, which are forked and so cost milliseconds: the real worker, run by a real command."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from faults.places import KEYS

from pyflow import failpoints, pipeline, task
from pyflow.artifacts import load
from pyflow.contract import Home, Invocation, Outcome
from pyflow.packing import pack
from pyflow.runtime import Session, Spool, open_home
from pyflow.runtime.commands import command_of
from pyflow.runtime.wire import Messages, send
from pyflow.runtime.worker import _Server
from pyflow.store import ContentStore

MARKER = "PYFLOW_TEST_MARKER"
RESULT = b"result" * 4000


@task
def work(size: int):
    """Tell that it ran, print, and return so many bytes, or a number."""
    with Path(os.environ[MARKER]).open("a") as marker:
        marker.write("x")
    print("working")
    return RESULT[:size] if size else 7


@pipeline
def working(size: int):
    return work(size)


@dataclass(frozen=True)
class Program:
    """A packed pipeline in a store."""

    home: Home
    content: ContentStore
    digest: str
    size_bytes: int
    value: object
    needed: frozenset[str]
    """The keys of its code and graph."""

    @classmethod
    def packed(cls, url: str, size: int) -> Program:
        """The pipeline that returns so many bytes."""
        home = Home(store_url=url, project=KEYS.project, owner=KEYS.owner)
        content = open_home(home)
        found = pack(working.trace(size), content)
        needed = frozenset(info.key for info in content.blobs.list(content.keys.blobs()))
        return cls(home, content, found.digest, found.size_bytes, RESULT[:size] if size else 7, needed)

    def forget_results(self) -> None:
        """Remove the blobs of results: what is there already is not written again, and each attempt has to make its own."""
        blobs = self.content.blobs
        if self.home.store_url.startswith("/"):
            # Runs that have ended would fill a small disk.
            blobs.delete([info.key for info in blobs.list(self.content.keys.runs())])
        blobs.delete([info.key for info in blobs.list(self.content.keys.blobs()) if info.key not in self.needed])

    def invocation(self, run_id: str, attempt: int) -> Invocation:
        """An attempt at its task."""
        return Invocation(
            home=self.home, run_id=run_id, graph_digest=self.digest, graph_size=self.size_bytes, node=0,
            attempt=attempt, nonce=os.urandom(6).hex(),
        )  # fmt: skip

    def problem(self, run_id: str, outcome: Outcome | None) -> str:
        """Why an outcome is not the one committed, right result; empty when it is."""
        if outcome is None or not outcome.is_committed:
            error = outcome and outcome.error
            return f"no result: {error.type}: {error.message}" if error else "no outcome"
        book = list(self.content.blobs.records(self.content.keys.commits(run_id)))
        held = list(self.content.commits(run_id, self.digest).all())
        if [slot for slot, _ in held] != ["0"]:
            return f"{len(held)} results are committed, in {len(book)} records"
        if json.loads(held[0][1]) != outcome.to_wire():
            return f"told {outcome.to_bytes()!r}, and committed is {held[0][1]!r}"
        if load(outcome.result, self.content) != self.value:
            return "a wrong value"
        return ""


class Attempt:
    """One attempt, which runs in a child of this process from now on."""

    def __init__(self, program: Program, run_id: str, number: int, marker: Path, *, failpoint: str = "") -> None:
        self.outcome: Outcome | None = None
        self.status = 0
        self._reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(writer)
            return
        try:
            os.close(self._reader)
            _run(program.invocation(run_id, number), f"w{number}", marker, writer, failpoint)
        finally:
            os._exit(0)

    def wait(self) -> Attempt:
        """Wait for its end; what it told is then its outcome."""
        messages = Messages(self._reader)
        while not messages.is_ended:
            for message in messages.read():
                if "outcome" in message:
                    self.outcome = Outcome.from_wire(message["outcome"])
        os.close(self._reader)
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        return self

    @property
    def was_killed(self) -> bool:
        """Whether it died at its fail point."""
        return self.status == -signal.SIGKILL


def _run(invocation: Invocation, writer_name: str, marker: Path, outcomes: int, failpoint: str) -> None:
    os.environ[MARKER] = str(marker)
    failpoints.arm(failpoint)
    folder = Path(tempfile.mkdtemp(prefix="attempt-", dir=marker.parent))
    spool = Spool(folder / "spool")
    spool.take_standard_streams()
    commands, sender = os.pipe()
    send(sender, command_of([invocation]))
    os.close(sender)
    _Server(Session(folder, spool, writer_name), commands, outcomes, -1).serve()
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def marker_file(folder: Path) -> Iterator[Path]:
    """A file to which the task adds a letter each time that it runs."""
    path = folder / f"marker-{os.urandom(6).hex()}"
    path.touch()
    yield path
    path.unlink()


def until_exists(path: Path, timeout_s: float = 20) -> bool:
    """Wait until a file is there."""
    end = time.monotonic() + timeout_s
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.001)
    return path.exists()
