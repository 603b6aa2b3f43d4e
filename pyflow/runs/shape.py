"""What an event must look like: events are not signed, and whoever reads them must be able to rely on their shape.

Fields that are not known here may be there; a later pyflow may write them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isfinite
from typing import Any, Final

from pyflow.runs.state import ENDED, TRANSITIONS

_OF_ERRORS: Final = {"type", "message", "traceback", "frames", "pickled", "cause", "context"}
_MOST_LINKED: Final = 100
_SLOT: Final = re.compile(r"\d{1,9}(\.\d{1,9})*")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and type(value) is not bool and isfinite(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_log(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and _is_text(value[0]) and all(map(_is_count, value[1:]))


def _is_error(value: Any) -> bool:
    waiting = [value]
    for _ in range(_MOST_LINKED):
        if not waiting:
            return True
        one = waiting.pop()
        if not _is_one_error(one):
            return False
        waiting.extend(one[how] for how in ("cause", "context") if one.get(how) is not None)
    return False


def _is_one_error(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() <= _OF_ERRORS
        and all(_is_text(value.get(name)) for name in ("type", "message", "traceback"))
        and isinstance(value.get("frames", []), list)
        and all(map(_is_frame, value.get("frames", [])))
        and isinstance(value.get("pickled"), (dict, type(None)))
    )


def _is_frame(value: Any) -> bool:
    """File, line, function, and perhaps where in the line."""
    return (
        isinstance(value, list)
        and len(value) in {3, 6}
        and _is_text(value[0])
        and _is_text(value[2])
        and all(part is None or _is_count(part) for part in (value[1], *value[3:]))
    )


_FIELDS: Final[dict[str, Callable[[Any], bool]]] = {
    "at": _is_number,
    "event": _is_text,
    "slot": lambda value: _is_text(value) and _SLOT.fullmatch(value) is not None,
    "attempt": _is_count,
    "worker": _is_text,
    "started_at": _is_number,
    "status": lambda value: _is_text(value) and value in TRANSITIONS,
    "count": _is_count,
    "seconds": _is_number,
    "duration_s": _is_number,
    "peak_memory_bytes": _is_count,
    "size_bytes": _is_count,
    "preview": _is_text,
    "log": _is_log,
    "error": _is_error,
    "reason": _is_text,
    "kind": _is_text,
}
_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "started": ("slot", "attempt", "worker"),
    "ended": ("slot", "attempt", "status"),
    "expanded": ("slot", "count"),
    "skipped": ("slot",),
    "paused": ("slot",),
    "failed": ("slot",),
    "waiting": ("slot", "reason"),
    "run-ended": ("status",),
}


def is_event(value: Any) -> bool:
    """Whether something that was read can be an event."""
    if not isinstance(value, dict) or "at" not in value or "event" not in value:
        return False
    for name, part in value.items():
        check = _FIELDS.get(name)
        if check is not None and not check(part):
            return False
    kind = value["event"]
    if not all(name in value for name in _NEEDED.get(kind, ())) or ("started_at" in value and "worker" not in value):
        return False
    return kind not in {"ended", "run-ended"} or value["status"] in ENDED
