"""``@container``: a task that is any image with a command line, given by a function."""

from __future__ import annotations

import functools
import inspect
import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, NoReturn, ParamSpec, TypedDict, cast

from pyflow.errors import DefinitionError
from pyflow.graph import ContainerNode, Function, Location, OptionArgs, Options, Path, Ref, Secret, Step, Unpack, Volume
from pyflow.tracing.calling import Authored, check_options
from pyflow.tracing.captures import refuse_captures
from pyflow.tracing.command import CommandCall
from pyflow.tracing.drafts import LeafDraft, MapDraft
from pyflow.tracing.location import here
from pyflow.tracing.mapping import Argument
from pyflow.tracing.names import name_of
from pyflow.tracing.placeholder import Placeholder
from pyflow.tracing.recorder import Trace, active
from pyflow.tracing.signature import binder, check_arguments
from pyflow.tracing.traced import Traced, part_text
from pyflow.uncaught import tell_plainly

P = ParamSpec("P")


class ContainerOptionArgs(TypedDict, total=False):
    """What a user may write in ``@container(...)`` beside the image and its files: options without Python in them."""

    name: str
    cpus: float
    memory: str | int
    gpus: int
    retries: int
    backoff: str | float
    timeout: str | float
    env: Mapping[str, str | Secret]
    labels: Mapping[str, str]
    batch: int
    memory_on_oom: str | int
    disk: str | int
    platform: str
    network: str
    volumes: Mapping[str, Volume]
    node_selector: Mapping[str, str]
    tolerations: Sequence[Mapping[str, Any]]
    service_account: str
    pod_patch: Mapping[str, Any]
    run_as_root: bool
    writable_root: bool


_PYTHON_ONLY: Final = {
    "retry_on": "A container has no Python exceptions: `retries` applies to every exit code but 0.",
    "outputs": "The files that a container leaves are said in @container(outputs={'name': '/path'}).",
    "image": "Its image is said in @container(image=...).",
    "packages": "Its image holds what it needs.",
    "python": "It needs no Python.",
}


class ContainerTask(Authored, Generic[P]):
    """A container's command line as a function. In a pipeline a call records a node; it has no meaning elsewhere.

    Attributes:
        fn: The function that gives the command line.
    """

    fn: Callable[P, list[Any]]

    def __init__(
        self,
        fn: Callable[P, list[Any]],
        options: OptionArgs,
        at: Location,
        *,
        image: str,
        inputs: Mapping[str, str],
        outputs: Mapping[str, str],
        stdout: bool,
    ) -> None:
        self.fn = fn
        functools.update_wrapper(self, fn)
        self.function = Function(fn, name_of(fn), at)
        self.image = image
        self.inputs = dict(inputs)
        self.outputs = dict(outputs)
        self.stdout = stdout
        self.bind = binder(fn)
        self._options = options
        self._call_options = OptionArgs()
        self._after = ()

    def __repr__(self) -> str:
        return f"<container {self.function.name}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Record a container's node, and stand for what it keeps."""
        trace = active.trace
        if trace is None:
            raise self._only_in_a_pipeline()
        self._refuse_batch()
        return self.record(trace, args, kwargs)

    def map(self, *args: Any, **kwargs: Any) -> list[Any]:
        """One container for each item, with the same rules as ``Task.map``."""
        return cast("list[Any]", self._map(args, kwargs))

    def with_options(self, **options: Unpack[OptionArgs]) -> ContainerTask[P]:
        """The same container task with other options, for the calls that are made of the answer."""
        _refuse_python_options(options, self.function.name, here())
        return super().with_options(**options)

    def _only_in_a_pipeline(self) -> DefinitionError:
        name = self.function.name
        return DefinitionError(
            f"Container task {name!r} was called at {here()}, outside of a pipeline's body. It runs as a node of a pipeline only; "
            f"{name}.fn(...) gives its command line."
        )

    def _map_plainly(self, arguments: list[Argument]) -> NoReturn:  # noqa: ARG002
        raise self._only_in_a_pipeline()

    def record(
        self, trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], name: str | None = None
    ) -> Placeholder:
        """Record one call as a node."""
        check_arguments(self.bind, args, kwargs)
        scope, label, at = trace.scope, self.function.name, here()
        if self.function not in trace.functions:
            trace.functions[self.function] = at
            refuse_captures(self.fn, label, at)
        options = self.options_in(trace, scope.defaults)
        self._refuse_files_in_volumes(options, at)
        needs: set[int] = set()
        call = CommandCall(self.function, scope, needs, args, kwargs, paths=self.inputs, is_output_file=_is_output_file)
        draft = ContainerDraft(scope, name or trace.names.take(scope.prefix + (options.name or label)), at, needs)
        draft.node = ContainerNode(
            id=draft.id,
            name=draft.name,
            at=at,
            image=self.image,
            command=call.command(),
            inputs=call.files(),
            outputs=tuple(self.outputs.items()),
            stdout=self.stdout,
            options=options,
        )
        trace.record(draft)
        self._wait(draft)
        return Placeholder(draft)

    def _refuse_files_in_volumes(self, options: Options, at: Location) -> None:
        """Refuse files that pyflow brings or keeps in a folder which is not the container's own."""
        what = f"Container task {self.function.name!r} (called at {at})"
        volumes = dict(options.volumes)
        for path in (*self.inputs.values(), *self.outputs.values()):
            place = posixpath.normpath(path)
            around, itself = volumes.get(posixpath.dirname(place)), volumes.get(place)
            if itself is not None and itself.kind == "scratch":
                raise DefinitionError(
                    f"{what} has {path!r} as an input or output, which is a scratch volume itself. Let it be a file or folder in that, such as "
                    f"'{place}/result'."
                )
            if around is not None and around.kind != "scratch":
                raise DefinitionError(
                    f"{what} has an input or output at {path!r}, in a folder that is {around!r}, and pyflow writes to none that others use. Say "
                    f"another path, such as '/work/{posixpath.basename(place)}'; the command itself may copy it to the volume."
                )


