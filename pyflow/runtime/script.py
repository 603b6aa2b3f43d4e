"""What the author's script or notebook defines, in ``__main__`` of the process that runs a task of it.

pickle writes functions and classes by their names, and those of a script are in ``__main__``. In a worker that is the worker's own
program; so without this a task could not give a function of its script to a pool of processes, or write an object of its class
to a file, as it can where the script runs.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from pyflow.late import late
from pyflow.payload import seen_by

if TYPE_CHECKING:
    import tempfile

    import cloudpickle
    from typing_extensions import Self

    from pyflow.payload import own_code
else:
    cloudpickle = late("cloudpickle")
    tempfile = late("tempfile")

_MAIN: Final = "__main__"
_NOTHING: Final = object()

# A process that multiprocessing starts anew (by "spawn" or "forkserver") runs the script again as its own ``__main__``.
_STARTERS: Final = ("multiprocessing.spawn", "loky.backend.spawn", "joblib.externals.loky.backend.spawn")
"""Who starts such a process, and asks for the script; others that ask are told what they are told of a notebook: that there is none."""


class Script(ModuleType):
    """``__main__`` of a process that runs tasks: nothing but what was lent, also in the processes that a task starts.

    Such a process learns from ``__file__`` which script to run first, as it would run the author's.
    """

    def __getattr__(self, name: str) -> str:
        """A file that defines what was lent, written for who starts a process."""
        if name == "__file__" and sys._getframe(1).f_globals.get("__name__") in _STARTERS:  # noqa: SLF001  the one way to know
            return self._written()
        raise AttributeError(f"module {_MAIN!r} has no attribute {name!r}")

    def _written(self) -> str:
        lines = []
        for name, thing in list(vars(self).items()):
            if not name.startswith("__"):
                # One that cannot be sent is missed only by who uses it there, as in a script whose module cannot be imported.
                with contextlib.suppress(Exception):
                    lines.append(f"{name} = __import__('pickle').loads({cloudpickle.dumps(thing)!r})")
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="pyflow-", suffix=".py", delete=False) as file:
            file.write("\n".join(lines))
        return file.name


def be_the_script() -> None:
    """Let this process, which runs tasks and nothing else, have an empty ``__main__``."""
    sys.modules[_MAIN] = Script(_MAIN)


class script_names:  # noqa: N801  a block, as ``isolated`` is
    """Within the block ``__main__`` has the names that were lent; then it is as before."""

    __slots__ = ("_lent",)

    def __enter__(self) -> Self:
        self._lent: dict[str, tuple[object, object]] = {}
        return self

    def lend(self, function: object, code: own_code) -> None:
        """Let a function's task find by their names the functions and classes that it uses, and those that came along.

        A class that is there already is left alone: it is this one, or one that the author has defined since.
        """
        main = vars(sys.modules[_MAIN])
        for thing in (*code.filled, *code.functions, *_used_by(function)):
            if not _is_at_the_top(thing):
                continue
            name = thing.__qualname__
            before, _ = self._lent.get(name) or (main.get(name, _NOTHING), None)
            # Of a function there is a copy for each task.
            if before is _NOTHING or (isinstance(thing, _FUNCTIONS) and isinstance(before, _FUNCTIONS)):
                self._lent[name] = before, thing
                main[name] = thing

    def __exit__(self, *_raised: object) -> None:
        main = vars(sys.modules[_MAIN])
        for name, (before, lent) in self._lent.items():
            if main.get(name) is not lent:
                continue  # defined anew meanwhile, by who owns this process
            if before is _NOTHING:
                del main[name]
            else:
                main[name] = before


_FUNCTIONS: Final = (FunctionType, type(functools.lru_cache(len)))


def _used_by(function: object) -> Iterable[object]:
    return seen_by(function) if isinstance(function, FunctionType) and function.__module__ == _MAIN else ()


def _is_at_the_top(thing: Any) -> TypeGuard[type | FunctionType]:
    is_named = isinstance(thing, (type, *_FUNCTIONS)) and thing.__module__ == _MAIN
    return is_named and thing.__qualname__.isidentifier()
