"""Container tasks: what lies where before a container of any image runs, and what is kept after it.

    stage → (somebody runs the container) → collect

Both work on a private folder of the host, so that a container on this machine and one in a pod are served alike;
who runs the container brings each input to its place in it, and each output back to the folder.
"""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final

from pyflow.artifacts import keep
from pyflow.contract import ErrorRecord, ExitCode, Invocation, LogSpan, Outcome
from pyflow.errors import DefinitionError, IntegrityError, NotSerializableError
from pyflow.jsontext import Json, dump
from pyflow.packed import PackedContainer
from pyflow.runtime.execution import loading_exit_code
from pyflow.runtime.failure import record_error
from pyflow.runtime.preview import preview
from pyflow.runtime.program import Program
from pyflow.runtime.resolve import Resolver
from pyflow.store import ContentStore, about_error

INPUTS: Final = "/pyflow/inputs"
"""Where inputs lie in a container whose author did not say."""

_LAST_WORDS: Final = 20
_MOST_LINKS: Final = 40
"""As many links as Linux follows for one path (path_resolution(7))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedContainer:
    """A container task whose inputs are there."""

    image: str
    argv: list[str]
    inputs: list[tuple[Path, str]] = field(default_factory=list)
    """A private file or folder of the host, and where it lies in the container."""
    outputs: list[tuple[str, str, Path]] = field(default_factory=list)
    """Name, where the container leaves it, and where on the host it is to be for ``collect``."""
    keeps_stdout: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEnd:
    """How a container ended."""

    exit_code: int
    stdout: bytes = b""
    """What it wrote to standard output; needed when that is the result, and for the text of an error."""
    last_words: bytes = b""
    """The end of what it printed, for the text of an error."""
    log: LogSpan | None = None
    started_at: float = 0.0
    duration_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0


def container_node(invocation: Invocation, program: Program) -> PackedContainer:
    """The node of an invocation, which must be a container task.

    Raises:
        IntegrityError: It is another kind of node.
    """
    node = program.place(invocation.node).node
    if not isinstance(node, PackedContainer):
        raise IntegrityError(f"Node {node.id} ({node.name!r}) is not a container task, so it cannot be run as one.")
    return node


def committed_outcome(invocation: Invocation, content: ContentStore) -> Outcome | None:
    """What somebody has committed for the slot already, so that nothing needs to run."""
    found = content.commits(invocation.run_id, invocation.graph_digest).committed(invocation.slot)
    return None if found is None else Outcome.from_wire(json.loads(found))


def stage(invocation: Invocation, program: Program, content: ContentStore, folder: Path) -> StagedContainer:
    """Put the command together, and write the input files below ``folder``.

    Args:
        invocation: Of a container task.
        program: The graph.
        content: The store of the run.
        folder: A private folder.

    Raises:
        DefinitionError: A value cannot be an argument or an input file; the message names it.
        StoreError: A value cannot be read.
    """
    node = container_node(invocation, program)
    resolver = Resolver(program, content, invocation.run_id, folder / "values")
    staging = _Staging(node, invocation, resolver, program, folder / "copies")
    for name, expr, path in node.inputs:
        staging.add_input(name, expr, path)
    argv = ["".join(staging.text(piece) for piece in word) for word in node.command]
    outputs = [
        (name, path, folder / "outputs" / name / posixpath.basename(posixpath.normpath(path)))
        for name, path in node.outputs
    ]
    for _, _, host in outputs:
        host.parent.mkdir(parents=True, exist_ok=True)
    # A folder comes before what lies in it.
    inputs = sorted(staging.inputs, key=lambda laid: laid[1].count("/"))
    return StagedContainer(image=node.image, argv=argv, inputs=inputs, outputs=outputs, keeps_stdout=node.stdout)


class _Staging:
    """The command and the inputs of one container in the making."""

    def __init__(
        self, node: PackedContainer, invocation: Invocation, resolver: Resolver, program: Program, copies: Path
    ) -> None:
        self.inputs: list[tuple[Path, str]] = []
        self._copies = copies
        self._node = node
        self._indices = invocation.indices
        self._place = program.place(invocation.node)
        self._resolver = resolver
        self._path_by_expr: dict[str, str] = {}

    def add_input(self, name: str, expr: Json, path: str | None) -> None:
        """Let a file or folder lie in the container, at a path that its author said or a free one."""
        value = self._resolver.value(expr, self._place, self._indices)
        if not isinstance(value, PurePath):
            raise DefinitionError(
                f"Container task {self._node.name!r} (called at {self._node.at}) takes a file as {name!r}, and got "
                f"{preview(value)} ({type(value).__name__}). Write it to a file in a task before, and return the Path."
            )
        laid = self._lay(Path(value), name, path)
        if path is None or dump(expr) not in self._path_by_expr:
            self._path_by_expr[dump(expr)] = laid

    def text(self, piece: Json) -> str:
        """A piece of the command as text."""
        if isinstance(piece, str):
            return self._checked(piece)
        known = self._path_by_expr.get(dump(piece))
        if known is not None:
            return known
        value = self._resolver.value(piece, self._place, self._indices)
        if isinstance(value, PurePath):
            path = self._path_by_expr[dump(piece)] = self._lay(Path(value), str(len(self.inputs)), None)
            return path
        return self._plain(value)

    def _lay(self, value: Path, name: str, path: str | None) -> str:
        if path is None:
            # Files of one name may be handed over by one parameter, as ``*files``.
            taken = {laid for _, laid in self.inputs}
            places = [f"{INPUTS}/{name}{f'-{n}' if n else ''}/{value.name}" for n in range(len(taken) + 1)]
            path = next(place for place in places if place not in taken)
        path = posixpath.normpath(path)
        if any(value == source or value in source.parents or source in value.parents for source, _ in self.inputs):
            value = self._copy(value)
        self.inputs.append((value, path))
        return path

    def _copy(self, value: Path) -> Path:
        """Another one of what lies elsewhere already: the container may write to either."""
        copy = self._copies / str(len(self.inputs)) / value.name
        copy.parent.mkdir(parents=True)
        if value.is_dir():
            shutil.copytree(value, copy, symlinks=True)
        else:
            shutil.copy2(value, copy)
        return copy

    def _plain(self, value: object) -> str:
        # Also numbers of numpy's, and texts of a class of one's own.
        text = str(value) if isinstance(value, (str, int, float)) or value is None else _number_text(value)
        if text is None:
            raise DefinitionError(
                f"Container task {self._node.name!r} (called at {self._node.at}) has {preview(value)} ({type(value).__name__}) in its "
                "command line, which takes text, numbers and files. Write it to a file in a task before, or hand over a part of it."
            )
        return self._checked(text)

    def _checked(self, text: str) -> str:
        if "\0" in text:
            raise DefinitionError(
                f"Container task {self._node.name!r} (called at {self._node.at}) has a text with a NUL in its command line, "
                "where it would end. Write it to a file in a task before."
            )
        return text


def _number_text(value: object) -> str | None:
    """The text of a number that is no number of Python's own."""
    return str(value) if hasattr(value, "__float__") and getattr(value, "shape", ()) == () else None


