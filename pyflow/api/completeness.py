"""What the functions of a pipeline would miss where they run: each is loaded beside the packages that it has there.

``pyflow check`` asks for it, and so does every run that leaves this machine, before anything of it does.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypeAlias

from pyflow.bundle import (
    CleanPath,
    CodeBundle,
    Missing,
    ShippedFunction,
    check_importable,
    install,
    installed_version,
)
from pyflow.digest import Buffer, digest_of
from pyflow.environments import Request, container_target, installed_aside, locked, runtime_folder, this_target
from pyflow.errors import DefinitionError
from pyflow.executors import TaskImage
from pyflow.graph import CallNode, Function, Graph, Location, Options
from pyflow.images import DEPENDENCIES, install_runtime
from pyflow.packing import request_for
from pyflow.payload import encode_function

Fault: TypeAlias = "tuple[str, str, str, str]"
"""Task or pipeline, module (or nothing), place in the author's file, and all of it in words."""
ImageOf: TypeAlias = Callable[["str | None"], "TaskImage | None"]
"""Gives the image that a task runs in, if it is another place than this, for the image that the task names."""


class Bare(NamedTuple):
    """A place with Python, pyflow and nothing else."""

    image: str


_Beside: TypeAlias = "Request | Bare | None"
"""What a function has beside the code that travels with it: packages of its own, none, or what is installed here."""


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


def find_faults(
    asked: Sequence[FunctionUse],
    bundle: CodeBundle,
    tell: Callable[[str], None],
    image_of: ImageOf,
) -> Found:
    """Load each function in a clean process that has the code which would be shipped, and its packages.

    Args:
        asked: The functions, each once for the packages that it has.
        bundle: The local code that would be shipped with them.
        tell: Is told what takes time now.
        image_of: Which image tasks run in.

    Raises:
        PyflowError: Packages cannot be had for a reason that is none of the author's.
    """
    found = Found(modules=list(bundle.modules))
    with tempfile.TemporaryDirectory(prefix="pyflow-check-") as folder:
        archive = bundle.write()
        code = None if archive is None else install(archive, Path(folder, "code"))
        for beside, those in _by_packages(asked, found, image_of).items():
            shipped = _shipped(those, Path(folder), found)
            try:
                with _seen(beside, tell) as path:
                    missing = check_importable(code, [one for one, _ in shipped], origin=bundle.origin, path=path)
            except DefinitionError as error:  # the packages cannot be had together, or not at all
                found.faults += [(one.function.name, "", str(one.function.at), str(error)) for one in those]
                continue
            options_of = {one.name: options for one, options in shipped}
            for one in missing:
                _tell_missing(one, options_of[one.function], beside, found, image_of)
    return found


def functions_in(graph: Graph) -> list[FunctionUse]:
    """The functions that a graph calls, each once for the options that change how it loads."""
    calls = (node for node in graph.walk_all() if isinstance(node, CallNode))
    uses = (FunctionUse(node.function, node.options, node.at) for node in calls)
    return list({use.key: use for use in uses}.values())


def refuse_incomplete(graph: Graph, bundle: CodeBundle, tell: Callable[[str], None], image_of: ImageOf) -> None:
    """Load all functions of a graph in a clean process, unless that has been done for the same code before.

    Args:
        graph: Whose run is about to leave this machine.
        bundle: The local code that goes with it.
        tell: Is told what takes time now.
        image_of: Which image tasks run in.

    Raises:
        DefinitionError: They would miss something where they run.
    """
    uses = functions_in(graph)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # packing says the same once more
        marker = runtime_folder().with_name("checked") / _key_of(uses, bundle, image_of)
        if marker.exists():
            return
        found = find_faults(uses, bundle, tell, image_of)
    if found.faults:
        lines = "".join(f"\n  {text}" for *_, text in found.faults)
        raise DefinitionError(f"The code of {graph.name!r} is not complete where it is to run:{lines}")
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _key_of(uses: Sequence[FunctionUse], bundle: CodeBundle, image_of: ImageOf) -> str:
    """Stands for the functions, the code that travels with them, the packages that they ask for, and what is installed here."""
    # To install or remove a package changes the time of its folder.
    folders = [Path(folder) for folder in sys.path if folder.endswith("-packages")]
    installed = [folder.stat().st_mtime_ns for folder in folders if folder.is_dir()]
    parts: list[Buffer] = [repr((sys.executable, installed)).encode(), bundle.write() or b""]
    for use in uses:
        payload = encode_function(use.function.fn, what=f"task {use.function.name!r}")
        # The option may name a file, whose content counts.
        packages = None if use.options.packages is None else _request_of(use).what
        about = use.function.name, use.function.at.file, use.place, packages, _bare(use, image_of), payload.size
        parts += [repr(about).encode(), *payload.parts]
    return digest_of(parts).hex


