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
from pyflow.tracing.location import here
from pyflow.tracing.mapping import arguments_of, body_output, keywords, map_draft, map_plainly, positional, result_of
from pyflow.tracing.names import name_of
from pyflow.tracing.placeholder import Placeholder
from pyflow.tracing.recorder import LeafDraft, Trace, active
from pyflow.tracing.signature import binder, known_length, positional_names
from pyflow.tracing.values import express

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
        self._binding = "static" if isinstance(fn, staticmethod) else "class" if isinstance(fn, classmethod) else "instance"
        plain: Callable[P, R] = fn.__func__ if isinstance(fn, (staticmethod, classmethod)) else fn
        _check_function(plain, at)
        if isinstance(plain, FunctionType):
            functools.update_wrapper(self, plain)
        else:
            self.__doc__ = getattr(plain, "__doc__", None)
            self.__wrapped__ = plain
        self.fn = plain
        self.function = Function(plain, name_of(plain), at)
        self._bind = binder(plain)
        self._length = known_length(plain)
        self._bound: tuple[Any, ...] = ()
        self._options = options
        self._call_options: OptionArgs = {}
        self._after: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"<task {self.function.name}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        trace = active.trace
        if self._bound:
            args = (*self._bound, *args)  # type: ignore[assignment]
        if trace is None:
            check_plain_call(self.function.name, args, kwargs)
            return self.fn(*args, **kwargs)
        if "batch" in self._call_options:
            raise DefinitionError(
                f"{self.function.name}.with_options(batch=...) was called at {here()} without .map(). A batch is a number of items "
                "of a map: leave it out, or write .map(items)."
            )
        return cast("R", self._record(trace, args, kwargs))

    def map(self, *args: Any, **kwargs: Any) -> list[R]:
        """One call for each item: positional arguments are mapped, keywords are passed whole unless in ``each()``.

        Returns:
            In a pipeline a placeholder for the list of results, in the order of the items.

        Raises:
            DefinitionError: Nothing is mapped, an argument cannot be, or two lengths differ.
        """
        self._refuse_lost_class()
        name = self.function.name
        arguments = arguments_of(name, positional_names(self.fn), args, kwargs, self._bound)
        trace = active.trace
        if trace is None:
            check_plain_call(name, args, {a.name: a.value for a in arguments})
            return map_plainly(self.fn, arguments)
        options = self._options_in(trace, trace.scope.defaults)
        draft, values = map_draft(trace, options.name or name, arguments)
        draft.batch = options.batch
        self._wait(draft)
        with trace.inside(draft.body):
            one = self._copy(_after=())
            result = one._record(trace, tuple(positional(arguments, values)), keywords(arguments, values), name=draft.name)
            body_output(draft, result)
        return cast("list[R]", result_of(draft, arguments))

    def _record(self, trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], name: str | None = None) -> Placeholder:
        self._bind(*args, **kwargs)
        scope, function, at = trace.scope, self.function, here()
        if function not in trace.functions:
            trace.functions[function] = at
            refuse_captures(function.fn, function.name, at)
        options = self._options_in(trace, scope.defaults)
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
        return self._copy(_bound=(receiver,))

    def _refuse_lost_class(self) -> None:
        # Since Python 3.13 a classmethod around a task hides the class from `.map`.
        names = positional_names(self.fn)[:1]
        if names == ["cls"] and not self._bound and "." in getattr(self.fn, "__qualname__", ""):
            raise DefinitionError(
                f"{self.function.name}.map() at {here()}: the class is not known here. Write @task above @classmethod (at {self.function.at})."
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """By name where the module can be imported, else by value: a task may travel inside another task's function."""
        module, qualname = getattr(self.fn, "__module__", None), getattr(self.fn, "__qualname__", "")
        if module != "__main__" and _found(module, qualname) is self:
            return task_named, (module, qualname)
        return _rebuilt, (self.fn, self._binding, self._bound, self._options, self._call_options, self.function.name, self.function.at)


def _found(module: str | None, qualname: str) -> Any:
    value: Any = sys.modules.get(module or "")
    for part in qualname.split("."):
        value = getattr(value, part, None)
    return value


def task_named(module: str, qualname: str) -> Any:
    """The task that a module holds under this name; how a pickled task is found again."""
    __import__(module)
    return _found(module, qualname)


def _rebuilt(
    fn: Any, binding: str, bound: tuple[Any, ...], options: OptionArgs, call_options: OptionArgs, name: str, at: Location
) -> Task[..., Any]:
    made: Task[..., Any] = Task(fn, options, at)
    return made._copy(_binding=binding, _bound=bound, _call_options=call_options, function=Function(fn, name, at))


def _check_function(fn: Any, at: Location) -> None:
    if isinstance(fn, Authored):
        raise DefinitionError(f"{name_of(fn)!r} is a task already (at {at}): take one of the two @task away.")
    if not callable(fn):
        raise DefinitionError(f"@task at {at} needs a function, got {fn!r}. Options are given by name: @task(cpus=2).")
    if hasattr(fn, "definition"):
        raise DefinitionError(f"{name_of(fn)!r} is a pipeline (at {at}); it is called in other pipelines as it is, without @task.")
    inner = fn
    while hasattr(inner, "func"):
        inner = inner.func
    code = getattr(inner, "__code__", None) or getattr(getattr(type(inner), "__call__", None), "__code__", None)
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
    at = here()
    check_options(options, "@task" if fn is None else f"@task of {name_of(fn)!r}", at)

    def decorate(fn: Callable[..., Any]) -> Task[..., Any]:
        return Task(fn, options, at)

    return decorate if fn is None else decorate(fn)
