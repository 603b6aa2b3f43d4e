"""A container task in a pod: one container before the author's, one beside it, and a volume that they share.

    stage   writes the input files, and the arguments that only run time knows
    main    is any image; Argo's emissary starts its command, and writes its exit code and output to files
    collect waits for the exit code, keeps what was printed while it is printed, and commits the outputs

What lies where is decided here for both sides, the one that makes the manifest and the pod, from the node alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from pyflow.contract import ExitCode, Invocation, LogSpan, Outcome
from pyflow.errors import IntegrityError, PyflowError
from pyflow.jsontext import dump
from pyflow.packed import PackedContainer, PackedOptions
from pyflow.runtime.attempts import CANCELLED, KILLED, LOST, TIMED_OUT, lost_outcome
from pyflow.runtime.program import Program
from pyflow.runtime.staging import (
    INPUTS,
    ContainerEnd,
    StagedContainer,
    brought,
    collect,
    followed,
    move_into,
    not_staged,
    stage,
)
from pyflow.secrecy import PLACED, Masker
from pyflow.store import ContentStore

SHARED: Final = "/pyflow-shared"
"""Where pyflow's containers have the volume that they share with the author's."""
TMP: Final = "/tmp"  # noqa: S108  of the author's container, which shares it with pyflow's alone
PARTS: Final = {"tmp": TMP, "inputs": INPUTS}
"""Parts of that volume that every author's container has, and where."""
ARGUMENTS: Final = f"{INPUTS}/.arguments"
"""Where the author's container finds the arguments that only run time knows."""
ARGUMENTS_VARIABLE: Final = "ARGO_CONTAINER_ARGS_FILE"
"""Tells Argo's emissary to read more arguments from a file (argo-workflows 3.7.10, 4.0.1: cmd/argoexec, emissary.go)."""

_MAIN: Final = Path("/var/run/argo/ctr/main")
_STAGED: Final = f"{SHARED}/staged.json"
_LOOK_S: Final = 0.2
_SHIP_S: Final = 1.0
_GRACE_S: Final = 5.0
_LAST_WORDS_BYTES: Final = 4096
_NOT_STARTED: Final = 64
"""Argo's emissary ends so when it cannot start what it is given (argo-workflows, argoexec)."""
_PIECE: Final = 1024 * 1024
_UMASK: Final = 0o022


class Layout(NamedTuple):
    """Folders of the author's container that pyflow's share with it, each by its name there."""

    parts: tuple[tuple[str, str], ...]
    scratch: dict[str, int]
    """The numbers, among the task's volumes, of those that are such a folder themselves, by folder; the others lie in one volume of pyflow's."""

    def in_shared(self, path: str) -> Path | None:
        """Where a path of the author's container lies for pyflow's; None when it is in none of the parts."""
        around = [part for part in self.parts if path == part[1] or path.startswith(f"{part[1]}/")]
        if not around:
            return None
        name, folder = max(around, key=lambda part: len(part[1]))
        return Path(SHARED, name, path[len(folder) :].lstrip("/"))


def layout_of(node: PackedContainer, options: PackedOptions) -> Layout:
    """The shared folders: for temporary files and inputs, scratch volumes, and the folder around each output and each input with a path."""
    scratch = {folder: number for number, (folder, kind, *_) in enumerate(options.volumes) if kind == "scratch"}
    wanted = [posixpath.dirname(posixpath.normpath(path)) for _, path in node.outputs]
    wanted += [posixpath.dirname(posixpath.normpath(path)) for _, _, path in node.inputs if path is not None]
    parts: list[tuple[str, str]] = list(PARTS.items())
    parts += [(f"v{number}", folder) for folder, number in scratch.items() if folder not in PARTS.values()]
    # The manifest and the pod must agree on their order, and the order of a set differs from process to process.
    for folder in sorted(set(wanted), key=lambda folder: (len(folder), folder)):
        if Layout(tuple(parts), scratch).in_shared(folder) is None:
            parts.append((f"d{len(parts)}", folder))
    return Layout(tuple(parts), scratch)


def known_words(node: PackedContainer) -> list[str | None]:
    """The words of a command, as far as they are known before the run; None for each that is not."""
    paths = {dump(expr): path for _, expr, path in node.inputs if path is not None}
    unsaid = {dump(expr) for _, expr, path in node.inputs if path is None}

    def text(piece: object) -> str | None:
        key = dump(piece)
        if isinstance(piece, str):
            return piece
        if key in unsaid and key not in paths:
            return None
        if key in paths:
            return str(paths[key])
        return str(piece) if isinstance(piece, (int, float)) or piece is None else None

    words: list[str | None] = []
    for word in node.command:
        pieces = [text(piece) for piece in word]
        words.append(None if None in pieces else "".join(p for p in pieces if p is not None))
    return words