def _request_of(use: FunctionUse) -> Request:
    """What a function asks for by its option ``packages``, which it has.

    Raises:
        DefinitionError: It cannot be what was meant.
    """
    assert use.options.packages is not None
    return request_for(use.function, use.options.packages, use.function.name, use.called_at)


def _bare(use: FunctionUse, image_of: ImageOf) -> Bare | None:
    """Whether a function runs where nothing is installed, as far as anybody can know."""
    options = use.options
    may_bring_more = options.volumes or options.pod_patch or any(name == "PYTHONPATH" for name, _ in options.env)
    if options.packages is not None or may_bring_more:
        return None
    image = image_of(options.image)
    return Bare(image.name) if image is not None and image.is_bare else None


def _by_packages(asked: Sequence[FunctionUse], found: Found, image_of: ImageOf) -> dict[_Beside, list[FunctionUse]]:
    """The functions by what they have; those whose request is wrong are told as faults."""
    groups: dict[_Beside, list[FunctionUse]] = {}
    requests: dict[tuple[object, ...], Request] = {}
    for one in asked:
        options = one.options
        beside: _Beside = _bare(one, image_of)
        if options.packages is not None:
            try:
                request = _request_of(one)
            except DefinitionError as error:
                found.faults.append((one.function.name, "", str(one.function.at), str(error)))
                continue
            if _is_elsewhere(options):
                _choose_only(one, request, found)
                continue
            beside = requests.setdefault(request.what, request)
        groups.setdefault(beside, []).append(one)
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
def _seen(beside: _Beside, tell: Callable[[str], None]) -> Iterator[CleanPath | None]:
    """What a clean process sees beside the shipped code: None for what is installed here."""
    if beside is None:
        yield None
        return
    with _installed(beside, tell) as packages:
        runtime = install_runtime(runtime_folder())
        yield CleanPath(str(runtime), str(packages), str(runtime / DEPENDENCIES))


def _installed(beside: Request | Bare, tell: Callable[[str], None]) -> AbstractContextManager[object]:
    """A folder with the packages, for as long as the block lasts; an empty one where there are none."""
    if isinstance(beside, Bare):
        return tempfile.TemporaryDirectory(prefix="pyflow-check-")
    return installed_aside(beside, this_target(), tell=tell)


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


def _tell_missing(one: Missing, options: Options, beside: _Beside, found: Found, image_of: ImageOf) -> None:
    text = str(one)
    image = image_of(options.image)
    # What the author has at hand is meant to travel; an image of a site's is there for what is nowhere else.
    is_of_image = image is not None and (options.image is not None or not (image.is_bare or _is_here(one.module)))
    if one.module and isinstance(beside, Bare):
        text += f". Its image {beside.image!r} has Python and nothing else: {_what_would_bring(one.module)}."
    elif one.module and image is not None and is_of_image:
        found.notes.append(f"{text}. Its image {image.name!r} may have it, which was not looked into.")
        return
    elif one.module and beside is not None:
        text += ". Its packages= do not bring it."
    found.faults.append((one.function, one.module, one.at, text))


def _is_here(module: str) -> bool:
    """Whether this process can import a module."""
    top = module.partition(".")[0]
    return top in sys.modules or find_spec(top) is not None


def _what_would_bring(module: str) -> str:
    """What an author may write so that a module is there."""
    name, is_here, _ = installed_version(module.partition(".")[0]).partition("==")
    if not is_here:
        return "name the package that has it, packages=[...], or an image, image=..."
    return f'packages="auto" brings what is installed here, packages=[{name!r}] the newest, and image= may name an image that has it'
