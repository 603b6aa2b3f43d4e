"""What the functions of a pipeline would miss where they run: each is loaded beside the packages that it has there.

``pyflow check`` asks for it, and so does every run that leaves this machine, before anything of it does.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pyflow.bundle import CleanPath, Missing, ShippedFunction, check_importable, discover, install
from pyflow.digest import Buffer, sha256_hex
from pyflow.environments import Request, container_target, installed_aside, locked, runtime_folder, this_target
from pyflow.errors import DefinitionError
from pyflow.graph import CallNode, Function, Graph, Location, Options
from pyflow.images import DEPENDENCIES, install_runtime
from pyflow.packing import request_for
from pyflow.payload import encode_function

Fault: TypeAlias = "tuple[str, str, str, str]"
"""Task or pipeline, module (or nothing), place in the author's file, and all of it in words."""


@dataclass(frozen=True, slots=True)
class FunctionUse:
    """A function as one task or call has it."""

    function: Function
    options: Options
    called_at: Location | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for two that would load the same way."""
        return (
            id(self.function.fn),
            self.options.packages,
            self.options.image,
            self.options.python,
            self.options.platform,
        )


@dataclass(slots=True)
class Found:
    """What came of a check."""

    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be looked at."""
    modules: list[str] = field(default_factory=list)
    """Local modules that travel with the functions."""


def find_faults(asked: Sequence[FunctionUse], tell: Callable[[str], None]) -> Found:
    """Load each function in a clean process that has the code which would be shipped, and its packages.

    Args:
        asked: The functions, each once for the packages that it has.
        tell: Is told what takes time now.

    Raises:
        PyflowError: Packages cannot be had for a reason that is none of the author's.
    """
    bundle = discover(list({id(one.function.fn): one.function.fn for one in asked}.values()))
    found = Found(modules=list(bundle.modules))
    with tempfile.TemporaryDirectory(prefix="pyflow-check-") as folder:
        archive = bundle.write()
        code = None if archive is None else install(archive, Path(folder, "code"))
        for request, those in _by_packages(asked, found).items():
            shipped = _shipped(those, Path(folder), found)
            try:
                with _beside(request, tell) as path:
                    missing = check_importable(code, [one for one, _ in shipped], origin=bundle.origin, path=path)
            except DefinitionError as error:  # the packages cannot be had together, or not at all
                found.faults += [(one.function.name, "", str(one.function.at), str(error)) for one in those]
                continue
            image_of = {one.name: options.image for one, options in shipped}
            for one in missing:
                _tell_missing(one, image_of.get(one.function), has_own=request is not None, found=found)
    return found


def functions_in(graph: Graph) -> list[FunctionUse]:
    """The functions that a graph calls, each once for the options that change how it loads."""
    calls = [node for node in (*graph.walk(), graph.on_exit) if isinstance(node, CallNode)]
    return list(
        {one.key: one for one in (FunctionUse(node.function, node.options, node.at) for node in calls)}.values()
    )


def refuse_incomplete(graph: Graph, tell: Callable[[str], None]) -> None:
    """Load all functions of a graph in a clean process, unless that has been done for the same code before.

    Args:
        graph: Whose run is about to leave this machine.
        tell: Is told what takes time now.

    Raises:
        DefinitionError: They would miss something where they run.
    """
    uses = functions_in(graph)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # packing says the same once more
        marker = runtime_folder().with_name("checked") / _key_of(uses)
        if marker.exists():
            return
        found = find_faults(uses, tell)
    if found.faults:
        lines = "".join(f"\n  {text}" for *_, text in found.faults)
        raise DefinitionError(
            f"The code of {graph.name!r} is not complete without this folder, so it would fail where it is to run:{lines}"
        )
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _key_of(uses: Sequence[FunctionUse]) -> str:
    """Stands for the functions, the code that travels with them, and what is installed here."""
    functions = list({id(use.function.fn): use.function.fn for use in uses}.values())
    parts: list[Buffer] = [discover(functions).write() or b"", sys.executable.encode()]
    for use in uses:
        options = use.options
        asked = (
            use.function.name,
            use.function.at.file,
            options.packages,
            options.image,
            options.python,
            options.platform,
        )
        parts += [repr(asked).encode(), *encode_function(use.function.fn, what=f"task {use.function.name!r}").parts]
    # To install or remove a package changes the time of its folder.
    folders = [Path(folder) for folder in sys.path if folder.endswith("-packages")]
    installed = [folder.stat().st_mtime_ns for folder in folders if folder.is_dir()]
    return sha256_hex(b"\0".join([*map(bytes, parts), repr(installed).encode()]))


def _by_packages(asked: Sequence[FunctionUse], found: Found) -> dict[Request | None, list[FunctionUse]]:
    """The functions by what they ask for; those whose request is wrong are told as faults."""
    groups: dict[Request | None, list[FunctionUse]] = {}
    requests: dict[tuple[object, ...], Request] = {}
    for one in asked:
        options, request = one.options, None
        if options.packages is not None:
            try:
                request = request_for(one.function, options.packages, one.function.name, one.called_at)
            except DefinitionError as error:
                found.faults.append((one.function.name, "", str(one.function.at), str(error)))
                continue
            if _is_elsewhere(options):
                _choose_only(one, request, found)
                continue
            request = requests.setdefault(request.what, request)
        groups.setdefault(request, []).append(one)
    return groups


def _is_elsewhere(options: Options) -> bool:
    here = this_target()
    target = container_target(options.python, options.platform)
    return (options.python is not None and target.python != here.python) or (
        options.platform is not None and target.platform != here.platform
    )


def _choose_only(one: FunctionUse, request: Request, found: Found) -> None:
    """See whether packages for another place can be had at all: they cannot be loaded here."""
    target = container_target(one.options.python, one.options.platform)
    try:
        locked(request, target)
    except DefinitionError as error:
        found.faults.append((one.function.name, "", str(one.function.at), str(error)))
    else:
        found.notes.append(
            f"the packages of {one.function.name}() are for {target} and cannot be loaded here, so it was not."
        )


@contextmanager
def _beside(request: Request | None, tell: Callable[[str], None]) -> Iterator[CleanPath | None]:
    """What a clean process sees beside the shipped code: None for what is installed here."""
    if request is None:
        yield None
        return
    with installed_aside(request, this_target(), tell=tell) as packages:
        runtime = install_runtime(runtime_folder())
        yield CleanPath(str(runtime), str(packages), str(runtime / DEPENDENCIES))


def _shipped(asked: Sequence[FunctionUse], folder: Path, found: Found) -> list[tuple[ShippedFunction, Options]]:
    shipped = []
    for one in asked:
        function = one.function
        try:
            parts = encode_function(function.fn, what=f"task {function.name!r}").parts
        except DefinitionError as error:
            found.faults.append((function.name, "", str(function.at), str(error)))
            continue
        payload = folder / f"{os.urandom(6).hex()}.payload"
        payload.write_bytes(b"".join(parts))
        shipped.append((ShippedFunction(function.name, payload, function.at.file), one.options))
    return shipped


def _tell_missing(one: Missing, image: str | None, *, has_own: bool, found: Found) -> None:
    text = str(one)
    if one.module and image is not None:
        found.notes.append(f"{text}. Its image {image!r} may have it, which was not looked into.")
        return
    if one.module and has_own:
        text += ". Its packages= do not bring it."
    found.faults.append((one.function, one.module, one.at, text))
