"""A short text about a value, for listings: made beside the task, so that nobody else unpickles it.

Only values of Python's own simple types are shown; of others the type and shape. An author's own
``__repr__`` is never called: it may be slow, raise, or print what must not be printed.
"""

from __future__ import annotations

from typing import Any, Final

MAX_PREVIEW: Final = 120
_SIMPLE: Final = (int, float, complex, bool, type(None))


def preview(value: object) -> str:
    """What a listing may show of a value, in at most 120 characters on one line."""
    text = _text(value, depth=2)
    return text if len(text) <= MAX_PREVIEW else text[: MAX_PREVIEW - 1] + "…"


def _text(value: Any, depth: int) -> str:
    kind = type(value)
    if kind is str:
        return repr(value if len(value) <= MAX_PREVIEW else value[:MAX_PREVIEW] + "…")
    if kind is int and value.bit_length() > 256:
        return f"int of {value.bit_length()} bits"
    if kind in _SIMPLE:
        return repr(value)
    if kind is bytes:
        return f"bytes ({len(value)})"
    if kind in {list, tuple, set, frozenset, dict}:
        return _container(value, kind, depth)
    shape = getattr(value, "shape", None) if kind.__module__.partition(".")[0] in {"numpy", "pandas"} else None
    return kind.__qualname__ if shape is None else f"{kind.__qualname__} {'×'.join(map(str, shape))}"


def _container(value: Any, kind: type, depth: int) -> str:
    if not depth or len(value) > 8:
        return f"{kind.__name__} ({len(value)})"
    if kind is dict:
        inner = ", ".join(f"{_text(k, depth - 1)}: {_text(v, depth - 1)}" for k, v in value.items())
        return f"{{{inner}}}"
    inner = ", ".join(_text(item, depth - 1) for item in value)
    if kind is list:
        return f"[{inner}]"
    return f"({inner}{',' * (len(value) == 1)})" if kind is tuple else f"{kind.__name__}({inner})"
