"""What a person wants who presses Ctrl-C on a run that could go on without them."""

from __future__ import annotations

import sys
from typing import TextIO


def ask_what_to_do(run_id: str, *, stdin: TextIO | None = None, stderr: TextIO | None = None) -> str:
    """``cancel`` or ``detach``; asked where somebody can answer, and ``detach`` elsewhere."""
    stdin, stderr = stdin or sys.stdin, stderr or sys.stderr
    try:
        can_answer = stdin.isatty() and stderr.isatty()
    except (AttributeError, ValueError):
        # There is no standard input, or it was closed.
        can_answer = False
    if not can_answer:
        return "detach"
    stderr.write(f"\nRun {run_id} goes on without you. (d)etach and let it, or (c)ancel it? [d] ")
    stderr.flush()
    try:
        answer = stdin.readline()
    except KeyboardInterrupt:
        return "detach"
    return "cancel" if answer.strip().lower() in {"c", "cancel"} else "detach"