def collect(
    invocation: Invocation, program: Program, content: ContentStore, staged: StagedContainer, end: ContainerEnd
) -> Outcome:
    """Keep what a container left, and commit it; or the outcome of its failure.

    Returns:
        What holds for the slot from now on, or how the attempt failed. Nothing is raised.
    """
    if end.exit_code != 0:
        return failed_container(invocation, program, end, ExitCode.TASK_RAISED, _exit_text(program, invocation, end))
    try:
        node = container_node(invocation, program)
        missing = [f"{name!r} at {path}" for name, path, host in staged.outputs if not _lies_at(host)]
        if missing:
            text = f"The container ended well, but left nothing of what it is to keep: {', '.join(missing)}."
            return failed_container(invocation, program, end, ExitCode.TASK_RAISED, text)
        value = _value(node, staged, end)
        result = _kept(value, node, staged, content)
        outcome = _outcome(
            invocation, end, ExitCode.COMMITTED, result=result, preview=preview(value), environment=node.image[:200]
        )
        record = outcome.to_bytes()
        held = content.commits(invocation.run_id, program.digest).commit(outcome.slot, record)
        return outcome if held == record else Outcome.from_wire(json.loads(held))
    except Exception as error:  # noqa: BLE001  whatever reading and keeping raise, the attempt has an outcome
        return not_staged(invocation, error, program, content, end)


def not_staged(
    invocation: Invocation,
    error: Exception,
    program: Program,
    content: ContentStore,
    end: ContainerEnd | None = None,
) -> Outcome:
    """The outcome of a container task whose inputs could not be brought, or whose results could not be kept."""
    code = loading_exit_code(error, otherwise=ExitCode.TASK_RAISED_FOR_GOOD)
    about = about_error(invocation.run_id, program.digest, invocation.slot)
    record = record_error(error, content, origins={}, about=about)
    return _outcome(invocation, end or ContainerEnd(exit_code=int(code)), code, error=record)


