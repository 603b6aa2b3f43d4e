"""Container tasks on a Docker engine: inputs laid, the container run, outputs brought back, the result committed."""

from __future__ import annotations

import os
import posixpath
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyflow.contract import Invocation, LogSpan, Outcome
from pyflow.errors import DefinitionError, IntegrityError, PyflowError
from pyflow.executors.docker.container import Container, EngineError, State, archive_in, engine_errors
from pyflow.executors.docker.mounts import TMP, bind
from pyflow.executors.docker.place import Place, Recipe
from pyflow.late import late
from pyflow.packed import PackedContainer, PackedOptions
from pyflow.runtime import (
    ContainerEnd,
    Program,
    StagedContainer,
    brought,
    collect,
    followed,
    move_into,
    not_staged,
    parents_of,
    stage,
    writer_of,
)
from pyflow.secrecy import Masker
from pyflow.store import ContentStore

if TYPE_CHECKING:
    import tarfile
else:
    tarfile = late("tarfile")

_MOST_COPIED: Final = 64 * 2**20
"""A folder of the image that holds more is not made writable for an output in it."""
_LAST_WORDS: Final = 8 * 1024
_REPLACED: Final = "\ufffd".encode()


@dataclass(slots=True)
class _Private:
    """Folders of the container that are private folders of this machine, by where they lie there."""

    by_target: dict[str, Path]

    def host_path(self, path: str) -> Path | None:
        """Where a path of the container's lies on this machine; None when it is in none of the folders."""
        path = posixpath.normpath(path)
        for target in sorted(self.by_target, key=len, reverse=True):
            if path == target or path.startswith(f"{target}/"):
                return self.by_target[target] / path[len(target) + 1 :]
        return None


