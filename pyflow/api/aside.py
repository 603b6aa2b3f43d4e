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
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from pyflow.errors import PyflowError
from pyflow.runtime import flush_python

if TYPE_CHECKING:
    from pyflow.api.run import Run
    from pyflow.api.start import Started


_PATIENCE_S: Final = 1.0
"""Who waits longer would wonder for what."""
_MOST_PRESSES: Final = 2
"""Of Ctrl-C, until nothing is waited for any more."""


class _Aside(NamedTuple):
    """A run that a thread of this process is at."""

    run: Run
    has_ended: threading.Event


class _Waiting:
    """The runs of this process that have not ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: list[_Aside] = []
        self._process = 0

    def add(self, aside: _Aside) -> None:
        """Wait for this run at the end of the process."""
        with self._lock:
            if self._process != os.getpid():
                # Of a fork the threads stay with its parent.
                self._runs, self._process = [], os.getpid()
                _call_at_end(self._wait)
            self._runs = [*self._living(), aside]

    def _living(self) -> list[_Aside]:
        return [aside for aside in self._runs if not aside.has_ended.is_set()]

    def _wait(self) -> None:
        """Wait for all; Ctrl-C cancels them, and pressed again ends the waiting."""
        if self._process != os.getpid():
            return
        presses, told = 0, set[str]()
        stopped: list[_Aside] = []
        while (living := self._living()) and presses < _MOST_PRESSES:
            try:
                if presses and not stopped:
                    stopped = living
                    for aside in living:
                        with contextlib.suppress(PyflowError):  # a store that is away: the next one may be another's
                            aside.run.cancel()
                if not living[0].has_ended.wait(_PATIENCE_S) and living[0].run.id not in told:
                    told.add(living[0].run.id)
                    _say(f"Waiting for run {living[0].run.id} to end; Ctrl-C stops it.")
            except KeyboardInterrupt:
                presses += 1
        for aside in stopped:
            _say(aside.run.stopped_text())
        if presses:
            _end_by_interrupt()


_WAITING: Final = _Waiting()


def carry_out_aside(started: Started) -> None:
    """Carry a run out in a thread of its own; the process does not end before it has."""
    has_ended = threading.Event()
    thread = threading.Thread(target=_carry_out_alone, args=(started, has_ended), name=f"pyflow {started.run.id}")
    thread.start()
    started.run.carried_out_by(thread, has_ended)
    _WAITING.add(_Aside(started.run, has_ended))


def _carry_out_alone(started: Started, has_ended: threading.Event) -> None:
    """A thread has nobody to raise to: the run keeps the error for whoever asks for its result, and who never asks reads a line."""
    try:
        started.carry_out()
    except Exception as error:  # noqa: BLE001  raised by the run's result
        started.run.broke_off(error)
        _say(f"Run {started.run.id} could not be carried out: {type(error).__name__}: {error}")
    finally:
        has_ended.set()


def _call_at_end(function: Callable[[], None]) -> None:
    """Have a function called when the main thread has ended, before anything else that waits for that is.

    Where that is over already, Python itself waits for the threads, in which Ctrl-C ends it at once.
    """
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        # Those that were registered last are called first, and what we wait for may still need the threads of this one.
        with contextlib.suppress(RuntimeError):
            importlib.import_module("concurrent.futures.thread")
            register(function)


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # standard error may be closed, or nobody reads it
        sys.stderr.write(f"{text}\n")


def _end_by_interrupt() -> NoReturn:
    """End this process as Ctrl-C ends one that is at work."""
    atexit._run_exitfuncs()  # noqa: SLF001  nobody calls them after a signal
    flush_python()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    os._exit(128 + signal.SIGINT)  # where that is ignored
