"""``@task``: a function that, called in a pipeline, records a node instead of running."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast, overload

from pyflow.errors import DefinitionError
from pyflow.graph import CallNode, Expr, Function, Location, OptionArgs, Unpack
from pyflow.tracing.calling import Authored, check_options, check_plain_call
from pyflow.tracing.captures import refuse_captures
from pyflow.tracing.drafts import LeafDraft
from pyflow.tracing.location import here
from pyflow.tracing.mapping import Argument, map_plainly
from pyflow.tracing.names import name_of
from pyflow.tracing.placeholder import Placeholder
from pyflow.tracing.recorder import Trace, active
from pyflow.tracing.signature import binder, check_arguments, known_length
from pyflow.tracing.values import express
from pyflow.uncaught import tell_plainly

P = ParamSpec("P")
R = TypeVar("R")

_GENERATORS: Final = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


class Task(Authored, Generic[P, R]):
    """A decorated function. In a pipeline a call records a node; anywhere else it is a plain call.

    Attributes:
        fn: The function itself.
        function: What the nodes of this task share.
    """

    fn: Callable[P, R]

    def __init__(self, fn: Callable[P, R], options: OptionArgs, at: Location) -> None:
        self._binding = (
            "static" if isinstance(fn, staticmethod) else "class" if isinstance(fn, classmethod) else "instance"
        )
        plain: Callable[P, R] = fn.__func__ if isinstance(fn, (staticmethod, classmethod)) else fn
        _check_function(plain, at)
        if isinstance(plain, FunctionType):
            functools.update_wrapper(self, plain)
        else:
            self.__doc__ = getattr(plain, "__doc__", None)
            self.__wrapped__ = plain
        self.fn = plain
        self.function = Function(plain, name_of(plain), at)
        self.bind = binder(plain)
        self._length = known_length(plain)
        self.bound: tuple[Any, ...] = ()
        self._options = options
        self._call_options: OptionArgs = {}
        self._after: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"<task {self.function.name}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Record a node in a pipeline's body; run the function anywhere else."""
        trace = active.trace
        if self.bound:
            args = (*self.bound, *args)  # type: ignore[assignment]
        if trace is None:
            check_plain_call(self.function.name, args, kwargs)
            return self.fn(*args, **kwargs)
        self._refuse_batch()
        return cast("R", self.record(trace, args, kwargs))

    def map(self, *args: Any, **kwargs: Any) -> list[R]:
        """One call for each item: positional arguments are mapped, keywords are passed whole unless in ``each()``.

        Returns:
            In a pipeline a placeholder for the list of results, in the order of the items.

        Raises:
            DefinitionError: Nothing is mapped, an argument cannot be, or two lengths differ.
        """
        return cast("list[R]", self._map(args, kwargs))

    def _map_plainly(self, arguments: list[Argument]) -> list[R]:
        check_plain_call(self.function.name, (), {a.name: a.value for a in arguments})
        return map_plainly(self.fn, arguments)

    def record(
        self, trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], name: str | None = None
    ) -> Placeholder:
        """Record one call as a node."""
        check_arguments(self.bind, args, kwargs)
        scope, function, at = trace.scope, self.function, here()
        if function not in trace.functions:
            trace.functions[function] = at
            refuse_captures(function.fn, function.name, at)
        options = self.options_in(trace, scope.defaults)
        needs: set[int] = set()
        label = function.name
        values: tuple[Expr, ...] = tuple([express(v, scope, needs, f"an argument of {label!r}") for v in args])
        named = tuple([(key, express(v, scope, needs, f"argument {key!r} of {label!r}")) for key, v in kwargs.items()])
        draft = LeafDraft(scope, name or trace.names.take(scope.prefix + (options.name or label)), at, needs)
        draft.node = CallNode(
            id=draft.id, name=draft.name, at=at, function=function, args=values, kwargs=named, options=options
        )
        trace.record(draft)
        if self._after:
            self._wait(draft)
        return Placeholder(draft, (), options.outputs or self._length)

    def __get__(self, instance: object, owner: type | None = None) -> Task[..., R]:
        receiver = owner if self._binding == "class" else instance
        if self._binding == "static" or receiver is None or not isinstance(self.fn, FunctionType):
            return self
        return self.copy_with(bound=(receiver,))

    def __reduce__(self) -> tuple[Any, ...]:
        """By name where the module can be imported, else by value: a task may travel inside another task's function."""
        module, qualname = getattr(self.fn, "__module__", None), getattr(self.fn, "__qualname__", "")
        if module != "__main__" and _found(module, qualname) is self:
            return task_named, (module, qualname)
        changes = {"_binding": self._binding, "bound": self.bound, "_call_options": self._call_options}
        return _rebuilt, (self.fn, self._options, self.function.at, changes)


def _found(module: str | None, qualname: str) -> Any:
    value: Any = sys.modules.get(module or "")
    for part in qualname.split("."):
        value = getattr(value, part, None)
    return value


def task_named(module: str, qualname: str) -> Any:
    """The task that a module holds under this name; how a pickled task is found again."""
    __import__(module)
    return _found(module, qualname)


def _rebuilt(fn: Any, options: OptionArgs, at: Location, changes: dict[str, Any]) -> Task[..., Any]:
    made: Task[..., Any] = Task(fn, options, at)
    return made.copy_with(**changes)


def _call_method(instance: Any) -> Any:
    return next((kind.__dict__["__call__"] for kind in type(instance).__mro__ if "__call__" in kind.__dict__), None)


def _check_function(fn: Any, at: Location) -> None:
    if isinstance(fn, Authored):
        raise DefinitionError(f"{name_of(fn)!r} is a task already (at {at}): take one of the two @task away.")
    if not callable(fn):
        raise DefinitionError(f"@task at {at} needs a function, got {fn!r}. Options are given by name: @task(cpus=2).")
    if hasattr(fn, "definition"):
        raise DefinitionError(
            f"{name_of(fn)!r} is a pipeline (at {at}); it is called in other pipelines as it is, without @task."
        )
    inner = fn
    while hasattr(inner, "func"):
        inner = inner.func
    code = getattr(inner, "__code__", None) or getattr(_call_method(inner), "__code__", None)
    if code is not None and code.co_flags & _GENERATORS and not isinstance(inner, type):
        raise DefinitionError(
            f"Task {name_of(fn)!r} (at {at}) is a generator: it contains `yield`. The result of a task is one value, which is kept. "
            "Return a list, and go through it with other_task.map(...)."
        )


@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(**options: Unpack[OptionArgs]) -> Callable[[Callable[P, R]], Task[P, R]]: ...
@overload
def task(fn: Callable[P, R], /, **options: Unpack[OptionArgs]) -> Task[P, R]: ...


def task(fn: Callable[..., Any] | None = None, /, **options: Unpack[OptionArgs]) -> Any:
    """Make a function a task: ``@task``, ``@task(cpus=2)`` or ``task(fn, cpus=2)``.

    Outside of a pipeline a call of the task is a plain call; in the body of a pipeline it records a
    node of the graph and gives a placeholder for the result.

    Raises:
        DefinitionError: An option is unknown (a near one is suggested) or has a wrong value, or the
            function is of a kind that cannot be a task.
    """
    tell_plainly()
    at = here()
    check_options(options, "@task" if fn is None else f"@task of {name_of(fn)!r}", at)

    def decorate(fn: Callable[..., Any]) -> Task[..., Any]:
        return Task(fn, options, at)

    return decorate if fn is None else decorate(fn)
