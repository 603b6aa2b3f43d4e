"""The inside of the one-shot worker: a process that runs a few invocations, watched by the one that forked it.

It is asked through one pipe which of the invocations to run: a list of positions, or ``ALL``. It reads what the first of them
needs meanwhile, but runs nothing of the author's before. It tells its parent through another pipe (``wire``): ``{"begun": 1}`` when another invocation than the first begins, ``{"limit": 30.0}`` while the
function runs that may take so long, ``{"outcome": …}``, ``{"memory": bytes}`` now and then. The parent
(``supervisor``) enforces limits, and tells of what this process could not.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

from pyflow.contract import Invocation, Outcome
from pyflow.errors import IntegrityError, PyflowError, StoreError
from pyflow.jsontext import Json
from pyflow.runtime.attempts import Heartbeat, beat, leave_outcome
from pyflow.runtime.capture import Spool
from pyflow.runtime.cgroup import memory_used_bytes
from pyflow.runtime.execution import not_tried
from pyflow.runtime.program import Program
from pyflow.runtime.screen import flush_python
from pyflow.runtime.script import be_the_script
from pyflow.runtime.session import Session
from pyflow.runtime.sigterm import Ended, leave_if_asked, on_sigterm
from pyflow.runtime.usage import resident_bytes
from pyflow.runtime.wire import Messages, send

SHIP_INTERVAL_S: Final = 0.25
"""How far what is shown may lag behind what a running task prints."""
HEARTBEAT_INTERVAL_S: Final = 10.0
ALL: Final = None
"""Asks for every invocation."""


class Attendant:
    """Runs invocations in this process, one after the other.

    Args:
        program: The graph, when the parent has read it.
        folder: A private folder that exists as long as the process.
        writer: Name of the log that it writes.
        tell_fd: The pipe to the parent.
        ask_fd: The pipe from there.
    """

    def __init__(self, program: Program | None, folder: Path, writer: str, tell_fd: int, ask_fd: int) -> None:
        self._tell_fd = tell_fd
        self._ask_fd = ask_fd
        self._lock = threading.Lock()
        self._spool = Spool(folder / "spool")
        self._spool.take_standard_streams(shows=True)
        self._session = Session(
            folder,
            self._spool,
            writer,
            program=program,
            time_limit=self._time_limit,
            permit=self._permit,
        )
        self._chosen: Collection[int] | None = None
        """The positions of those that are asked for; None: nobody has asked yet."""
        self._invocations: Sequence[Invocation] = ()
        self._position = 0
        self._current: Invocation | None = None
        """The one that has begun."""

    def run(self, invocations: Sequence[Invocation]) -> None:
        """Run what is asked for of these; what did not commit is left in the store."""
        self._invocations = invocations
        threading.Thread(target=self._look_after, daemon=True).start()
        for position, invocation in enumerate(invocations):
            if self._chosen is not None and position not in self._chosen:
                continue
            self._position = position
            try:
                outcome = self._outcome(invocation)
                self._permit()
            except _NotAskedError:
                continue
            if Ended.is_asked and not outcome.is_committed:
                # The parent tells of it: what the task raised came of being asked to end.
                leave_now(0)
            self._tell({"outcome": self._left(invocation, outcome).to_wire()})
        self._current = None
        if len(self._chosen or ()) > 1:
            self._gather(invocations[0])

    def _permit(self) -> None:
        """Begin the attempt, if it is asked for; called again, do nothing.

        Raises:
            _NotAskedError: It is not.
        """
        if self._chosen is None:
            self._chosen = self._asked()
        if self._position not in self._chosen:
            raise _NotAskedError
        invocation = self._invocations[self._position]
        if self._current is not invocation:
            if self._current is not None:  # of the first the parent knows, who has just asked for it
                self._tell({"begun": self._position})
            self._current = invocation

    def _asked(self) -> Collection[int]:
        """Wait until it is known which positions are asked for; without an answer, none are."""
        asked = Messages(self._ask_fd)
        while not asked.is_ended:
            for chosen in asked.read():
                return range(len(self._invocations)) if chosen is ALL else frozenset(chosen)
        return ()

    def _outcome(self, invocation: Invocation) -> Outcome:
        try:
            return self._session.run(invocation)
        except IntegrityError as error:  # the invocation is none of this graph's
            return not_tried(invocation, error)

    def _gather(self, invocation: Invocation) -> None:
        # It is a help for those who read all of it; without it they ask more often.
        with contextlib.suppress(PyflowError):
            self._session.open(invocation.home).commits(invocation.run_id, invocation.graph_digest).gather()

    def _left(self, invocation: Invocation, outcome: Outcome) -> Outcome:
        if not outcome.is_committed:
            try:
                leave_outcome(invocation, outcome, self._session.open(invocation.home))
            except StoreError as error:
                # The exit code still tells whose fault it was.
                print(f"The outcome of {invocation.slot} could not be kept: {error}", file=sys.stderr)
        return outcome

    @contextlib.contextmanager
    def _time_limit(self, timeout_s: float | None) -> Iterator[None]:
        """Let the parent count the time within the block, and end it; one that has caught that ends here."""
        began = time.monotonic()
        self._tell({"limit": timeout_s})
        try:
            yield
        finally:
            self._tell({"limit": None})
        if timeout_s is not None and time.monotonic() - began >= timeout_s:
            leave_if_asked()

    def _look_after(self) -> None:
        """Ship what is printed, and tell how much memory there is, until the process ends."""
        beat_at = time.monotonic() + HEARTBEAT_INTERVAL_S
        while True:
            time.sleep(SHIP_INTERVAL_S)
            # A store that is away now may answer the next time; the end of the attempt asks it again, and tells.
            with contextlib.suppress(StoreError, OSError):
                self._spool.ship()
            memory = memory_used_bytes() or resident_bytes()
            with contextlib.suppress(OSError):
                self._tell({"memory": memory})
            invocation = self._current
            if invocation is not None and time.monotonic() >= beat_at:
                beat_at = time.monotonic() + HEARTBEAT_INTERVAL_S
                with contextlib.suppress(StoreError, OSError):
                    beat(invocation, Heartbeat(time.time(), memory), self._session.open(invocation.home))

    def _tell(self, message: dict[str, Json]) -> None:
        with self._lock:
            send(self._tell_fd, message)


def attend(
    invocations: Sequence[Invocation], program: Program | None, folder: Path, writer: str, tell_fd: int, ask_fd: int
) -> NoReturn:
    """Run what is asked for of these in a process that was just forked, and end it."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, on_sigterm)
    be_the_script()
    code = 1
    try:
        attendant = Attendant(program, folder, writer, tell_fd, ask_fd)
        faulthandler.enable()
        attendant.run(invocations)
        code = 0
    except BaseException as error:  # noqa: BLE001  this process is a copy of its parent, and must not go on as one
        if not Ended.is_asked:
            sys.excepthook(type(error), error, error.__traceback__)
    finally:
        leave_now(code)


def leave_now(code: int) -> NoReturn:
    """End this process as the interpreter would, but for threads that a task has left running."""
    try:
        atexit._run_exitfuncs()  # noqa: SLF001  what multiprocessing's children are ended with, too
    finally:
        flush_python()
        os._exit(code)


class _NotAskedError(BaseException):
    """Nobody has asked for this attempt: no error of a task's, which whoever runs it would tell."""
