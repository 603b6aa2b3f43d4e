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

from pyflow.bundle import CleanPath, CodeBundle, Missing, ShippedFunction, check_importable, install
from pyflow.digest import Buffer, digest_of
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
    def place(self) -> tuple[object, ...]:
        """What it asks of the place that it is loaded in."""
        return self.options.packages, self.options.image, self.options.python, self.options.platform

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for two that would load the same way."""
        return id(self.function.fn), *self.place


@dataclass(slots=True)
class Found:
    """What came of a check."""

    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be looked at."""
    modules: list[str] = field(default_factory=list)
    """Local modules that travel with the functions."""


def find_faults(asked: Sequence[FunctionUse], bundle: CodeBundle, tell: Callable[[str], None]) -> Found:
    """Load each function in a clean process that has the code which would be shipped, and its packages.

    Args:
        asked: The functions, each once for the packages that it has.
        bundle: The local code that would be shipped with them.
        tell: Is told what takes time now.

    Raises:
        PyflowError: Packages cannot be had for a reason that is none of the author's.
    """
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
    calls = (node for node in graph.walk_all() if isinstance(node, CallNode))
    uses = (FunctionUse(node.function, node.options, node.at) for node in calls)
    return list({use.key: use for use in uses}.values())


def refuse_incomplete(graph: Graph, bundle: CodeBundle, tell: Callable[[str], None]) -> None:
    """Load all functions of a graph in a clean process, unless that has been done for the same code before.

    Args:
        graph: Whose run is about to leave this machine.
        bundle: The local code that goes with it.
        tell: Is told what takes time now.

    Raises:
        DefinitionError: They would miss something where they run.
    """
    uses = functions_in(graph)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # packing says the same once more
        marker = runtime_folder().with_name("checked") / _key_of(uses, bundle)
        if marker.exists():
            return
        found = find_faults(uses, bundle, tell)
    if found.faults:
        lines = "".join(f"\n  {text}" for *_, text in found.faults)
        raise DefinitionError(
            f"The code of {graph.name!r} is not complete without this folder, so it would fail where it is to run:{lines}"
        )
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _key_of(uses: Sequence[FunctionUse], bundle: CodeBundle) -> str:
    """Stands for the functions, the code that travels with them, the packages that they ask for, and what is installed here."""
    # To install or remove a package changes the time of its folder.
    folders = [Path(folder) for folder in sys.path if folder.endswith("-packages")]
    installed = [folder.stat().st_mtime_ns for folder in folders if folder.is_dir()]
    parts: list[Buffer] = [repr((sys.executable, installed)).encode(), bundle.write() or b""]
    for use in uses:
        payload = encode_function(use.function.fn, what=f"task {use.function.name!r}")
        # The option may name a file, whose content counts.
        packages = None if use.options.packages is None else _request_of(use).what
        about = use.function.name, use.function.at.file, use.place, packages, payload.size
        parts += [repr(about).encode(), *payload.parts]
    return digest_of(parts).hex


def _request_of(use: FunctionUse) -> Request:
    """What a function asks for by its option ``packages``, which it has.

    Raises:
        DefinitionError: It cannot be what was meant.
    """
    assert use.options.packages is not None
    return request_for(use.function, use.options.packages, use.function.name, use.called_at)


def _by_packages(asked: Sequence[FunctionUse], found: Found) -> dict[Request | None, list[FunctionUse]]:
    """The functions by what they ask for; those whose request is wrong are told as faults."""
    groups: dict[Request | None, list[FunctionUse]] = {}
    requests: dict[tuple[object, ...], Request] = {}
    for one in asked:
        options, request = one.options, None
        if options.packages is not None:
            try:
                request = _request_of(one)
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
