"""The outside of the one-shot worker: the first process of a container, which lasts longer than the task.

It forks the process that runs the author's code (``oneshot``), counts its time, ends it with all that it has
started, reaps what nobody else does, and writes down what came of an attempt that could not tell itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyflow.contract import RETRYABLE, ExitCode, Invocation, LogSpan, Outcome
from pyflow.errors import ConfigError, PyflowError, StoreError
from pyflow.late import late
from pyflow.packed import PackedCall, PackedContainer, PackedGraph
from pyflow.runtime.attempts import (
    CANCELLED,
    LOST,
    OUT_OF_MEMORY,
    TIMED_OUT,
    leave_outcome,
    lost_outcome,
    out_of_memory_reason,
)
from pyflow.runtime.cgroup import memory_limit_bytes, oom_kills
from pyflow.runtime.oneshot import ALL, attend
from pyflow.runtime.processes import signal_tree, what_ended
from pyflow.runtime.program import Program
from pyflow.runtime.request import RUN_LIMIT, writer_of
from pyflow.runtime.session import open_home
from pyflow.runtime.wire import Messages, send
from pyflow.secrecy import Masker, SecretFinder
from pyflow.store import ContentStore

if TYPE_CHECKING:
    import shutil
else:
    shutil = late("shutil")

GRACE_S: Final = 5.0
"""How long a task may clean up when it is ended."""
_EXIT_S: Final = 10.0
"""How long a process may take to exit when all that it was to run has been told."""
_CLOCKS_S: Final = 2.0
"""How much the clocks of two machines may differ; the beginning is known to the second."""
_LATE_S: Final = 60.0
"""How late a limit may be enforced. Later an end has another reason: a run may be tried again as a whole, and its clock with it."""
_SIGNALLED: Final = 128
"""Added to a signal's number it is an exit code, as shells have it."""


