"""What the author's script or notebook defines, in ``__main__`` of the process that runs a task of it.

pickle writes functions and classes by their names, and those of a script are in ``__main__``. In a worker that is the worker's own
program; so without this a task could not give a function of its script to a pool of processes, or write an object of its class
to a file, as it can where the script runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Final

from pyflow.late import late

if TYPE_CHECKING:
    import tempfile

    import cloudpickle
    from typing_extensions import Self
else:
    cloudpickle = late("cloudpickle")
    tempfile = late("tempfile")

_MAIN: Final = "__main__"
_NOTHING: Final = object()

# What a process that multiprocessing starts anew (by "spawn" or "forkserver") runs as its ``__main__``.
_AGAIN: Final = """\
import pickle
globals().update(pickle.loads({pickled!r}))
"""


class Script(ModuleType):
    """``__main__`` of a process that runs tasks: nothing but what was lent, also in the processes that a task starts.

    Such a process learns from ``__file__`` which script to run first, as it would run the author's.
    """

    @property
    def __file__(self) -> str:  # type: ignore[override]  # a module may have none
        """A file that defines what was lent, written now."""
        names = {name: thing for name, thing in vars(self).items() if not name.startswith("__")}
        if not names:
            raise AttributeError("__file__")
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="pyflow-", suffix=".py", delete=False) as file:
            file.write(_AGAIN.format(pickled=cloudpickle.dumps(names)))
        return file.name


def be_the_script() -> None:
    """Let this process, which runs tasks and nothing else, have an empty ``__main__``."""
    sys.modules[_MAIN] = Script(_MAIN)


class script_names:  # noqa: N801  a block, as ``isolated`` is
    """Within the block ``__main__`` has the names that were lent; then it is as before."""

    __slots__ = ("_before",)

    def __enter__(self) -> Self:
        self._before: dict[str, object] = {}
        return self

    def lend(self, function: object, classes: Iterable[type]) -> None:
        """Let a function's task find by their names the functions that it uses, and these classes.

        A class that is there already is left alone: it is this one, or one that the author has defined since.
        """
        main = vars(sys.modules[_MAIN])
        for name, thing in _named(function, classes):
            before = main.get(name, _NOTHING)
            # Of a function there is a copy for each task.
            if before is _NOTHING or (isinstance(thing, FunctionType) and isinstance(before, FunctionType)):
                self._before.setdefault(name, before)
                main[name] = thing

    def __exit__(self, *_raised: object) -> None:
        main = vars(sys.modules[_MAIN])
        for name, before in self._before.items():
            if before is _NOTHING:
                main.pop(name, None)
            else:
                main[name] = before


def _named(function: object, classes: Iterable[type]) -> Iterator[tuple[str, object]]:
    """Functions and classes of a script, by the names that they have in it."""
    yield from ((cls.__qualname__, cls) for cls in classes if _is_at_the_top(cls))
    if not isinstance(function, FunctionType) or function.__module__ != _MAIN:
        return
    yield from ((f.__qualname__, f) for f in _used_by(function) if isinstance(f, FunctionType) and _is_at_the_top(f))


def _used_by(function: FunctionType) -> list[object]:
    found = list(function.__globals__.values())
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # it has no value yet
            continue
    return found


def _is_at_the_top(thing: FunctionType | type) -> bool:
    return thing.__module__ == _MAIN and thing.__qualname__.isidentifier()
