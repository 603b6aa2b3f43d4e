"""What a pipeline is: its function and what was said about it. Running it is the matter of ``pyflow.api``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType, MethodType
from typing import Any, Final, Literal, cast

from pyflow.errors import DefinitionError
from pyflow.graph import Location, OptionArgs
from pyflow.tracing.calling import check_options
from pyflow.tracing.names import check_name
from pyflow.tracing.signature import binder, check_arguments
from pyflow.tracing.task import Task

_NOT_PLAIN: Final = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR | inspect.CO_COROUTINE
_ONE_TASK: Final = ("name", "outputs")
"""Options that say something about one task and cannot be defaults for all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Definition:
    """A pipeline as its author wrote it.

    Raises:
        DefinitionError: With every fault that it has, at once.
    """

    fn: Callable[..., Any]
    name: str
    defaults: OptionArgs = field(default_factory=lambda: cast("OptionArgs", {}))
    """Options for the tasks that are called in the body."""
    parallelism: int | None = None
    fail_fast: bool = True
    order: Literal["data", "calls"] = "data"
    on_exit: Task[..., Any] | None = None
    at: Location

    def __post_init__(self) -> None:
        faults = [*self._faults()]
        if faults:
            raise DefinitionError("\n".join(faults))

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise the TypeError of a plain call when the arguments do not fit."""
        check_arguments(binder(self.fn), args, kwargs)

    def _faults(self) -> list[str]:
        here = f"Pipeline {self.name!r} (at {self.at})"
        faults = []
        if not isinstance(self.fn, (FunctionType, MethodType)):
            faults.append(f"{here} must be a function, got {self.fn!r}.")
        elif self.fn.__code__.co_flags & _NOT_PLAIN:
            faults.append(
                f"{here} must be a plain function, not an async one or a generator: its body only calls tasks, and awaits nothing."
            )
        for check in (self._check_name, self._check_defaults, self._check_on_exit):
            try:
                check()
            except DefinitionError as error:
                faults.append(str(error))
        if self.parallelism is not None and (type(self.parallelism) is not int or self.parallelism < 1):
            faults.append(f"{here}: parallelism must be a whole number of 1 or more, got {self.parallelism!r}.")
        if type(self.fail_fast) is not bool:
            faults.append(f"{here}: fail_fast must be True or False, got {self.fail_fast!r}.")
        if self.order not in ("data", "calls"):
            faults.append(f"{here}: order must be 'data' or 'calls', got {self.order!r}.")
        return faults

    def _check_name(self) -> None:
        check_name(self.name, what="A pipeline", at=self.at)

    def _check_defaults(self) -> None:
        if not isinstance(self.defaults, dict):
            raise DefinitionError(
                f"The defaults of pipeline {self.name!r} at {self.at} must be a dict of options, such as {{'retries': 2}}, got {self.defaults!r}."
            )
        check_options(self.defaults, f"The defaults of pipeline {self.name!r}", self.at)
        wrong = [name for name in _ONE_TASK if name in self.defaults]
        if wrong:
            raise DefinitionError(
                f"The defaults of pipeline {self.name!r} at {self.at} hold {', '.join(map(repr, wrong))}, which is about one task. "
                "Say it at that task."
            )

    def _check_on_exit(self) -> None:
        if self.on_exit is None:
            return
        if not isinstance(self.on_exit, Task):
            raise DefinitionError(
                f"on_exit of pipeline {self.name!r} at {self.at} must be a task, got {self.on_exit!r}. Write @task above it."
            )
        try:
            self.on_exit.bind(*self.on_exit.bound, None)
        except TypeError as error:
            raise DefinitionError(
                f"on_exit of pipeline {self.name!r} at {self.at} gets the run's outcome as its one argument: {error}."
            ) from error