def run_once(
    invocations: Sequence[Invocation],
    *,
    program: Program | None = None,
    choose: Callable[[], list[int]] | None = None,
    on_begun: Callable[[Invocation, str], None] = lambda _invocation, _writer: None,
    on_ended: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Run these, one after the other, in processes of their own; what came of each.

    An outcome that is not committed lies in the store as well, see ``attempts``.

    Args:
        invocations: All of one run.
        program: Its graph, when it is here already.
        choose: Finds out which of them are to be run at all, by their positions, while the process for them reads
            what it needs; None: all. What it raises is raised here, and nothing has run.
        on_begun: Is told when one of them begins, and the name of the log that it writes.
        on_ended: Is told what came of it, at once.
    """
    # By hand: each container would wait until ``tempfile`` and what that needs is loaded.
    folder = Path(os.environ.get("TMPDIR") or "/tmp", f"pyflow-{os.urandom(6).hex()}")  # noqa: S108  private, and new
    folder.mkdir(mode=0o700)
    try:
        with _wake_up_calls() as wake_fd:
            return _Supervisor(invocations, program, folder, wake_fd, on_begun, on_ended).run(choose)
    finally:
        if os.getpid() != 1:  # else it goes with its container
            shutil.rmtree(folder, ignore_errors=True)


def exit_code_of(outcomes: Sequence[Outcome]) -> int:
    """0 when all of them hold; else the first code after which another attempt may help, or the first at all."""
    codes = [outcome.exit_code for outcome in outcomes if not outcome.is_committed]
    worth_it = [code for code in codes if code in RETRYABLE or code > _SIGNALLED]
    return (worth_it or codes or [int(ExitCode.COMMITTED)])[0]


class _Supervisor:
    """The invocations that are still to run, and the process that runs them."""

    def __init__(
        self,
        invocations: Sequence[Invocation],
        program: Program | None,
        folder: Path,
        wake_fd: int,
        on_begun: Callable[[Invocation, str], None],
        on_ended: Callable[[Outcome], None],
    ) -> None:
        self._invocations = list(invocations)
        self._program = program
        self._on_begun = on_begun
        self._on_ended = on_ended
        self._folder = folder
        self._wake_fd = wake_fd
        self._writer = ""
        """Name of the log of the process that runs now, and where the last that is known to have ended does so in it."""
        self._log_end = 0
        self._outcomes: list[Outcome] = []
        self._is_asked_to_end = False

    def run(self, choose: Callable[[], list[int]] | None) -> list[Outcome]:
        while len(self._outcomes) < len(self._invocations):
            child = self._fork()
            chosen = ALL if choose is None else self._chosen(choose, child)
            choose = None
            if not self._invocations:
                break
            child.ask(chosen)
            self._begun()
            ended = child.watch(self._note, self._begun)
            self._is_asked_to_end = self._is_asked_to_end or child.is_asked_to_end
            if len(self._outcomes) < len(self._invocations):
                self._note(self._lost(child, ended))
                if self._is_asked_to_end:
                    break
        return self._outcomes

    def _chosen(self, choose: Callable[[], list[int]], child: _Child) -> list[int] | None:
        """What to ask the process for, which gets ready for all of it meanwhile; the rest is left out from now on."""
        chosen: list[int] = []
        try:
            chosen = choose()
        finally:
            if not chosen:
                child.dismiss()
        every = self._invocations
        self._invocations = [every[position] for position in chosen]
        return chosen if len(chosen) < len(every) else ALL

    def _fork(self) -> _Child:
        """A process for all that has not ended yet."""
        rest = self._invocations[len(self._outcomes) :]
        # A log has one writer, who alone knows where it ends: each process has one of its own.
        self._writer, self._log_end = writer_of(rest), 0
        folder = self._folder / str(len(self._outcomes))
        folder.mkdir()
        tell, ask = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(tell[0])
            os.close(ask[1])
            attend(rest, self._program, folder, self._writer, tell[1], ask[0])
        os.close(tell[1])
        os.close(ask[0])
        return _Child(pid, tell[0], ask[1], self._wake_fd, folder / "spool")

    def _begun(self) -> None:
        self._on_begun(self._invocations[len(self._outcomes)], self._writer)

    def _note(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        self._on_ended(outcome)
        if outcome.log is not None and outcome.log.writer == self._writer:
            self._log_end = outcome.log.end

    def _lost(self, child: _Child, return_code: int) -> Outcome:
        """The outcome of what ran when the process ended."""
        invocation = self._invocations[len(self._outcomes)]
        content = open_home(invocation.home)
        log = _keep_rest_of_log(invocation, content, self._writer, self._log_end, child.spool)
        kind, reason, exit_code = self._why(child, return_code, invocation, content)
        outcome = lost_outcome(
            invocation,
            kind=kind,
            reason=reason,
            exit_code=exit_code,
            started_at=child.begun_at,
            log=log,
            peak_memory_bytes=child.most_memory,
        )
        try:
            leave_outcome(invocation, outcome, content)
        except StoreError as error:
            print(f"The outcome of {invocation.slot} could not be kept: {error}", file=sys.stderr)
        return outcome

    def _why(
        self, child: _Child, return_code: int, invocation: Invocation, content: ContentStore
    ) -> tuple[str, str, int]:
        if child.is_timed_out:
            reason = f"it ran longer than its timeout of {child.limit_s:g} s."
            return TIMED_OUT, reason, int(ExitCode.TIMEOUT)
        if self._is_asked_to_end:
            if _is_cancelled(invocation, content):
                return CANCELLED, "the run was cancelled.", int(ExitCode.CANCELLED)
            limit_s = _run_limit_reached()
            if limit_s is not None:
                reason = f"its run reached the time limit of {limit_s:g} s for all of it (run_timeout)."
                return TIMED_OUT, reason, int(ExitCode.TIMEOUT)
            reason = "its container was asked to end (SIGTERM): by a person, or because the machine was needed."
            return LOST, reason, _SIGNALLED + signal.SIGTERM
        exit_code = _SIGNALLED - return_code if return_code < 0 else int(ExitCode.TASK_RAISED)
        if oom_kills() > child.oom_kills_before:
            reason = out_of_memory_reason(limit_bytes=memory_limit_bytes(), sample_bytes=child.last_memory)
            return OUT_OF_MEMORY, reason, exit_code
        return LOST, what_ended(return_code), exit_code


class _Child:
    """A process that runs invocations, as seen by the one that forked it."""

    def __init__(self, pid: int, told_fd: int, ask_fd: int, wake_fd: int, spool: Path) -> None:
        self.spool = spool
        self.begun_at = time.time()
        self.is_timed_out = False
        self.is_asked_to_end = False
        self.limit_s: float | None = None
        self.last_memory = self.most_memory = 0
        self.oom_kills_before = oom_kills()
        self._pid = pid
        self._told_fd = told_fd
        self._ask_fd = ask_fd
        self._wake_fd = wake_fd
        self._messages = Messages(told_fd)
        self._deadline: float | None = None
        self._kill_at: float | None = None
        self._return_code: int | None = None

    def dismiss(self) -> None:
        """End it before it has been asked for anything."""
        _end_all(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._told_fd)
        os.close(self._ask_fd)

    def ask(self, positions: list[int] | None) -> None:
        """Tell it which of its invocations to run, once."""
        with contextlib.suppress(BrokenPipeError):  # it has died already; what waits for it finds out why
            send(self._ask_fd, positions)
        os.close(self._ask_fd)

    def watch(self, note: Callable[[Outcome], None], begun: Callable[[], None]) -> int:
        """Wait for its end, and note the outcomes that it tells; its return code, as ``Popen`` has it.

        Args:
            note: Is told what came of an invocation.
            begun: Is told when another one begins.
        """
        poll = select.poll()
        for fd in (self._told_fd, self._wake_fd):
            poll.register(fd, select.POLLIN)
        while self._return_code is None:
            for fd, _ in poll.poll(self._patience_ms()):
                if fd == self._told_fd:
                    self._listen(note, begun, poll)
                else:
                    self._on_signal()
            self._enforce()
            self._reap()
        while not self._messages.is_ended and _is_ready(self._told_fd):
            self._listen(note, begun, None)
        os.close(self._told_fd)
        # What it has started may still run, in its group or, where it took care to leave that, below.
        _end_all(self._pid, signal.SIGKILL)
        return self._return_code

    def _listen(self, note: Callable[[Outcome], None], begun: Callable[[], None], poll: select.poll | None) -> None:
        for message in self._messages.read():
            if "outcome" in message:
                note(Outcome.from_wire(message["outcome"]))
            elif "begun" in message:
                self.begun_at = time.time()
                self.last_memory = self.most_memory = 0
                begun()
            elif "limit" in message:
                self._count(message["limit"])
            elif "memory" in message:
                self.last_memory = message["memory"]
                self.most_memory = max(self.most_memory, self.last_memory)
        if self._messages.is_ended and poll is not None:
            poll.unregister(self._told_fd)
            self._kill_at = self._kill_at or time.monotonic() + _EXIT_S

    def _count(self, limit_s: float | None) -> None:
        if limit_s is not None:
            self.limit_s = limit_s
        if not self.is_timed_out:
            self._deadline = None if limit_s is None else time.monotonic() + limit_s

    def _on_signal(self) -> None:
        for number in os.read(self._wake_fd, 1024):
            if number in {signal.SIGTERM, signal.SIGINT}:
                self.is_asked_to_end = True
                self._end()

    def _enforce(self) -> None:
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self.is_timed_out = True
            self._end()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = now + _EXIT_S
            _end_all(self._pid, signal.SIGKILL)

    def _end(self) -> None:
        """Ask it to end; it is killed when the grace is over."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + GRACE_S
            signal_tree(self._pid, signal.SIGTERM)

    def _patience_ms(self) -> float | None:
        moments = [moment for moment in (self._deadline, self._kill_at) if moment is not None]
        # SIGCHLD wakes the poll; a signal between two looks is in the pipe already.
        return max(0.0, (min(moments) - time.monotonic()) * 1000 + 1) if moments else None

    def _reap(self) -> None:
        """Take note of processes that have ended: as the first of a container this one inherits all orphans."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._pid:
                    self._return_code = os.waitstatus_to_exitcode(status)


def _end_all(pid: int, number: signal.Signals) -> None:
    """Signal a process and what it has started; as the first process of a container, everybody else."""
    if os.getpid() == 1:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, number)
    else:
        signal_tree(pid, number)


def _is_ready(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def _run_limit_reached() -> float | None:
    """The time limit of the whole run, when it is that which ends this container now.

    A place that has such a limit says so by ``RUN_LIMIT``, and who comes to end the container says nothing.
    """
    begun, _, limit = os.environ.get(RUN_LIMIT, "").partition("+")
    if not limit:
        return None
    over_s = time.time() - float(begun) - float(limit)
    return float(limit) if -_CLOCKS_S <= over_s <= _LATE_S else None


def _is_cancelled(invocation: Invocation, content: ContentStore) -> bool:
    try:
        return content.blobs.info(content.keys.cancel(invocation.run_id)) is not None
    except StoreError:
        return False


def _keep_rest_of_log(
    invocation: Invocation, content: ContentStore, writer: str, start: int, spool: Path
) -> LogSpan | None:
    """Keep and show what a dead process had printed and not shipped; which part of the log is the attempt's."""
    key = content.keys.log(invocation.run_id, writer)
    try:
        size = next((i.size_bytes for i in content.blobs.logs(key.rpartition("/")[0]) if i.key == key), 0)
        with open(spool, "rb") as file:
            file.seek(max(0, size - start))
            rest = _masker_for(invocation, content).hide(file.read())
        if rest:
            os.write(1, rest)
            content.blobs.append(key, rest)
            content.blobs.publish(key)
    except (PyflowError, OSError) as error:
        print(f"The last lines of the log could not be kept: {error}", file=sys.stderr)
        return None
    end = size + len(rest)
    return LogSpan(writer=writer, start=start, end=end) if end > start else None


def _masker_for(invocation: Invocation, content: ContentStore) -> Masker:
    """Hides the secrets of what ran; they are in the environment of this process as well."""
    graph = PackedGraph.from_bytes(content.read_blob(invocation.graph_digest, invocation.graph_size))
    node = Program(graph, invocation.graph_digest).place(invocation.node).node
    wanted = graph.options[node.options].secret_env if isinstance(node, (PackedCall, PackedContainer)) else {}
    try:
        return Masker(SecretFinder(os.environ.get("PYFLOW_SECRETS", "")).values(wanted, os.environ).values())
    except ConfigError:
        return Masker()  # then the task has not had them either


@contextlib.contextmanager
def _wake_up_calls() -> Iterator[int]:
    """Within the block signals can be read from a pipe, by their numbers."""
    wake = os.pipe()
    for fd in wake:
        os.set_blocking(fd, False)
    watched = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, _remember) for number in watched]
    fd_before = signal.set_wakeup_fd(wake[1])
    try:
        yield wake[0]
    finally:
        signal.set_wakeup_fd(fd_before)
        for number, handler in zip(watched, before, strict=True):
            signal.signal(number, handler)
        for fd in wake:
            os.close(fd)


def _remember(_number: int, _frame: object) -> None:
    """A handler of Python's must exist for the number to arrive in the pipe."""
