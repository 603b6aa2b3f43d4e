"""A worker of the local pool: a process of its own that runs what it is sent, until nobody sends any more.

    python -c "from pyflow.runtime.worker import main; main()" FOLDER WRITER COMMANDS_FD OUTCOMES_FD LIFELINE_FD BACKLOG_FD

Commands and outcomes are messages (``wire.py``). The backlog is a pipe of single commands that all workers of
a pool read from: whoever is free takes one, and says so together with what it has just finished. The lifeline is a pipe that nobody writes to: when its
other end closes, the process that started this one is gone, and this one goes too, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from pyflow.contract import Invocation, Outcome, is_chain
from pyflow.failpoints import reached
from pyflow.runtime.capture import Spool
from pyflow.runtime.commands import PACKET_BYTES, invocation_in, invocations_of
from pyflow.runtime.failure import RUN_HERE
from pyflow.runtime.script import be_the_script
from pyflow.runtime.session import Session
from pyflow.runtime.sigterm import Ended, leave_if_asked, on_sigterm
from pyflow.runtime.wire import Messages, send_text

WORKER_ARGV: Final = "pyflow-worker"
"""What a worker calls itself."""

SHIP_INTERVAL_S: Final = 1.0
"""How far the log in the store may lag behind what a running task prints."""


def main() -> None:
    """Run until the commands end."""
    folder, writer = Path(sys.argv[1]), sys.argv[2]
    commands_fd, outcomes_fd, lifeline_fd, backlog_fd = map(int, sys.argv[3:7])
    for fd in (commands_fd, outcomes_fd, lifeline_fd, *([backlog_fd] if backlog_fd >= 0 else [])):
        os.set_inheritable(fd, False)  # noqa: FBT003  the parameter has no name
    # The author's code may put anything on sys.path[0] of a script; here it is the working folder, and
    # local code must come from the bundle alone.
    sys.path[:] = [entry for entry in sys.path if entry not in {"", os.getcwd()}]
    sys.argv[:] = [WORKER_ARGV]
    be_the_script()
    spool = Spool(folder / "spool")
    spool.take_standard_streams()
    # A segmentation fault then leaves a traceback in the log.
    faulthandler.enable()
    signal.signal(signal.SIGTERM, on_sigterm)
    if not os.environ.get("PYTHONBREAKPOINT"):
        sys.breakpointhook = _no_debugger
    threading.Thread(target=_watch, args=(lifeline_fd, spool), daemon=True).start()
    session = Session(folder, spool, writer, starts_once=True, time_limit=_time_limit)
    _Server(session, commands_fd, outcomes_fd, backlog_fd).serve()


class _Told:
    """What came of an invocation, as the inside of a JSON object, until it is sent."""

    __slots__ = ("fields", "is_clean", "is_committed")

    def __init__(self, outcome: Outcome, *, is_clean: bool) -> None:
        # What was committed is sent as it is: making JSON of it again would be a tenth of a small task's cost.
        self.fields = b'"outcome":%b,"clean":%b' % (outcome.to_bytes(), b"true" if is_clean else b"false")
        self.is_clean = is_clean
        self.is_committed = outcome.is_committed


class _Server:
    """Takes commands where there are some, and tells what came of them."""

    def __init__(self, session: Session, commands_fd: int, outcomes_fd: int, backlog_fd: int) -> None:
        self._session = session
        self._commands = Messages(commands_fd)
        self._outcomes_fd = outcomes_fd
        self._backlog_fd = backlog_fd
        self._poll = select.poll()
        for fd in (commands_fd, backlog_fd):
            if fd >= 0:
                self._poll.register(fd, select.POLLIN | select.POLLHUP)
        self._commands_fd = commands_fd
        self._commands_poll = select.poll()
        self._commands_poll.register(commands_fd, select.POLLIN)

    def serve(self) -> None:
        """Run commands until there will be no more."""
        send_text(self._outcomes_fd, b'{"ready":true}')
        told: _Told | None = None
        while not self._commands.is_ended:
            if told is not None and not told.is_clean:
                self._leave_backlog()
            # What it was given itself comes first: whoever gave it counts its time.
            has_commands = bool(self._commands_poll.poll(0))
            invocation = None if has_commands else self._take_from_backlog()
            if invocation is not None:
                taken = b'"taken":["%b",%d]' % (invocation.slot.encode(), invocation.attempt)
                send_text(self._outcomes_fd, b"{%b}" % taken if told is None else b"{%b,%b}" % (told.fields, taken))
                told = self._run([invocation])
                continue
            if told is not None:
                self._tell(told)
                told = None
            if any(fd == self._commands_fd for fd, _ in self._poll.poll()):
                told = self._run_all(self._commands.read())

    def _tell(self, told: _Told) -> None:
        reached("told.before")
        send_text(self._outcomes_fd, b"{%b}" % told.fields)
        reached("told.after")

    def _run_all(self, commands: list[dict[str, Any]]) -> _Told | None:
        """Run these, and tell of all but the last, which waits for what is taken next."""
        told = None
        for command in commands:
            if "drop" in command:
                continue  # the chain that is meant has ended meanwhile
            if told is not None:
                self._tell(told)
            told = self._run(invocations_of(command))
        return told

    def _run(self, invocations: list[Invocation]) -> _Told | None:
        told = None
        is_a_chain = is_chain(invocations)
        for invocation in invocations:
            if told is not None:
                if is_a_chain and not told.is_committed:
                    break
                if is_a_chain and self._gives_back(told, invocations[0].nonce):
                    # In one message, so that the driver never takes the next one for begun.
                    send_text(self._outcomes_fd, b'{%b,"dropped":"%b"}' % (told.fields, invocations[0].nonce.encode()))
                    return None
                self._tell(told)
            outcome = self._session.run(invocation)
            if Ended.is_asked and not outcome.is_committed:
                _end_as_asked()
            told = _Told(outcome, is_clean=_is_clean())
        return told

    def _gives_back(self, told: _Told, chain: str) -> bool:
        """Whether the rest of a chain was asked back, or is not to run beside what a task left."""
        is_asked = bool(self._commands_poll.poll(0)) and any(c.get("drop") == chain for c in self._commands.read())
        return is_asked or not told.is_clean

    def _leave_backlog(self) -> None:
        """Take no more: a task has left something behind, so others are not to run here."""
        if self._backlog_fd >= 0:
            self._poll.unregister(self._backlog_fd)
            self._backlog_fd = -1

    def _take_from_backlog(self) -> Invocation | None:
        if self._backlog_fd < 0:
            return None
        try:
            packet = os.read(self._backlog_fd, PACKET_BYTES)
        except BlockingIOError:
            return None
        return invocation_in(packet) if packet else None


def _is_clean() -> bool:
    """Whether the task left no thread and no child process behind."""
    if threading.active_count() > _OWN_THREADS:
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


# The main thread and the one that watches the lifeline.
_OWN_THREADS: Final = 2


def importing_module() -> str | None:
    """In a worker: the file whose import is under way, if there is one. Elsewhere None."""
    if sys.argv[:1] != [WORKER_ARGV]:
        return None
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  the one way to look for callers
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__":
            # Its name alone: the author knows it by another folder.
            return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def _watch(lifeline_fd: int, spool: Spool) -> NoReturn:
    poll = select.poll()
    poll.register(lifeline_fd, select.POLLIN | select.POLLHUP)
    parent = os.getppid()
    while not poll.poll(SHIP_INTERVAL_S * 1000) and os.getppid() == parent:
        spool.ship()
    # This process leads its session, so the task's own children are in its group.
    os.killpg(os.getpgid(0), signal.SIGKILL)
    raise SystemExit


def _no_debugger(*_args: object, **_kwargs: object) -> NoReturn:
    """What ``breakpoint()`` does, unless ``PYTHONBREAKPOINT`` says otherwise: nobody could type to a debugger here."""
    raise RuntimeError(f"breakpoint() was called in a worker process, which has no terminal. {RUN_HERE}")


@contextlib.contextmanager
def _time_limit(timeout_s: float | None) -> Iterator[None]:
    """Let the block count as ended when it was asked to end and came to an end by itself: it has caught that.

    Whoever has sent this process what it runs counts the time.
    """
    yield
    if timeout_s is not None:
        leave_if_asked()


def _end_as_asked() -> None:
    """End by the signal itself, so that whoever waits for this process learns what ended it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
