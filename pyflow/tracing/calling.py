"""What tasks and container tasks share: options for one call, order, and how a call reaches the trace."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyflow.errors import DefinitionError
from pyflow.graph import Function, Location, OptionArgs, Options, Unpack
from pyflow.tracing.condition import Condition, misplaced
from pyflow.tracing.drafts import Draft
from pyflow.tracing.location import here
from pyflow.tracing.mapping import (
    Argument,
    arguments_of,
    body_output,
    keywords,
    map_draft,
    positional,
    result_of,
    whole,
)
from pyflow.tracing.names import check_name
from pyflow.tracing.order import add_edges, calls_of, refuse_uncalled
from pyflow.tracing.placeholder import Placeholder
from pyflow.tracing.recorder import Trace, active, merged, open_trace_count, trace_that_started
from pyflow.tracing.signature import check_arguments, positional_names
from pyflow.tracing.traced import Traced, refused
from pyflow.tracing.values import Each

if TYPE_CHECKING:
    from typing_extensions import Self


class Authored:
    """A function that an author has decorated, with the options for its calls."""

    function: Function
    """What all nodes of this task share."""
    bound: tuple[Any, ...] = ()
    """What goes before the arguments: the ``self`` of a method."""
    bind: Callable[..., Any]
    """Raises the TypeError of a call that does not fit."""
    _options: OptionArgs
    _call_options: OptionArgs
    _after: tuple[Any, ...]

    def with_options(self, **options: Unpack[OptionArgs]) -> Self:
        """The same task with other options, for the calls that are made of the answer.

        Raises:
            DefinitionError: An option is unknown or has a wrong value.
        """
        check_options(options, f"{self.function.name}.with_options(...)", here())
        self._refuse_lost_class("with_options")
        return self.copy_with(_call_options=merged(options, self._call_options))

    def after(self, *calls: Any) -> Self:
        """The same task, whose calls wait for these calls to end, without using anything of them."""
        self._refuse_lost_class("after")
        if active.trace is not None:
            calls_of(list(calls), f"{self.function.name}.after()")
        return self.copy_with(_after=(*self._after, *calls))

    if not TYPE_CHECKING:  # type checkers refuse it by themselves
        __rshift__ = __rrshift__ = refuse_uncalled

    def copy_with(self, **changes: Any) -> Self:
        """The same task with some of its fields changed."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, **changes)
        return copy

    def options_in(self, trace: Trace, defaults: OptionArgs) -> Options:
        """What the options come to for a call below these defaults: the call's, the decorator's, the pipelines'."""
        key = (self, id(defaults))
        options = trace.options.get(key)
        if options is None:
            given = merged(self._call_options, merged(self._options, defaults))
            options = trace.options[key] = Options.of(given)
        return options

    def own_options(self) -> Options:
        """What the options come to for a call that no pipeline has defaults for."""
        return Options.of(merged(self._call_options, self._options))

    def record(
        self, trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], name: str | None = None
    ) -> Placeholder:
        """Record one call.

        Args:
            name: The node's name when it is the one in the body of a map, which is called as the map is.
        """
        raise NotImplementedError

    def _map_plainly(self, arguments: list[Argument]) -> Any:
        """What a map means outside of a pipeline."""
        raise NotImplementedError

    def _map(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._refuse_lost_class("map")
        name = self.function.name
        arguments = arguments_of(name, positional_names(self.function.fn), args, kwargs, self.bound)
        trace = active.trace
        if trace is None:
            return self._map_plainly(arguments)
        check_arguments(self.bind, (*self.bound, *args), kwargs)
        options = self.options_in(trace, trace.scope.defaults)
        draft, values = map_draft(trace, options.name or name, arguments)
        draft.batch = options.batch
        self._wait(draft)
        with whole(draft), trace.inside(draft.body):
            result = self.copy_with(_after=()).record(
                trace, tuple(positional(arguments, values)), keywords(arguments, values), draft.name
            )
            body_output(draft, result)
        return result_of(draft, arguments)

    def _refuse_lost_class(self, method: str) -> None:
        # Since Python 3.13 a classmethod around a task hides the class from the task's own methods.
        names = positional_names(self.function.fn)[:1]
        if names == ["cls"] and not self.bound and _is_in_a_class(self.function.fn):
            raise DefinitionError(
                f"{self.function.name}.{method}() at {here()}: the class is not known here. Write @task above @classmethod (at {self.function.at})."
            )

    def _refuse_batch(self) -> None:
        if "batch" in self._call_options:
            raise DefinitionError(
                f"{self.function.name}.with_options(batch=...) was called at {here()} without .map(). A batch is a number of items "
                "of a map: leave it out, or write .map(items)."
            )

    def _wait(self, draft: Draft) -> None:
        if self._after:
            operation = f"{self.function.name}.after()"
            add_edges(calls_of(list(self._after), operation), [draft], operation)


def _is_in_a_class(fn: Any) -> bool:
    around = getattr(fn, "__qualname__", "").rpartition(".")[0]
    return bool(around) and not around.endswith("<locals>")


def check_options(options: OptionArgs, what: str, at: Location) -> None:
    """Refuse wrong options where they are written.

    Raises:
        DefinitionError: With all the misspelt names, or the wrong value, and the place.
    """
    try:
        Options.of(options)
    except DefinitionError as error:
        raise DefinitionError(f"{what} at {at}: {error}") from None  # it says all that the other one does
    if "name" in options:
        check_name(options["name"], what="A task", at=at)


def check_plain_call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse a call outside of a trace that only makes sense inside one.

    Raises:
        DefinitionError: An argument is a placeholder, or the thread was started by a body that is being traced.
    """
    for value in (*args, *kwargs.values()):
        if isinstance(value, Traced):
            raise refused(
                value,
                f"A plain call of {name}()",
                "Call the task in the body of the pipeline, not in a thread or after it.",
            )
        if isinstance(value, Condition):
            raise misplaced(value, what=f"An argument of {name}()")
        if isinstance(value, Each):
            raise DefinitionError(
                f"{name}() was called at {here()} with each(...), which only means something in .map()."
            )
    if open_trace_count():
        trace = trace_that_started(threading.current_thread())
        if trace is not None:
            error = DefinitionError(
                f"Task {name!r} was called at {here()} in a thread that began while pipeline {trace.name!r} is traced (at {trace.at}). "
                "A trace sees the calls of its own thread only. Call the task in the body itself: nothing runs there yet, "
                "and independent tasks run side by side anyway; or use task.map(items)."
            )
            # Raised again at the end of the trace, because a thread's own errors end with the thread.
            trace.faults.append(str(error))
            raise error
