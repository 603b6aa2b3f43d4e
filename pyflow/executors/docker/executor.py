"""The executor ``docker``: the driver of all executors here, and a launcher of containers."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pyflow.environments import runtime_folder, unpacked
from pyflow.errors import EnvironmentMismatchError, ExecutorError
from pyflow.executors.carrying import carry_out
from pyflow.executors.docker.launcher import DockerLauncher
from pyflow.executors.docker.leftovers import remove_leftovers
from pyflow.executors.docker.mounts import check_volumes
from pyflow.executors.docker.place import Place, PlaceImage
from pyflow.executors.docker.settings import DockerSettings
from pyflow.executors.driver import Ending, Job
from pyflow.executors.interrupts import counted_interrupts
from pyflow.executors.support import check_options, check_size, secrets_of
from pyflow.images import (
    ensure_runtime_image,
    image_facts,
    install_runtime,
    is_same_platform,
    open_engine,
    python_in,
    version_of,
)
from pyflow.packed import PackedCall, PackedContainer, PackedGraph, PackedOptions
from pyflow.scheduling import Capacity
from pyflow.secrecy import SecretFinder


def tell_on_stderr(line: str) -> None:
    """Show what is built or pulled before a run, where a person looks for it."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


@dataclass(slots=True)
class DockerExecutor:
    """Tasks run in containers, one for each, or for each batch."""

    settings: DockerSettings = field(default_factory=DockerSettings)
    name: str = "docker"
    secrets: SecretFinder = field(default_factory=SecretFinder)
    tell: Callable[[str], None] = tell_on_stderr
    _version: str | None = None
    """What the engine speaks, which has answered."""
    _capacity: Capacity | None = None
    _images: dict[int, PlaceImage] = field(default_factory=dict)

    def check(self, graph: PackedGraph) -> None:
        """Refuse what cannot be honoured, before anything runs; get the images that are needed.

        Raises:
            ExecutorError: No engine answers, an image cannot be had or has no fitting Python, a task asks for more than
                there is.
        """
        check_options(graph, self.name)
        secrets_of(graph, self.secrets)
        # Closed again, for a run need not follow; to open it once more costs nothing when its version is known.
        with contextlib.closing(open_engine()) as engine:
            self._version = version_of(engine)
            self._capacity = capacity = _capacity_of(engine)
            check_size(graph, cpus=capacity.cpus, memory_mib=capacity.memory_mib)
            check_volumes(graph, self.settings.volumes, engine)
            self._images = images_for(graph, engine, self.settings, self.tell)

    def run(self, job: Job) -> Ending:
        """Carry out a run whose graph was checked; returns when nothing of it runs any more."""
        assert self._capacity is not None
        tasks = min(job.capacity.tasks, job.graph.parallelism or float("inf"))
        capacity = replace(self._capacity, tasks=tasks)
        with contextlib.closing(open_engine(version=self._version)) as engine:
            remove_leftovers(engine)
            unpack_packages(job)
            place = Place(engine, job, self.settings, self._images, self.secrets)
            with counted_interrupts(ends_runs=True) as interrupts:
                return carry_out(replace(job, capacity=capacity), DockerLauncher(place), interrupts)


def _capacity_of(engine: Any) -> Capacity:
    """What the engine's machine has."""
    info = engine.info()
    return Capacity(cpus=float(info["NCPU"]), memory_mib=info["MemTotal"] / 2**20)


def unpack_packages(job: Job) -> None:
    """Unpack the packages of tasks on this machine, once for all containers, where they fit it."""
    for packages in {o.environment["digest"]: o.environment for o in job.graph.options if o.environment}.values():
        # Made for another system than this one, as on a Mac, each container unpacks them for itself.
        with contextlib.suppress(EnvironmentMismatchError):
            unpacked(packages, job.content)


def images_for(
    graph: PackedGraph, engine: Any, settings: DockerSettings, tell: Callable[[str], None]
) -> dict[int, PlaceImage]:
    """The image of the Python tasks with each set of options; images of container tasks are there, too, when this returns.

    Raises:
        ExecutorError: An image cannot be had, or has no fitting Python.
    """
    found: dict[int, PlaceImage] = {}
    for call in graph.walk_all():
        if isinstance(call, PackedCall) and call.options not in found:
            found[call.options] = _python_image(call.name, graph.options[call.options], engine, settings, tell)
    check_container_images(graph, engine, tell)
    return found


def check_container_images(graph: PackedGraph, engine: Any, tell: Callable[[str], None]) -> None:
    """See that the images of container tasks are there.

    Raises:
        ExecutorError: One cannot be had.
    """
    for node in graph.walk():
        if isinstance(node, PackedContainer):
            image_facts(engine, node.image, platform=graph.options[node.options].platform, tell=tell)


def _python_image(
    task: str, options: PackedOptions, engine: Any, settings: DockerSettings, tell: Callable[[str], None]
) -> PlaceImage:
    if options.image is None:
        name = ensure_runtime_image(engine, registry=settings.registry, base=settings.base, tell=tell)
        facts = image_facts(engine, name)
        _check_platform(task, options, "The runtime image", facts.platform)
        return PlaceImage(name=name, python_path=facts.environment.get("PYTHONPATH", ""))
    facts = image_facts(engine, options.image, platform=options.platform, tell=tell)
    _check_platform(task, options, f"Image {options.image!r}", facts.platform)
    # Asked also where python= says it: this engine can tell, before anything runs, whether that is so.
    python = python_in(engine, options.image, facts)
    # Also in an image that was made of the runtime image: that may be of another version.
    runtime = str(install_runtime(runtime_folder()))
    python_path = facts.environment.get("PYTHONPATH", "")
    return PlaceImage(name=options.image, python=python, runtime=runtime, python_path=python_path)


def _check_platform(task: str, options: PackedOptions, image: str, is_for: str) -> None:
    """Refuse an image for another platform than the one that is said, or that packages were chosen for."""
    if options.platform is not None and not is_same_platform(options.platform, is_for):
        raise ExecutorError(
            f"Task {task!r} asks for platform={options.platform!r}. {image} is for {is_for}, as the engine is. Leave platform= out, or name an "
            "image= for that platform."
        )
    chosen = None if options.environment is None else str(options.environment["platform"])
    if chosen is not None and not is_same_platform(chosen, is_for):
        raise ExecutorError(
            f"The packages of task {task!r} were chosen for {chosen}. {image} is for {is_for}: say platform={is_for!r}, and they are chosen for it."
        )