class ContainerAttempt:
    """One attempt at one container task."""

    def __init__(
        self,
        invocation: Invocation,
        place: Place,
        program: Program,
        node: PackedContainer,
        options: PackedOptions,
        memory_mib: int | None,
    ) -> None:
        self._invocation = invocation
        self._place = place
        self._program = program
        self._node = node
        self._options = options
        self._memory_mib = memory_mib
        self._content: ContentStore = place.job.content
        self._scratch = place.scratch_folder(invocation)
        self._folder = Path(tempfile.mkdtemp(prefix="staged-", dir=place.folder))
        self._log = _Log(self._content, invocation, Masker(place.secret_values(options).values()))
        self._staged: StagedContainer | None = None
        self._private = _Private({TMP: Path(self._scratch)})

    def recipe(self) -> Recipe:
        """How to create its container, when its inputs are laid.

        Raises:
            PyflowError: An input cannot be had, or is not fit for a container; nothing has run.
        """
        staged = self._staged = stage(self._invocation, self._program, self._content, self._folder)
        self._make_scratch()
        folders = tuple(f"{target}/" for source, target in staged.inputs if source.is_dir())
        in_inputs = [parent for parent in parents_of(staged) if f"{parent}/".startswith(folders)]
        for parent in parents_of(staged):
            if parent not in in_inputs:
                self._open_folder(parent)
        mounts = [mount for source, target in staged.inputs for mount in self._laid(source, target)]
        for parent in in_inputs:
            self._open_folder(parent)
        mounts += [bind(str(folder), target, read_only=False) for target, folder in self._private.by_target.items()]
        for folder in self._private.by_target.values():
            self._place.give(str(folder))
        return self._place.task_container(
            self._invocation,
            self._node,
            self._options,
            self._memory_mib,
            argv=staged.argv,
            mounts=mounts,
            scratch=self._scratch,
        )

    def _make_scratch(self) -> None:
        """An empty private folder for each scratch volume; the one for temporary files is there."""
        for number, (target, kind, *_) in enumerate(self._options.volumes):
            if kind == "scratch" and target != TMP:
                self._private.by_target[target] = self._folder / "scratch" / str(number)
                self._private.by_target[target].mkdir(parents=True)

    def _laid(self, source: Path, target: str) -> list[Any]:
        """Let an input lie at its place, in a folder that is private already or as one more; the mount that it needs for that."""
        self._place.give(str(source))
        inside = self._inside(target)
        if inside is not None:
            move_into(source, inside)
        elif source.is_dir():
            self._private.by_target[target] = source
        else:
            return [bind(str(source), target, read_only=False)]
        return []

    def _inside(self, path: str) -> Path | None:
        """Where a path lies on this machine, if it lies in a private folder, also when links that are there already are followed."""
        return self._private.host_path(followed(path, self._private.host_path))

    def follow(self, container: Container) -> tuple[State, ContainerEnd]:
        """Wait for its end, and keep what it prints."""
        started_at, began = time.time(), time.monotonic()
        for piece in container.output():
            self._log.add(piece)
        state = container.wait()
        self._log.end_with(container.printed())
        assert self._staged is not None
        end = ContainerEnd(
            exit_code=state.exit_code,
            stdout=container.printed(only_stdout=True) if self._staged.keeps_stdout else b"",
            log=self._log.close(),
            last_words=bytes(self._log.last_words),
            started_at=started_at,
            duration_s=time.monotonic() - began,
        )
        return state, end

    def collect(self, container: Container, end: ContainerEnd) -> Outcome:
        """Keep what the container left."""
        assert self._staged is not None
        staged = self._staged
        if end.exit_code == 0:
            try:
                if staged.keeps_stdout:
                    _check_stdout(end.stdout)
                outputs = [(name, path, self._fetched(container, path, host)) for name, path, host in staged.outputs]
            except EngineError:
                raise
            except (PyflowError, OSError) as error:
                return not_staged(self._invocation, error, self._program, self._content, end)
            staged = replace(staged, outputs=outputs)
        return collect(self._invocation, self._program, self._content, staged, end)

    def close(self) -> None:
        """Remove the files of this attempt."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._place.forget(self._scratch)

    def _fetched(self, container: Container, path: str, host: Path) -> Path:
        """An output on this machine. Links lead to what lies in the container, and never to what lies here."""
        place = posixpath.normpath(path)
        leads_to = followed(place, self._private.host_path)
        inside = self._private.host_path(leads_to)
        if inside is not None:
            return inside if leads_to == place else brought(inside, host)
        archive = container.archive(leads_to)
        if archive is not None:
            unpack(archive, host.parent)
            if leads_to != place:
                os.replace(host.with_name(posixpath.basename(leads_to)), host)
        return host

    def _open_folder(self, parent: str) -> None:
        """Make a folder of the container's writable for an output in it, with what the image has there."""
        inside = self._inside(parent)
        if inside is not None:
            inside.mkdir(parents=True, exist_ok=True)
            return
        if self._options.writable_root or parent == "/":
            return
        there = _content_of(self._place.engine, self._node.image, parent)
        if there is None:
            return
        folder = self._folder / "opened" / str(len(self._private.by_target))
        folder.mkdir(parents=True)
        if there:
            unpack(iter([there]), folder)
            folder /= posixpath.basename(parent)
        self._private.by_target[parent] = folder


def _check_stdout(printed: bytes) -> None:
    """Refuse what the engine may have changed: what is no UTF-8 stands in its JSON as U+FFFD.

    Raises:
        DefinitionError: Such a character is in it.
    """
    if _REPLACED in printed:
        raise DefinitionError(
            "What the container wrote to standard output is no text in UTF-8, or holds the character U+FFFD itself, which the Docker engine "
            "does not tell apart. Let it write a file, and keep that by outputs= in the place of stdout=True."
        )


_content_by_folder: dict[tuple[str, str], bytes | None] = {}


