"""Runs that go on beside their caller, each in a thread: the process does not end before them.

Python waits for threads at its end; but before that it closes what starts others (``concurrent.futures``), and Ctrl-C while it waits ends it
at once. So the waiting is done here, first of all, by the main thread.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn

from pyflow.runs import ENDED

if TYPE_CHECKING:
    from pyflow.api.run import Run
    from pyflow.api.start import Started


_PATIENCE_S: Final = 1.0
"""Who waits longer would wonder for what."""
_MOST_PRESSES: Final = 2
"""Of Ctrl-C, until nothing is waited for any more."""


class _Waiting:
    """The runs of this process that have not ended."""

    def __init__(self) -> None:
        self._runs: list[tuple[Run, threading.Thread]] = []
        self._process = 0
        self._is_called = False

    def are_waited_for(self) -> bool:
        """Whether somebody waits for the runs of this process at its end; False if this Python cannot be asked to."""
        if self._process != os.getpid():
            # Of a fork the threads stay with its parent.
            self._runs, self._process = [], os.getpid()
            self._is_called = _call_at_end(self._wait)
        return self._is_called

    def add(self, run: Run, thread: threading.Thread) -> None:
        """Wait for this run at the end of the process."""
        self._runs = [(other, at_it) for other, at_it in self._runs if at_it.is_alive()] + [(run, thread)]

    def _wait(self) -> None:
        if self._process != os.getpid():
            return
        presses = 0
        for run, thread in self._runs:
            while thread.is_alive() and presses < _MOST_PRESSES:
                try:
                    if run.wait(_PATIENCE_S) not in ENDED:
                        sys.stderr.write(f"Waiting for run {run.id} to end; Ctrl-C stops it.\n")
                        run.wait()
                    thread.join()
                except KeyboardInterrupt as error:
                    presses += 1
                    sys.stderr.write(f"{str(error) or run.stopped_text()}\n")
                    if thread.is_alive():
                        run.cancel()  # it was pressed between two waits
        self._runs.clear()
        if presses:
            _end_by_interrupt()


_WAITING: Final = _Waiting()


def carry_out_aside(started: Started) -> None:
    """Carry a run out in a thread of its own; the process does not end before it has."""
    has_ended = threading.Event()
    thread = threading.Thread(
        target=_carry_out_alone,
        args=(started, has_ended),
        name=f"pyflow {started.run.id}",
        daemon=_WAITING.are_waited_for(),
    )
    thread.start()
    started.run.carried_out_by(thread, has_ended)
    _WAITING.add(started.run, thread)


def _carry_out_alone(started: Started, has_ended: threading.Event) -> None:
    """A thread has nobody to raise to: the run keeps the error for whoever asks for its result, and who never asks reads a line."""
    try:
        started.carry_out()
    except Exception as error:  # noqa: BLE001  raised by the run's result
        started.run.broke_off(error)
        sys.stderr.write(f"Run {started.run.id} could not be carried out: {type(error).__name__}: {error}\n")
    finally:
        has_ended.set()


def _call_at_end(function: Callable[[], None]) -> bool:
    """Have a function called when the main thread has ended, before anything else that waits for that is."""
    register = getattr(threading, "_register_atexit", None)
    if register is None:
        return False
    # Those that were registered last are called first, and what we wait for may still need its threads.
    importlib.import_module("concurrent.futures.thread")
    register(function)
    return True


def _end_by_interrupt() -> NoReturn:
    """End this process as Ctrl-C ends one that is at work."""
    atexit._run_exitfuncs()  # noqa: SLF001  nobody calls them after a signal
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    os._exit(128 + signal.SIGINT)  # where that is ignored