def first_unknown(node: PackedContainer) -> int:
    """How many words at the beginning of a command are known; the rest is written to a file by ``stage``."""
    words = known_words(node)
    return next((index for index, word in enumerate(words) if word is None), len(words))


class _Staged(NamedTuple):
    """What ``stage`` tells ``collect``."""

    image: str
    argv: list[str]
    keeps_stdout: bool
    writer: str
    """Name of the log: whoever follows it has been told before there was anything in it."""

    @classmethod
    def told(cls) -> _Staged:
        return cls(*json.loads(Path(_STAGED).read_text()))


def stage_in_pod(invocation: Invocation, program: Program, content: ContentStore, writer: str) -> Outcome | None:
    """Bring the inputs to their places; the outcome when that fails.

    Args:
        invocation: The attempt.
        program: The graph.
        content: The store.
        writer: Name of the log that the container beside the author's is to write.
    """
    node = program.place(invocation.node).node
    assert isinstance(node, PackedContainer)
    layout = layout_of(node, program.graph.options[node.options])
    for name, _ in layout.parts:
        _make_open(Path(SHARED, name))
    folder = Path(SHARED, "stage")
    folder.mkdir(exist_ok=True)
    try:
        staged = stage(invocation, program, content, folder)
        for host, path in staged.inputs:
            target = layout.in_shared(path)
            assert target is not None
            _make_open(target.parent)
            move_into(host, target)
        for _, path, _ in staged.outputs:
            target = layout.in_shared(path)
            assert target is not None
            _make_open(target.parent)
        arguments = layout.in_shared(ARGUMENTS)
        assert arguments is not None
        arguments.write_text(dump(staged.argv[first_unknown(node) :]))
        Path(_STAGED).write_text(dump([*_Staged(staged.image, staged.argv, staged.keeps_stdout, writer)]))
    except Exception as error:  # noqa: BLE001  loading values runs the author's code
        return not_staged(invocation, error, program, content)
    return None