class ContainerDraft(LeafDraft):
    """A container's node in the making; it knows which parts its result has."""

    __slots__ = ()

    def step(self, path: Path, step: Step) -> Step:
        """One step further; of several outputs only those that there are."""
        node = self._node()
        names = [name for name, _ in node.outputs]
        if not path and not names and not node.stdout:
            raise DefinitionError(
                f"{part_text((step,))} at {here()} asks for a part of what container task {self.name!r} (called at {self.at}) gives, which is "
                "None: it keeps nothing. Say @container(outputs={'name': '/path'}) or @container(stdout=True)."
            )
        if path or len(names) < 2:
            return step
        if step[1] not in names:
            raise DefinitionError(
                f"{step[1]!r} at {here()} is not an output of container task {self.name!r} (called at {self.at}). It has: "
                f"{', '.join(map(repr, names))}."
            )
        return "item", step[1]

    def _node(self) -> ContainerNode:
        assert isinstance(self.node, ContainerNode)
        return self.node


def _is_output_file(value: Traced) -> bool:
    """Whether this is a file that another container left; what Python tasks return is only known when they ran."""
    origin, path = value.__pyflow_origin__, value.__pyflow_path__
    if isinstance(origin, MapDraft) and isinstance(origin.output, Ref) and path:
        origin, path = origin.scope.trace.drafts[origin.output.node], path[1:]
    if not isinstance(origin, ContainerDraft) or not isinstance(origin.node, ContainerNode):
        return False
    return len(origin.node.outputs) == 1 if not path else len(origin.node.outputs) > 1


def container(
    *,
    image: str,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    stdout: bool = False,
    **options: Unpack[ContainerOptionArgs],
) -> Callable[[Callable[P, list[Any]]], ContainerTask[P]]:
    """Make a task of any image; the function below gives its command line.

    Args:
        image: The image's name.
        inputs: Where the file of a parameter lies in the container, for those that must lie at a certain place.
        outputs: Which files or folders to keep, by name. With one of them the call stands for its path, with
            several for parts by name.
        stdout: Whether the call stands for the text of standard output.

    Raises:
        DefinitionError: With everything that is wrong about these, at once.
    """
    tell_plainly()
    at = here()

    def decorate(fn: Callable[P, list[Any]]) -> ContainerTask[P]:
        given = cast("OptionArgs", options)
        _check_container(fn, at, image, inputs or {}, outputs or {}, stdout=stdout, options=given)
        return ContainerTask(fn, given, at, image=image, inputs=inputs or {}, outputs=outputs or {}, stdout=stdout)

    return decorate


def _check_container(
    fn: Any, at: Location, image: object, inputs: Any, outputs: Any, *, stdout: object, options: OptionArgs
) -> None:
    if not callable(fn) or isinstance(fn, Authored):
        raise DefinitionError(f"@container at {at} needs a function that returns a command line, got {fn!r}.")
    name = name_of(fn)
    faults = []
    if not isinstance(image, str) or not image.strip():
        faults.append(f"image must be the name of an image, such as 'busybox:1.36', got {image!r}.")
    faults += _path_faults("inputs", inputs) + _path_faults("outputs", outputs)
    parameters = list(inspect.signature(fn).parameters)
    unknown = [key for key in inputs if key not in parameters] if isinstance(inputs, Mapping) else []
    faults += [f"inputs names {key!r}, which is no parameter of {name}({', '.join(parameters)})." for key in unknown]
    if type(stdout) is not bool:
        faults.append(f"stdout must be True or False, got {stdout!r}.")
    if stdout and outputs:
        faults.append("stdout=True and outputs={...} exclude each other: write standard output into one of the files.")
    try:
        _refuse_python_options(options, name, at)
        check_options(options, "Its options", at)
    except DefinitionError as error:
        faults.append(str(error))
    if faults:
        raise DefinitionError("\n".join([f"@container of {name!r} at {at}: {faults[0]}", *faults[1:]]))


def _path_faults(what: str, paths: object) -> list[str]:
    if not isinstance(paths, Mapping):
        return [f"{what} must be a dict of names and paths, got {paths!r}."]
    faults = []
    for name, path in paths.items():
        if not isinstance(name, str) or not name.isidentifier():
            faults.append(f"{what} has {name!r}, which is no name such as 'table'.")
        if (
            not isinstance(path, str)
            or not path.startswith("/")
            or posixpath.normpath(path) in ("/", "//")
            or ".." in path.split("/")
        ):
            faults.append(
                f"{what}[{name!r}] must be an absolute path in the container, such as '/tmp/{name}', got {path!r}."
            )
    if len(set(map(str, paths.values()))) < len(paths):
        faults.append(f"{what} names one path twice: {dict(paths)!r}.")
    return faults


def _refuse_python_options(options: Mapping[str, Any], name: str, at: Location) -> None:
    for option, advice in _PYTHON_ONLY.items():
        if option in options:
            raise DefinitionError(f"Container task {name!r} has no option {option!r} (at {at}). {advice}")


__all__ = ["ContainerOptionArgs", "ContainerTask", "container"]
