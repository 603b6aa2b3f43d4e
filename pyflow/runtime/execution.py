"""The one way a task runs: in the caller's process, in a pool, in a container or in a pod.

    look for a commit → load code and inputs → call the function → keep the result → tell facts → commit

Whatever happens on the way ends in an ``Outcome``; nothing is raised but what must end the process.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyflow.artifacts import keep, keep_items
from pyflow.contract import ErrorRecord, ExitCode, Invocation, LogSpan, Outcome
from pyflow.errors import (
    ConfigError,
    DefinitionError,
    EnvironmentMismatchError,
    IntegrityError,
    NotFoundError,
    StoreUnavailableError,
    TaskTimeoutError,
    add_note,
)
from pyflow.failpoints import reached
from pyflow.jsontext import Json
from pyflow.late import late
from pyflow.packed import PackedCall, PackedOptions
from pyflow.payload import own_code
from pyflow.runtime.failure import record_error
from pyflow.runtime.isolation import isolated
from pyflow.runtime.preview import preview
from pyflow.runtime.program import Place, Program
from pyflow.runtime.resolve import Resolver
from pyflow.runtime.screen import flush_python
from pyflow.runtime.script import script_names
from pyflow.runtime.usage import Usage
from pyflow.secrecy import Masker, SecretFinder
from pyflow.store import ContentStore, about_error

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = late("asyncio")

PYTHON_MINOR: Final = f"{sys.version_info.major}.{sys.version_info.minor}"


class Site(NamedTuple):
    """What the place lends to an attempt. Executors differ in this only."""

    scratch: Path
    """A private folder for files, emptied after the attempt."""
    capture: Callable[[], AbstractContextManager[Callable[[], LogSpan | None]]]
    """Keeps what is printed meanwhile; gives a function that answers where it was kept."""
    origins: dict[str, str]
    """Where the author's files lie that run here from the code bundle, by their paths here."""
    secrets: SecretFinder
    """Where secrets are looked up."""
    masker: Masker
    """Hides what is secret in what is printed."""
    starts_once: bool = False
    """Whoever starts attempts here starts each of them once, so that before the first nothing can be committed."""
    time_limit: Callable[[float | None], AbstractContextManager[None]] = lambda _: nullcontext()
    """For places without anyone outside who could end the attempt: raises ``TaskTimeoutError`` within."""
    permit: Callable[[], None] = lambda: None
    """Called before anything of the author's or of packages runs, maybe more than once: waits until that may be, or raises a
    ``BaseException`` that ends the attempt without an outcome."""


def execute(invocation: Invocation, program: Program, content: ContentStore, site: Site) -> Outcome:
    """Run one node at one index vector, and commit what it returns.

    If somebody has committed a result for it already, that one holds and nothing runs. A commit that is not believed (see
    ``pyflow.store.Trust``) is none: the node runs as if it were not there.

    Returns:
        What holds for the slot from now on, or how the attempt failed.
    """
    if invocation.attempt > 1 or not site.starts_once:
        reached("look.before")
        found = content.commits(invocation.run_id, program.digest).committed(invocation.slot)
        reached("look.after")
        if found is not None:
            return Outcome.from_wire(json.loads(found))
    site.permit()
    return _Attempt(invocation, program, content, site).run()