def _content_of(engine: Any, image: str, folder: str) -> bytes | None:
    """A folder of an image as a tar file: empty when there is none, None when there is too much in it. Asked once."""
    api = engine.api
    with engine_errors("could not be prepared"):
        key = (str(api.inspect_image(image)["Id"]), folder)
        if key not in _content_by_folder:
            probe = api.create_container(image, entrypoint=["true"], labels={"pyflow.probe": "1"})["Id"]
            try:
                _content_by_folder[key] = _read_folder(archive_in(api, probe, folder))
            finally:
                api.remove_container(probe, force=True, v=True)
        return _content_by_folder[key]


def _read_folder(stream: Iterator[bytes] | None) -> bytes | None:
    found = bytearray()
    for piece in stream or ():
        found += piece
        if len(found) > _MOST_COPIED:
            return None
    return bytes(found)


class _Log:
    """The log of one container task in the store, and the end of it."""

    _INTERVAL_S: Final = 0.25

    def __init__(self, content: ContentStore, invocation: Invocation, masker: Masker) -> None:
        self._masker = masker
        self._blobs = content.blobs
        self._writer = writer_of([invocation])
        self._key = content.keys.log(invocation.run_id, self._writer)
        self._pending = bytearray()
        self._open = 0
        """Bytes of a line that has no end yet."""
        self._written_at = 0.0
        self._end = 0
        self.last_words = bytearray()

    def add(self, piece: bytes) -> None:
        """Something was printed."""
        self._pending += piece
        at = piece.rfind(b"\n")
        self._open = self._open + len(piece) if at < 0 else len(piece) - at - 1
        if time.monotonic() - self._written_at >= self._INTERVAL_S:
            self._write()

    def end_with(self, printed: bytes) -> None:
        """All that was printed: the engine may end a stream before the last line, if nothing ends that."""
        rest = printed[printed.rfind(b"\n") + 1 :]
        if len(rest) > self._open:
            self.add(rest[self._open :])

    def close(self) -> LogSpan | None:
        """Write the rest; where it all is, None for nothing."""
        self._write(is_end=True)
        if not self._end:
            return None
        self._blobs.publish(self._key)
        return LogSpan(writer=self._writer, start=0, end=self._end)

    def _write(self, *, is_end: bool = False) -> None:
        # What a secret may have begun in waits for the rest of it.
        count = len(self._pending) if is_end else self._masker.ready(bytes(self._pending))
        if count:
            shown = self._masker.hide(bytes(self._pending[:count]))
            del self._pending[:count]
            self._blobs.append(self._key, shown)
            self._end += count
            self.last_words = (self.last_words + shown)[-_LAST_WORDS:]
        self._written_at = time.monotonic()


def unpack(stream: Iterator[bytes], folder: Path) -> None:
    """Write what a tar file of the engine's holds below a folder, and nowhere else.

    Raises:
        IntegrityError: Something in it leads out of the folder.
    """
    with tempfile.TemporaryFile() as file:
        for piece in stream:
            file.write(piece)
        file.seek(0)
        with tarfile.open(fileobj=file) as tar:
            for member in tar:
                _write_member(tar, member, folder)


def _write_member(tar: Any, member: Any, folder: Path) -> None:
    target = folder / member.name
    parts = Path(member.name).parts
    # A link that was written before must not lead what follows out of the folder.
    parents = [folder.joinpath(*parts[:n]) for n in range(1, len(parts))]
    if member.name.startswith("/") or ".." in parts or any(parent.is_symlink() for parent in parents):
        raise IntegrityError(f"The container left {member.name!r}, which leads out of its folder.")
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        target.chmod(member.mode & 0o777 | 0o700)
    elif member.issym():
        target.symlink_to(member.linkname)
    elif member.isreg():
        source = tar.extractfile(member)
        with open(target, "wb") as file:
            shutil.copyfileobj(source, file)
        os.chmod(target, member.mode & 0o777 | 0o600)
    elif member.islnk():
        os.link(folder / member.linkname, target)
