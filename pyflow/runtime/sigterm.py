"""SIGTERM in a process that runs tasks: the author's ``finally`` blocks run, and no more tasks."""

from __future__ import annotations

import signal
from types import FrameType


class Ended:
    """Whether somebody has asked this process to end."""

    is_asked = False


def on_sigterm(_number: int, _frame: FrameType | None) -> None:
    """Interrupt what runs."""
    Ended.is_asked = True
    leave_if_asked()


def leave_if_asked() -> None:
    """Interrupt again what has caught the interruption, if there was one."""
    if Ended.is_asked:
        raise SystemExit(128 + signal.SIGTERM)
