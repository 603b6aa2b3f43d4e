"""``@pipeline``, and what can be done with a pipeline: call it, submit it, trace it, map it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypedDict, TypeVar, overload

from pyflow.config import Settings, checked, located
from pyflow.errors import DefinitionError
from pyflow.graph import Location, OptionArgs, suggestion
from pyflow.late import late
from pyflow.tracing import (
    Definition,
    Task,
    call_inline,
    calls_of,
    is_tracing,
    map_inline,
    name_of,
    refuse_uncalled,
    trace,
)
from pyflow.uncaught import tell_plainly

if TYPE_CHECKING:
    from pyflow import executors
    from pyflow.api import aside, deploying, home, raising, start
    from pyflow.api.deploying import Deployment
    from pyflow.api.manifest import Manifest
    from pyflow.api.run import Run
    from pyflow.api.start import Started
    from pyflow.graph import Graph
else:
    # A worker that imports the author's module meets `@pipeline` in it, and starts no run.
    aside = late("pyflow.api.aside")
    deploying = late("pyflow.api.deploying")
    executors = late("pyflow.executors")
    home = late("pyflow.api.home")
    raising = late("pyflow.api.raising")
    start = late("pyflow.api.start")

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

P = ParamSpec("P")
R = TypeVar("R")


class PipelineArgs(TypedDict, total=False):
    """What a user may write in ``@pipeline(...)``."""

    name: str
    defaults: OptionArgs
    parallelism: int
    fail_fast: bool
    order: Literal["data", "calls"]
    on_exit: Task[..., Any]


class RunArgs(PipelineArgs, total=False):
    """What a user may write in ``pipeline.with_options(...)``."""

    executor: str
    store: str
    project: str
    owner: str
    progress: bool
    argo: Mapping[str, Any]


_SETTINGS = frozenset({"executor", "store", "project", "owner", "progress", "argo"})


class Pipeline(Generic[P, R]):
    """A function whose calls of tasks make a graph. Call it, and the graph runs and its value comes back."""

    def __init__(
        self,
        definition: Definition,
        settings: Settings = Settings(),  # noqa: B008  frozen
        *,
        binding: Literal["instance", "class", "static"] = "instance",
        after: tuple[Any, ...] = (),
    ) -> None:
        self.definition = definition
        self._settings = settings
        self._binding = binding
        self._after = after
        functools.update_wrapper(self, definition.fn)

    def __repr__(self) -> str:
        return f"<pipeline {self.definition.name!r} at {self.definition.at}>"

    def __get__(self, instance: object, owner: type | None = None) -> Pipeline[..., R]:
        """A pipeline that is a method, with its object or class as the first argument."""
        receiver = owner if self._binding == "class" else instance
        if self._binding == "static" or receiver is None or not isinstance(self.definition.fn, FunctionType):
            return self
        return self._copy(definition=replace(self.definition, fn=MethodType(self.definition.fn, receiver)))

    def _copy(self, **changes: Any) -> Pipeline[P, R]:
        definition, settings = changes.get("definition", self.definition), changes.get("settings", self._settings)
        return Pipeline(definition, settings, binding=self._binding, after=changes.get("after", self._after))

    @property
    def fn(self) -> Callable[P, R]:
        """The function itself."""
        return self.definition.fn

    @property
    def name(self) -> str:
        """What its runs are called."""
        return self.definition.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Trace, run, wait, and give the value; inside of another pipeline become a part of it.

        Raises:
            Exception: What a task raised, of its own type where that can be rebuilt.
            KeyboardInterrupt: Ctrl-C was pressed; what had finished is kept.
            PyflowError: Something stands against the run, or it was cancelled or lost.
        """
        if is_tracing():
            value: R = call_inline(self.definition, args, kwargs, self._after)
            return value
        started = self.prepare(args, kwargs)
        try:
            ending = started.carry_out()
        except KeyboardInterrupt:
            # Pressed twice, or while the author's code ran in this process.
            raise KeyboardInterrupt(started.run.stopped_text()) from None
        if ending.is_detached:
            raise KeyboardInterrupt(started.run.detached_text())
        if ending.is_interrupted:
            raise KeyboardInterrupt(started.run.stopped_text())
        if not ending.is_success:
            __tracebackhide__ = True  # IPython and pytest leave frames out that say so
            raising.raise_as_it_was(started.run.failure())
        result: R = started.run.result()
        return result

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Run:
        """Start a run, and give a handle to it at once.

        On ``inprocess`` the run has ended when this returns.

        Raises:
            PyflowError: Something stands against the run.
        """
        started = self.prepare(args, kwargs, is_aside=True)
        if started.executor.name == "inprocess":
            started.carry_out()
        elif not executors.is_remote(started.executor):
            aside.carry_out_aside(started)
        return started.run

    def compile(self, *args: Any, target: str = "argo", **kwargs: Any) -> Manifest:
        """What ``submit`` with these arguments would hand to a cluster, as plain JSON: a manifest to look at, keep or apply.

        A dictionary that a notebook shows as a tree; its ``expected`` says how many pods and bytes a run will take. The packed
        graph goes into the store, as for a run; the cluster is asked for nothing.

        Raises:
            PyflowError: Something stands against the run.
        """
        return start.compile_graph(trace(self.definition, args, kwargs), home.open_workplace(self._settings), target)

    def deploy(
        self, *, schedule: str | None = None, timezone: str | None = None, values: Mapping[str, Any] | None = None
    ) -> Deployment:
        """Put the pipeline on a cluster for good: its parameters are given when a run starts, by people, programs or the clock.

        Args:
            schedule: When it starts by itself, as cron spells it: ``"0 6 * * *"``; None: never.
            timezone: Of the schedule, ``"Europe/Berlin"``; None: as the cluster is set up.
            values: Parameters of the runs that start by themselves.

        Raises:
            DefinitionError: The body needs the value of a parameter, which is only given later.
            ExecutorError: The cluster does not take it.
        """
        return deploying.deploy(
            self.definition,
            home.open_workplace(self._settings),
            schedule=schedule,
            timezone=timezone,
            values=values or {},
        )

    def trace(self, *args: P.args, **kwargs: P.kwargs) -> Graph:
        """The graph that a call with these arguments would run."""
        return trace(self.definition, args, kwargs)

    def map(self, *args: Any, **kwargs: Any) -> list[R]:
        """Inside of another pipeline: run this one for each item, as the built-in ``map`` would.

        Positional arguments are mapped, keywords passed whole unless wrapped in ``each``.

        Raises:
            DefinitionError: Called outside of a pipeline's body.
        """
        if not is_tracing():
            raise DefinitionError(
                f"{self.name}.map() works inside of another pipeline. Outside of one, call {self.name}() for each item, "
                "or write a pipeline whose body says this."
            )
        results: list[R] = map_inline(self.definition, args, kwargs, self._after)
        return results

    def with_options(self, **options: Unpack[RunArgs]) -> Pipeline[P, R]:
        """The same pipeline with other options: ``executor``, ``store``, ``name``, ``parallelism`` and so on.

        Raises:
            DefinitionError: There is no such option; a near one is suggested.
        """
        settings = {k: v for k, v in options.items() if k in _SETTINGS}
        rest: dict[str, Any] = {k: v for k, v in options.items() if k not in _SETTINGS}
        _check_names(rest, RunArgs.__annotations__, "with_options()")
        definition = replace(self.definition, **rest) if rest else self.definition
        given = located(checked(settings, source=f"{self.name}.with_options()"))
        return self._copy(definition=definition, settings=given.over(self._settings))

    if not TYPE_CHECKING:  # type checkers refuse it by themselves
        __rshift__ = __rrshift__ = refuse_uncalled

    def after(self, *calls: Any) -> Pipeline[P, R]:
        """Inside of another pipeline: this one, whose calls start when these calls have ended, using nothing of them.

        Raises:
            DefinitionError: Something given is not the result of a call, or this is called outside of a pipeline's body.
        """
        if not is_tracing():
            raise DefinitionError(
                f"{self.name}.after() works inside of another pipeline. Outside of one, each call of a pipeline ends before the next line."
            )
        calls_of(list(calls), f"{self.name}.after()")
        return self._copy(after=(*self._after, *calls))

    def prepare(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, is_aside: bool = False) -> Started:
        """Trace, pack and record a run that is to be carried out later: for what is built on top of pipelines.

        Raises:
            PyflowError: Something stands against the run.
        """
        graph = trace(self.definition, args, kwargs)
        text = _arguments_text(args, kwargs)
        return start.prepare(graph, home.open_workplace(self._settings), arguments=text, is_aside=is_aside)


