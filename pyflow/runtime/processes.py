"""Processes of this machine: which ones a process has started, and what ended one."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Final

_LIKELY: Final = {
    signal.SIGKILL: "likely out of memory, or ended by somebody from outside",
    signal.SIGSEGV: "a library written in C read memory that is not its own; the log has the traceback",
    signal.SIGBUS: "a mapped file became shorter, or the disk is full",
    signal.SIGABRT: "a library written in C gave up; the log may say why",
    signal.SIGFPE: "a library written in C divided by zero",
    signal.SIGILL: "a library was built for another processor",
    signal.SIGTERM: "ended by somebody from outside",
}


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and that these have started, and so on.

    Those whose parent has ended belong to nobody any more and are not found.
    """
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as stat:
                # The command, in brackets, may hold anything; the parent is the second field behind it.
                parent = int(stat.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    wanted = [pid]
    while wanted:
        below = children.get(wanted.pop(), [])
        found += below
        wanted += below
    return found


def signal_tree(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that leads a session, to its group, and to all that it has started."""
    others = descendants(pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
    for other in others:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(other, number)


def what_ended(return_code: int) -> str:
    """How a worker ended, with the likely cause, from what ``Popen`` says of it."""
    if return_code >= 0:
        return (
            f"its worker process exited with code {return_code} before the task returned. "
            "os._exit() does that, and so does a library that gives up."
        )
    try:
        number = signal.Signals(-return_code)
    except ValueError:
        return f"its worker process was ended by signal {-return_code}."
    likely = _LIKELY.get(number)
    return f"its worker process was ended by {number.name}" + (f": {likely}." if likely else ".")
