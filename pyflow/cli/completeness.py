"""What the functions of a pipeline would miss where they run: each is loaded beside the packages that it has there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pyflow.bundle import CleanPath, Missing, ShippedFunction, check_importable, discover, install
from pyflow.environments import Request, container_target, installed_aside, locked, runtime_folder, this_target
from pyflow.errors import DefinitionError
from pyflow.graph import Function, Location, Options
from pyflow.images import DEPENDENCIES, install_runtime
from pyflow.packing import request_for
from pyflow.payload import encode_function

Fault: TypeAlias = "tuple[str, str, str, str]"
"""Task or pipeline, module (or nothing), place in the author's file, and all of it in words."""


@dataclass(frozen=True, slots=True)
class Asked:
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


def find_faults(asked: Sequence[Asked], tell: Callable[[str], None]) -> Found:
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


def _by_packages(asked: Sequence[Asked], found: Found) -> dict[Request | None, list[Asked]]:
    """The functions by what they ask for; those whose request is wrong are told as faults."""
    groups: dict[Request | None, list[Asked]] = {}
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


def _choose_only(one: Asked, request: Request, found: Found) -> None:
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


def _shipped(asked: Sequence[Asked], folder: Path, found: Found) -> list[tuple[ShippedFunction, Options]]:
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