def _make_open(folder: Path) -> None:
    """Make a folder to which whoever the author's image runs as may write."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o777)


class Collector:
    """Waits for the author's container, and keeps what it leaves.

    Args:
        invocation: The attempt.
        program: The graph.
        content: The store.
        is_cancelled: Whether somebody asked the run to end.
    """

    def __init__(
        self,
        invocation: Invocation,
        program: Program,
        content: ContentStore,
        is_cancelled: Callable[[], bool],
    ) -> None:
        self._invocation = invocation
        self._program = program
        self._content = content
        self._is_cancelled = is_cancelled
        self._staged = _Staged.told()
        self._key = content.keys.log(invocation.run_id, self._staged.writer)
        self._log_end = 0
        self._last_words = bytearray()
        self._masker = Masker(value for name, value in os.environ.items() if name.startswith(PLACED))
        self._terminated_at: float | None = None
        self._started_at = time.time()
        self._timed_out = False
        signal.signal(signal.SIGTERM, self._terminated)

    def run(self) -> Outcome:
        """Wait to the end; what came of it."""
        node = self._program.place(self._invocation.node).node
        assert isinstance(node, PackedContainer)
        timeout_s = self._program.graph.options[node.options].timeout_s
        exit_code = self._wait(timeout_s)
        self._ship(is_end=True)
        self._content.blobs.publish(self._key)
        if self._timed_out:
            return self._lost(TIMED_OUT, f"it ran longer than its timeout of {timeout_s:g} s.", int(ExitCode.TIMEOUT))
        if exit_code is None or (exit_code and self._terminated_at is not None and self._is_cancelled()):
            if self._is_cancelled():
                return self._lost(CANCELLED, "the run was cancelled.", int(ExitCode.CANCELLED))
            return self._lost(LOST, KILLED, 128 + signal.SIGKILL)
        return self._collect(node, exit_code)

    def _terminated(self, _number: int, _frame: object) -> None:
        """Argo asks a sidecar to end when the main container has: there is work left."""
        if self._terminated_at is None:
            self._terminated_at = time.monotonic()

    def _wait(self, timeout_s: float | None) -> int | None:
        """The exit code of the author's container; None when it died without one."""
        shipped_at, kill_at = time.monotonic(), None
        began: float | None = None
        while (code := _read_number(_MAIN / "exitcode")) is None:
            now = time.monotonic()
            if began is None and _MAIN.is_dir():
                began, self._started_at = now, time.time()
            if began is not None and timeout_s is not None and now - began > timeout_s:
                if not self._timed_out:
                    self._timed_out, kill_at = True, now + _GRACE_S
                    _signal_main(signal.SIGTERM)
                elif kill_at is not None and now > kill_at:
                    kill_at = now + _GRACE_S
                    _signal_main(signal.SIGKILL)
            if self._terminated_at is not None and now - self._terminated_at > _GRACE_S:
                return None
            if now - shipped_at > _SHIP_S:
                shipped_at = now
                self._ship()
            time.sleep(_LOOK_S)
        return code

    def _ship(self, *, is_end: bool = False) -> None:
        """Append what was printed since the last time to the log in the store, with secrets hidden."""
        path = _MAIN / "combined"
        if not path.exists():
            return
        with path.open("rb") as printed:
            printed.seek(self._log_end)
            while piece := printed.read(_PIECE):
                if not is_end or len(piece) == _PIECE:
                    # What a secret may have begun in waits for the rest of it.
                    piece = piece[: self._masker.ready(piece)]
                if not piece:
                    break
                shown = self._masker.hide(piece)
                self._content.blobs.append(self._key, shown)
                self._log_end += len(piece)
                self._last_words = (self._last_words + shown)[-_LAST_WORDS_BYTES:]
                printed.seek(self._log_end)

    def _collect(self, node: PackedContainer, exit_code: int) -> Outcome:
        image, argv, keeps_stdout, _ = self._staged
        if exit_code == _NOT_STARTED and not (_MAIN / "combined").exists():
            reason = f"its container could not be started: the image {image!r} has no program {argv[0]!r}, or not on its PATH."
            return self._lost(LOST, reason, exit_code)
        end = ContainerEnd(
            exit_code=exit_code,
            stdout=_read(_MAIN / "stdout") if keeps_stdout else b"",
            last_words=bytes(self._last_words),
            log=self._log(),
            started_at=self._started_at,
            duration_s=time.time() - self._started_at,
        )
        try:
            outputs = [(name, path, self._output(node, name, path)) for name, path in node.outputs]
        except (PyflowError, OSError) as error:
            return not_staged(self._invocation, error, self._program, self._content, end)
        staged = StagedContainer(image=image, argv=argv, outputs=outputs, keeps_stdout=keeps_stdout)
        return collect(self._invocation, self._program, self._content, staged, end)

    def _output(self, node: PackedContainer, name: str, path: str) -> Path:
        """Where an output lies for this container, whose own files no link of the author's may lead to.

        Raises:
            IntegrityError: It is a link to where this container cannot look.
        """
        layout = layout_of(node, self._program.graph.options[node.options])
        place = posixpath.normpath(path)
        leads_to = followed(place, layout.in_shared)
        host = layout.in_shared(leads_to)
        if host is None:
            raise IntegrityError(
                f"The container left {path!r} as a link to {leads_to!r}, which nobody can read when it has ended. Let it copy that there."
            )
        if leads_to != place:
            aside = Path(SHARED, "stage", "outputs", name, posixpath.basename(place))
            aside.parent.mkdir(parents=True, exist_ok=True)
            host = brought(host, aside)
        _close(host)
        return host

    def _lost(self, kind: str, reason: str, exit_code: int) -> Outcome:
        return lost_outcome(
            self._invocation,
            kind=kind,
            reason=reason,
            exit_code=exit_code,
            started_at=self._started_at,
            log=self._log(),
        )

    def _log(self) -> LogSpan | None:
        return LogSpan(writer=self._staged.writer, start=0, end=self._log_end) if self._log_end else None


def _close(path: Path) -> None:
    """Let nobody else write to a file or folder: Argo's emissary leaves no umask, and elsewhere a container has the usual one."""
    found = [path, *path.rglob("*")] if path.is_dir() else [path]
    for each in found:
        with contextlib.suppress(OSError):  # what cannot be read is told when it is kept
            if not each.is_symlink():
                each.chmod(each.stat().st_mode & ~_UMASK)


def _signal_main(number: int) -> None:
    """Argo's emissary looks for this file and sends its process the signal (argo-workflows, signal.go)."""
    (_MAIN / "signal").write_text(str(int(number)))


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):  # the file is made before it is written
        return None


def _read(path: Path, most: int = -1) -> bytes:
    if not path.exists():
        return b""
    with path.open("rb") as file:
        if most >= 0:
            file.seek(max(0, os.fstat(file.fileno()).st_size - most))
        return file.read()