def failed_container(invocation: Invocation, program: Program, end: ContainerEnd, code: ExitCode, text: str) -> Outcome:
    """The outcome of a container that did not do what it should."""
    node = program.place(invocation.node).node
    image = f" of image {node.image!r}" if isinstance(node, PackedContainer) else ""
    record = ErrorRecord(
        type="pyflow.errors.TaskError",
        message=text,
        traceback=f"{text}\nIt was a container{image}, called at {node.at}.",
    )
    return _outcome(invocation, end, code, error=record)


def _kept(value: object, node: PackedContainer, staged: StagedContainer, content: ContentStore) -> Json:
    """The artifact of the result.

    Raises:
        NotSerializableError: A file cannot travel; the message names it as the author does.
    """
    try:
        return keep(value, content, what=f"the result of container task {node.name!r}")
    except NotSerializableError as error:
        text = str(error)
        for _, path, host in staged.outputs:
            text = text.replace(str(host), posixpath.normpath(path))
        raise NotSerializableError(text) from None


def _value(node: PackedContainer, staged: StagedContainer, end: ContainerEnd) -> object:
    if node.stdout:
        return _text(end.stdout)
    paths = {name: host for name, _, host in staged.outputs}
    if len(paths) == 1:
        return next(iter(paths.values()))
    return paths or None


def _text(printed: bytes) -> str:
    try:
        return printed.decode()
    except UnicodeDecodeError as error:
        raise DefinitionError(
            f"What the container wrote to standard output is no text in UTF-8: byte {error.start} of {len(printed)} is 0x{printed[error.start]:02x}. "
            "Let it write a file, and keep that by outputs= in the place of stdout=True."
        ) from None


def _exit_text(program: Program, invocation: Invocation, end: ContainerEnd) -> str:
    name = program.place(invocation.node).node.name
    words = end.last_words.decode(errors="replace").splitlines()[-_LAST_WORDS:]
    told = "\n".join(["", "It printed last:", *(f"  {line}" for line in words)]) if words else ""
    return f"The container of {name!r} exited with code {end.exit_code}.{told}"


def _outcome(invocation: Invocation, end: ContainerEnd, code: ExitCode, **what: Json) -> Outcome:
    return Outcome(
        slot=invocation.slot,
        attempt=invocation.attempt,
        nonce=invocation.nonce,
        exit_code=int(code),
        started_at=end.started_at or time.time(),
        duration_s=round(end.duration_s, 6),
        cpu_s=end.cpu_s,
        peak_memory_bytes=end.peak_memory_bytes,
        log=end.log,
        **what,
    )


def move_into(source: Path, target: Path) -> None:
    """Let a file or folder lie at a place where a folder may be already: then what is in it is added to that."""
    if target.is_dir() and source.is_dir() and not source.is_symlink():
        for child in sorted(source.iterdir()):
            move_into(child, target / child.name)
        target.chmod(target.stat().st_mode | source.stat().st_mode & 0o777)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        raise DefinitionError(f"The input {source.name!r} is a file, and at its place {target.name!r} lies a folder.")
    shutil.move(source, target)


def followed(path: str, on_host: Callable[[str], Path | None]) -> str:
    """Where a path in a container leads, when links are followed as the container would: never by what lies on this side.

    Args:
        path: In the container, absolute.
        on_host: Where a path of the container's lies here; None when that cannot be seen.

    Raises:
        IntegrityError: Links lead to each other without end.
    """
    done, waiting, links = "/", posixpath.normpath(path).strip("/").split("/"), 0
    while waiting:
        here = posixpath.normpath(posixpath.join(done, waiting.pop(0)))
        host = on_host(here)
        if host is None or not host.is_symlink():
            done = here
            continue
        links += 1
        if links > _MOST_LINKS:
            raise IntegrityError(f"The container left links at {path!r} that lead to each other without end.")
        leads_to = os.readlink(host)
        waiting = [part for part in leads_to.split("/") if part] + waiting
        done = "/" if leads_to.startswith("/") else done
    return done


def brought(source: Path, host: Path) -> Path:
    """What a link of the container's led to, under the name that the author has given to the output."""
    if source.is_dir():
        shutil.copytree(source, host, symlinks=True)
    elif source.exists():
        shutil.copy2(source, host)
    return host


def _lies_at(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def parents_of(staged: StagedContainer) -> Iterator[str]:
    """The folders in the container that must be there, and open to whom it runs as, for its outputs; each once."""
    yield from dict.fromkeys(posixpath.dirname(posixpath.normpath(path)) for _, path, _ in staged.outputs)