class _Attempt:
    """One attempt at one slot."""

    def __init__(self, invocation: Invocation, program: Program, content: ContentStore, site: Site) -> None:
        self._invocation = invocation
        self._program = program
        self._content = content
        self._site = site
        self._place = program.place(invocation.node)
        self._node: PackedCall = _call(self._place)
        self._options: PackedOptions = program.graph.options[self._node.options]
        self._process = os.getpid()
        self._started_at = time.time()
        self._usage = Usage()
        self._log: LogSpan | None = None

    def run(self) -> Outcome:
        try:
            environment = self._environment()
        except ConfigError as error:
            return self._ended_with(self._failed(error, ExitCode.ENVIRONMENT))
        with isolated(environment), own_code() as code, script_names() as names:
            with self._site.capture() as log_span:
                ended = self._produce(lambda function: names.lend(function, code))
            self._log = log_span()
        return self._commit(ended) if isinstance(ended, _Made) else self._ended_with(ended)

    def _environment(self) -> Mapping[str, str]:
        """The variables that the task asks for, secrets among them; those are hidden from now on wherever they turn up.

        Raises:
            ConfigError: A secret is not here.
        """
        if not self._options.secret_env:
            return self._options.env
        values = self._site.secrets.values(self._options.secret_env, os.environ)
        self._site.masker.learn(values.values())
        self._content.guard.learn(values)
        return {**self._options.env, **values}

    def _produce(self, lend_names: Callable[[object], None]) -> _Made | _Failed:
        reached("load.before")
        try:
            resolver = Resolver(self._program, self._content, self._invocation.run_id, self._site.scratch)
            function = self._program.function(self._node, self._content)
        except Exception as error:  # noqa: BLE001  unpickling runs the author's imports
            return self._failed(error, loading_exit_code(error))
        try:
            args, kwargs = self._arguments(resolver)
            lend_names(function)
        except Exception as error:  # noqa: BLE001  taking parts of values runs the author's code
            return self._failed(error, loading_exit_code(error, otherwise=ExitCode.TASK_RAISED_FOR_GOOD))
        reached("load.after")
        try:
            with self._site.time_limit(self._options.timeout_s):
                reached("call.before")
                value = self._call(function, args, kwargs)
                reached("call.after")
        except BaseException as error:  # noqa: BLE001  an attempt ends with an outcome, whatever the author raises
            return self._failed(error, self._raised(error))
        try:
            return self._keep(value, resolver)
        except Exception as error:  # noqa: BLE001  pickling and iterating run the author's code
            return self._failed(error, loading_exit_code(error, otherwise=ExitCode.TASK_RAISED_FOR_GOOD))

    def _call(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        try:
            value = finish(function(*args, **kwargs))
        except BaseException as error:
            self._leave_if_forked(error)
            raise
        self._leave_if_forked(None)
        return value

    def _leave_if_forked(self, error: BaseException | None) -> None:
        """End this process here if the task has forked it: what it returns or raises is not the attempt's."""
        if os.getpid() == self._process:
            return
        how = "returned from it" if error is None else f"raised {type(error).__name__} in it"
        text = f"A process that task {self._node.name!r} forked {how}, and ends here. End it with os._exit().\n"
        with suppress(OSError, ValueError, AttributeError):  # it may have closed what it got
            sys.stderr.write(text)
        flush_python()
        os._exit(os.EX_SOFTWARE)

    def _arguments(self, resolver: Resolver) -> tuple[list[Any], dict[str, Any]]:
        place, indices = self._place, self._invocation.indices
        args = [resolver.value(expr, place, indices) for expr in self._node.args]
        return args, {name: resolver.value(expr, place, indices) for name, expr in self._node.kwargs.items()}

    def _keep(self, value: object, resolver: Resolver) -> _Made:
        name = self._node.name
        outputs = self._options.outputs
        if outputs is not None and parts_of(value) != outputs:
            parts = parts_of(value)
            much = f"a {type(value).__name__}" if parts is None else f"{parts} parts"
            said = (
                f"its option says outputs={outputs}"
                if "outputs" in self._options.given
                else f"its annotation says {outputs}, as many as the pipeline has unpacked"
            )
            raise DefinitionError(f"Task {name!r} returned {much}, and {said}. It is defined at {self._defined_at}.")
        result = keep(value, self._content, what=self._result)
        resolver.know(self._node.id, self._invocation.indices, value)
        facts = [self._fact(fact, resolver) for fact in self._node.facts]
        return _Made(result, facts, self._content.guard.masked(preview(value)))

    def _fact(self, fact: Json, resolver: Resolver) -> Json:
        kind, what, *place = fact
        at = place[0] if place else ""
        if kind == "part":
            resolver.value(what, self._place, self._invocation.indices)
            return True
        if kind == "test":
            try:
                return resolver.holds(what, self._place, self._invocation.indices)
            except Exception as error:
                whose = "" if self._program.graph.is_helper(self._node) else f", on the result of {self._node.name!r}"
                add_note(error, f"This was raised by the condition at {at}{whose}.")
                raise
        expr = {"ref": self._node.id, "path": what, "at": at}
        items: Any = resolver.value(expr, self._place, self._invocation.indices)
        try:
            iterator = iter(items)
        except TypeError as error:
            raise DefinitionError(
                f"The result of task {self._node.name!r} is to be mapped, and {type(items).__name__} has no items. "
                f"It was called at {self._node.at}. Let it return a list."
            ) from error
        return keep_items(iterator, self._content, what=self._result)

    @property
    def _result(self) -> str:
        """What the value of the call is, for messages."""
        place = f" (defined at {self._defined_at})" if self._defined_at else ""
        return f"the result of task {self._node.name!r}{place}"

    @property
    def _defined_at(self) -> str:
        return self._program.graph.functions[self._node.function].at

    def _commit(self, made: _Made) -> Outcome:
        outcome = self._outcome(ExitCode.COMMITTED, result=made.result, facts=made.facts, preview=made.preview)
        try:
            record = outcome.to_bytes()
            reached("commit.before")
            held = self._content.commits(self._invocation.run_id, self._program.digest).commit(outcome.slot, record)
            reached("commit.after")
        except Exception as error:  # noqa: BLE001  whatever the store raises, the attempt has an outcome
            return self._ended_with(self._failed(error, loading_exit_code(error)))
        return outcome if held == record else Outcome.from_wire(json.loads(held))

    def _ended_with(self, failed: _Failed) -> Outcome:
        return self._outcome(failed.exit_code, error=failed.error)

    def _outcome(self, exit_code: ExitCode, **what: Any) -> Outcome:
        taken = self._usage.so_far()
        return Outcome(
            slot=self._invocation.slot,
            attempt=self._invocation.attempt,
            nonce=self._invocation.nonce,
            exit_code=int(exit_code),
            started_at=self._started_at,
            duration_s=taken.wall_s,
            cpu_s=taken.cpu_s,
            peak_memory_bytes=taken.peak_memory_bytes,
            log=self._log,
            fingerprint=self._program.graph.functions[self._node.function].fingerprint,
            environment=_environment_text(self._options.environment),
            **what,
        )

    def _raised(self, error: BaseException) -> ExitCode:
        if isinstance(error, TaskTimeoutError):
            return ExitCode.TIMEOUT
        types = self._program.retry_types(self._node, self._content)
        return ExitCode.TASK_RAISED if isinstance(error, types) else ExitCode.TASK_RAISED_FOR_GOOD

    def _failed(self, error: BaseException, exit_code: ExitCode) -> _Failed:
        about = about_error(self._invocation.run_id, self._program.digest, self._invocation.slot)
        record = record_error(error, self._content, origins=self._site.origins, about=about)
        if isinstance(error, TaskTimeoutError) and not error.node:
            # The place that raised it knew of no nodes; who reads the record names the right one.
            record = record._replace(message=error.reason, pickled=None)
        return _Failed(exit_code, record)


class _Made(NamedTuple):
    """A result that is kept and waits for its commit."""

    result: Json
    facts: list[Json]
    preview: str


class _Failed(NamedTuple):
    """How an attempt failed."""

    exit_code: ExitCode
    error: ErrorRecord


def parts_of(value: Any) -> int | None:
    """Into how many parts a value can be unpacked; None when it has no length."""
    try:
        return len(value)
    except TypeError:
        return None


def finish(value: Any) -> Any:
    """The value that a function returned; for an async function, what it returns when run to completion."""
    if isinstance(value, CoroutineType):
        return _run_to_completion(value)
    return value


def _run_to_completion(coroutine: Any) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    # In a notebook's process a loop runs in this thread already, and a thread has one at most.
    found: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(asyncio.run(coroutine))
        except BaseException as error:  # noqa: BLE001  it is raised again, in the thread that waits
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


def loading_exit_code(error: BaseException, *, otherwise: ExitCode = ExitCode.ENVIRONMENT) -> ExitCode:
    """Whose fault it is that code or values could not be loaded or kept."""
    if isinstance(error, EnvironmentMismatchError):
        return ExitCode.ENVIRONMENT
    if isinstance(error, (IntegrityError, NotFoundError)):
        return ExitCode.INTEGRITY
    if isinstance(error, StoreUnavailableError):
        return ExitCode.STORE_UNAVAILABLE
    return otherwise


def _environment_text(packages: Json) -> str:
    """What an outcome says of the place that the code ran in: ``3.11``, or ``3.11 <digest of the packages>``."""
    return PYTHON_MINOR if packages is None else f"{PYTHON_MINOR} {packages['digest']}"


def _call(place: Place) -> PackedCall:
    if not isinstance(place.node, PackedCall):
        raise IntegrityError(
            f"Node {place.node.id} ({place.node.name!r}) is not a Python task, so it cannot be run as one."
        )
    return place.node


def not_tried(invocation: Invocation, error: Exception) -> Outcome:
    """The outcome of an attempt for which not even the graph or the code could be read."""
    return Outcome(
        slot=invocation.slot,
        attempt=invocation.attempt,
        nonce=invocation.nonce,
        exit_code=int(loading_exit_code(error)),
        error=record_error(error, None, origins={}),
        started_at=time.time(),
        duration_s=0.0,
    )
