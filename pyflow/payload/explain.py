"""The sentences about what cannot be serialized, and about functions that bring too much along."""

from __future__ import annotations

import io
from collections import deque
from types import AsyncGeneratorType, FunctionType, GeneratorType
from typing import Any, Final

from pyflow.errors import NotSerializableError, warn_author
from pyflow.payload.assigned import place_of_function, place_of_global, place_of_variable
from pyflow.payload.model import Request
from pyflow.payload.pickles import ValuePickler
from pyflow.payload.references import place_of
from pyflow.payload.trail import Step, Trail, captures_of, trails_to

LARGE_CAPTURE_BYTES: Final = 1024 * 1024
_LAST_SEEN: Final = 100
_MAX_DEPTH: Final = 20


class LargeCaptureWarning(UserWarning):
    """A function brings a large object along each time it is sent."""


def not_serializable(value: object, request: Request, error: Exception) -> NotSerializableError:
    """The error for a value that could not be pickled: which part of it, where, and what would work."""
    if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
        return NotSerializableError(
            request.sentence("cannot be serialized: it is nested too deeply. ")
            + "Python's recursion limit bounds how far pickle follows links: make it flatter, a list of rows "
            "with indices to one another."
        )
    trail = _find_culprit(value, request)
    if trail is None:
        reason = f"cannot be serialized: {_reason(error)}."
    elif any(_is_capture(step) for _, step in trail.steps):
        reason = f"cannot be serialized: {_about_capture(trail, request.name, error)}"
    else:
        reason = f"cannot be serialized: {_about_part(trail, request.name, error)}"
    return NotSerializableError(request.sentence(reason))


def warn_of_large_capture(fn: object, request: Request) -> None:
    """Name the largest thing that a function brings along."""
    user, step, size = fn, None, 0
    for _ in range(_MAX_DEPTH):
        if not isinstance(user, FunctionType):
            break
        found = [(_pickled_size(part, request), step, part) for step, part in captures_of(user)]
        if not found:
            break
        size, step, part = max(found, key=lambda each: each[0])
        if not isinstance(part, FunctionType) or place_of(part) is not None:
            break
        user = part
    if isinstance(user, FunctionType) and step is not None and size >= LARGE_CAPTURE_BYTES:
        which = f"{_name(user)} uses {_spell_capture(user, step)}, which makes {_mib(size)} of it. "
    else:
        which = ""
    message = (
        request.sentence("is larger than 1 MiB when it is sent, and it is sent to each worker. ")
        + which
        + "Pass large data as an argument, or load it inside the function."
    )
    warn_author(message, LargeCaptureWarning)


class _Witness(ValuePickler):
    """Remembers the objects that the pickler came to last."""

    def __init__(self, value: object, request: Request) -> None:
        super().__init__(_Counter(), value, request)
        self.seen: deque[object] = deque(maxlen=_LAST_SEEN)

    def reducer_override(self, obj: Any) -> Any:
        self.seen.append(obj)
        return super().reducer_override(obj)


class _Counter(io.BytesIO):
    """A stream that keeps nothing but the number of bytes written."""

    size = 0

    def write(self, data: Any, /) -> int:
        size = memoryview(data).nbytes
        self.size += size
        return size


def _find_culprit(value: object, request: Request) -> Trail | None:
    """The part at which pickling fails: the last one the pickler came to that fails alone, too."""
    seen = list(_seen_until_failure(value, request))
    trails = trails_to(value, {id(thing) for thing in seen})
    for thing in reversed(seen):
        if id(thing) in trails and (thing is value or _seen_until_failure(thing, request)):
            return trails[id(thing)]
    return None


def _seen_until_failure(value: object, request: Request) -> deque[object]:
    """What the pickler came to before it failed; nothing when it did not fail."""
    quiet = Request(request.what, request.name, request.scratch, request.holes, keeps_paths=True)
    witness = _Witness(value, quiet)
    try:
        witness.dump(value)
    except Exception:  # noqa: BLE001  # the user's code may raise anything; that it did is the answer
        return witness.seen
    return deque()


def _about_part(trail: Trail, root: str, error: Exception) -> str:
    text, is_exact = _expression(root, trail.steps)
    verb = "is" if is_exact else "holds"
    return f"{text} {verb} {_kind(trail.part)}{_because(error)}. {_advice(trail.part)}"


def _about_capture(trail: Trail, root: str, error: Exception) -> str:
    first = next(i for i, (_, step) in enumerate(trail.steps) if _is_capture(step))
    last = max(i for i, (_, step) in enumerate(trail.steps) if _is_capture(step))
    user, step = trail.steps[last]
    assert isinstance(user, FunctionType)
    text, is_exact = _expression(step.name, trail.steps[last + 1 :])
    what = f"which {'holds' if trail.steps[last + 1 :] else 'is'} {_kind(trail.part)}"
    if is_exact and len(trail.steps) > last + 2:
        what += f", {text}"
    route = [_name(thing) for thing, each in trail.steps[:last] if _is_capture(each)]
    by = f" ({' → '.join([*route, _name(user)])})" if route else ""
    needs = f"{_expression(root, trail.steps[:first])[0]} needs {_name(trail.steps[first][0])}, and " if first else ""
    verb = "Open" if isinstance(trail.part, io.IOBase) else "Create"
    return (
        f"{needs}{_name(user)} uses {_spell_capture(user, step)}, {what}{_because(error)}{by}. "
        f"{verb} it inside {_name(user)}, or pass its {'path' if verb == 'Open' else 'settings'}."
    )


def _spell_capture(user: FunctionType, step: Step) -> str:
    if step.how == "default":
        return f"the default of its parameter {step.name!r} ({place_of_function(user)})"
    if step.how == "closure":
        place, word = place_of_variable(user, step.name), "variable"
    else:
        place, word = place_of_global(user, step.name), "global"
    return f"the {word} {step.name!r}" + (f" ({place})" if place else "")


def _expression(root: str, steps: tuple[tuple[object, Step], ...]) -> tuple[str, bool]:
    """How the author would write a part; False with it when the expression ends before the part."""
    text = root
    for _, step in steps:
        if step.how == "inside":
            return text, False
        text += step.name
    return text, True


def _is_capture(step: Step) -> bool:
    return step.how in {"global", "closure", "default"}


def _name(fn: object) -> str:
    name = getattr(fn, "__qualname__", type(fn).__qualname__).rpartition("<locals>.")[2]
    return "the lambda" if name == "<lambda>" else f"{name}()"


def _kind(thing: object) -> str:
    kind = type(thing)
    if isinstance(thing, io.IOBase):
        return f"an open file ({kind.__name__})"
    return f"a {kind.__qualname__!r}" if kind.__module__ == "builtins" else f"a '{kind.__module__}.{kind.__qualname__}'"


def _because(error: Exception) -> str:
    text = str(error)
    if text.startswith(("cannot pickle", "Can't pickle", "can't pickle")):
        return ""
    return f", and pickling it raised {_reason(error)}"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(". ")


def _advice(part: object) -> str:
    if isinstance(part, (GeneratorType, AsyncGeneratorType)):
        return "Make it a list first."
    if isinstance(part, io.IOBase):
        return "Hand over the path of the file, and open it where it is used."
    return "Hand over what it is made from, and make it where it is used."


def _pickled_size(value: object, request: Request) -> int:
    stream = _Counter()
    pickler = ValuePickler(stream, value, request)
    pickler.dump(value)
    return stream.size + sum(map(len, pickler.buffers))


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MiB"