@overload
def pipeline(fn: Callable[P, R], /) -> Pipeline[P, R]: ...
@overload
def pipeline(**options: Unpack[PipelineArgs]) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...


def pipeline(fn: Callable[..., Any] | None = None, /, **options: Unpack[PipelineArgs]) -> Any:
    """Make a pipeline of a function that calls tasks.

    Args:
        fn: The function, for ``@pipeline`` without brackets.
        **options: ``name``; ``defaults``, options for its tasks; ``parallelism``, how many tasks may run at
            once; ``fail_fast=False`` to go on with what does not depend on a failure; ``order="calls"`` to let
            each call wait for the one before; ``on_exit``, a task that gets the run's outcome at its end.

    Raises:
        DefinitionError: An option is unknown or wrong, or this is not a function.
    """
    tell_plainly()
    frame = sys._getframe(1)  # noqa: SLF001  the cheap way to the caller's line
    at = Location(frame.f_code.co_filename, frame.f_lineno)
    _check_names(options, PipelineArgs.__annotations__, f"@pipeline at {at}")

    def decorate(function: Callable[..., Any]) -> Pipeline[..., Any]:
        if isinstance(function, (Pipeline, Task)):
            kind = "pipeline" if isinstance(function, Pipeline) else "task"
            raise DefinitionError(f"{function!r} is a {kind} already, so @pipeline at {at} cannot make it one.")
        named: dict[str, Any] = dict(options)
        binding: Any = {classmethod: "class", staticmethod: "static"}.get(type(function), "instance")
        plain: Any = function if binding == "instance" else getattr(function, "__func__", function)
        name = named.pop("name", None) or name_of(plain)
        return Pipeline(Definition(fn=plain, name=name, at=_definition_place(plain, at), **named), binding=binding)

    return decorate if fn is None else decorate(fn)


def _definition_place(function: Any, at: Location) -> Location:
    code = getattr(function, "__code__", None)
    return at if code is None else Location(code.co_filename, code.co_firstlineno)


def _check_names(options: Mapping[str, object], known: Mapping[str, object], what: str) -> None:
    for name in options:
        if name in known:
            continue
        if name in OptionArgs.__annotations__:
            raise DefinitionError(
                f"{what} has no option {name!r}, for it is one of tasks: @task({name}=...). For all tasks of the pipeline write "
                f"defaults={{{name!r}: ...}}."
            )
        raise DefinitionError(f"{what} has no option {name!r}.{suggestion(name, known)}")


def _arguments_text(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The call's arguments as one short line; of values that are not plain only the type."""
    texts = [_short(value) for value in args] + [f"{name}={_short(value)}" for name, value in kwargs.items()]
    return ", ".join(texts)[:200]


def _short(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 256:
        return "int"  # Python refuses to write thousands of digits
    if isinstance(value, (str, int, float, bool, type(None))):
        text = repr(value)
        return text if len(text) <= 40 else text[:39] + "…"
    return type(value).__name__
