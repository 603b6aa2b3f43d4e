"""Tasks in the caller's own process, one after the other: for debuggers and tests."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from pyflow.contract import Invocation
from pyflow.errors import TaskTimeoutError, UnsupportedOptionWarning, warn_author
from pyflow.executors.interrupts import Interrupts
from pyflow.executors.launcher import Finished, Lost, Report
from pyflow.runtime import Session, Spool, temporary_folder
from pyflow.store import ContentStore

WRITER = "caller"
_AT_ONCE_S: Final = 1e-6


# A task borrows what the process has once: its standard streams, its folder and environment. Runs in
# several threads take turns; a run inside of a task has its turn already.
_ONE_AT_A_TIME: Final = threading.RLock()


class InprocessLauncher:
    """Runs invocations in this thread, while somebody waits for them."""

    def __init__(self, content: ContentStore, interrupts: Interrupts) -> None:
        self._interrupts = interrupts
        interrupts.most = 2
        self._queue: deque[Invocation] = deque()
        self._lost: list[Report] = []
        self._folder = Path(tempfile.mkdtemp(prefix="pyflow-", dir=temporary_folder()))
        self._spool = Spool(self._folder / "spool")
        self._session = Session(
            self._folder,
            self._spool,
            WRITER,
            blobs=content.blobs,
            starts_once=True,
            has_code=True,
            time_limit=self._time_limit,
        )

    @property
    def in_advance(self) -> int:
        """None: they run one after the other anyway."""
        return 0

    def launch(self, invocations: Sequence[Invocation], timeout_s: float | None, *, in_advance: bool) -> str | None:  # noqa: ARG002  the session reads the limit
        """Remember these; they run in ``wait``."""
        self._queue.extend(invocations)
        return WRITER

    def wait(self, timeout_s: float | None) -> list[Report]:  # noqa: ARG002  the next task is what is waited for
        """Run the next one to its end.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed again, and it has interrupted the task.
        """
        lost, self._lost = self._lost, []
        if lost or not self._queue:
            return lost
        invocation = self._queue.popleft()
        presses = self._interrupts.count
        with _ONE_AT_A_TIME, self._spool.borrowed_streams():
            outcome = self._session.run(invocation)
        if self._interrupts.count > presses and not outcome.is_committed:
            if self._interrupts.count > 1:
                raise KeyboardInterrupt
            log = None if outcome.log is None else (outcome.log.writer, outcome.log.start, outcome.log.end)
            return [Lost(invocation.slot, invocation.attempt, "the run was interrupted.", is_interrupt=True, log=log)]
        return [Finished(outcome)]

    def recall(self) -> list[str]:
        """Nothing is launched in advance."""
        return []

    def end(self, slots: Sequence[str]) -> None:
        """Forget these, unless they have run."""
        ended = [i for i in self._queue if i.slot in set(slots)]
        self._queue = deque(i for i in self._queue if i not in ended)
        self._lost += [Lost(i.slot, i.attempt, "the run was cancelled.") for i in ended]

    @contextlib.contextmanager
    def _time_limit(self, timeout_s: float | None) -> Iterator[None]:
        """Limit the time of the author's code in the block, and let Ctrl-C interrupt it; all else here only counts that."""
        with _time_limit(timeout_s):
            outer, self._interrupts.raises_at_once = self._interrupts.raises_at_once, True
            try:
                yield
            finally:
                self._interrupts.raises_at_once = outer

    def close(self) -> None:
        """Take the code off ``sys.path``, and remove the files of the tasks."""
        self._session.close()
        self._spool.close()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def _time_limit(timeout_s: float | None) -> Iterator[None]:
    """Raise ``TaskTimeoutError`` in the block when the time is up: best effort, for code in C may not be interrupted.

    Only the main thread gets signals; elsewhere the error is raised when the block has ended, and was too late. It is
    raised at the end as well when the block has caught it, since a task that ran too long has not succeeded.
    """
    if timeout_s is None:
        yield
    elif threading.current_thread() is threading.main_thread():
        with _alarm(timeout_s):
            yield
    else:
        warn_author(
            "Executor 'inprocess' cannot interrupt a task outside of the main thread: a task that takes longer than its option "
            "'timeout' runs to its end, and counts as failed then.",
            UnsupportedOptionWarning,
        )
        began = time.monotonic()
        yield
        took_s = time.monotonic() - began
        if took_s > timeout_s:
            raise _too_long(timeout_s, f"; it took {took_s:.3g} s, and outside of the main thread nothing could end it")


@contextlib.contextmanager
def _alarm(timeout_s: float) -> Iterator[None]:
    """Let the system interrupt the block when the time is up; the alarm of a block around this one is set again behind it."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise _too_long(timeout_s)

    began = time.monotonic()
    before = signal.signal(signal.SIGALRM, ring)
    outer_s, _ = signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    except TaskTimeoutError:
        raise
    except BaseException as error:
        if time.monotonic() - began >= timeout_s:
            raise _too_long(timeout_s) from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer_s:
            signal.setitimer(signal.ITIMER_REAL, max(outer_s - (time.monotonic() - began), _AT_ONCE_S))
    if time.monotonic() - began >= timeout_s:
        raise _too_long(timeout_s, "; it caught the error that should have ended it, or has set an alarm of its own")


def _too_long(timeout_s: float, more: str = "") -> TaskTimeoutError:
    return TaskTimeoutError("", 0, f"it ran longer than its timeout of {timeout_s:g} s{more}.")
