"""The packages that the tasks of a graph ask for, put into the store: one environment for each different request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyflow.bundle import installed
from pyflow.environments import AUTO, Request, Target, build, container_target, read_request, this_target
from pyflow.graph import CallNode, Function, Graph, Location
from pyflow.jsontext import Json
from pyflow.late import late
from pyflow.store import ContentStore

if TYPE_CHECKING:
    from importlib import metadata
else:
    metadata = late("importlib.metadata")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one call of a task asks for."""

    node: CallNode
    request: Request
    target: Target


def provide_packages(
    graph: Graph,
    content: ContentStore,
    *,
    in_containers: bool,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[int, Json]:
    """Make the environments that a graph asks for, unless they are in the store already.

    Args:
        graph: What tracing gave.
        content: Where they go.
        in_containers: Tasks run in an image, whose Python and platform the options may say, and not in this Python.
        tell: Is told what takes time now.

    Returns:
        For the id of each node with packages of its own, where they lie.

    Raises:
        PyflowError: They cannot be had; the message says why, and where they are asked for.
    """
    made: dict[tuple[object, ...], Json] = {}
    environment_of: dict[int, Json] = {}
    for wanted in wanted_packages(graph, in_containers=in_containers):
        key = (*wanted.request.what, wanted.target)
        if key not in made:
            made[key] = build(wanted.request, wanted.target, content, tell=tell).wire
        environment_of[wanted.node.id] = made[key]
    return environment_of


def wanted_packages(graph: Graph, *, in_containers: bool) -> list[Wanted]:
    """Which nodes of a graph ask for packages, and for which.

    Raises:
        DefinitionError: A request cannot be what was meant.
    """
    return [
        Wanted(node, _request(node), _target(node, in_containers=in_containers)) for node in graph.asking_for_packages()
    ]


def _target(node: CallNode, *, in_containers: bool) -> Target:
    return container_target(node.options.python, node.options.platform) if in_containers else this_target()


def _request(node: CallNode) -> Request:
    assert node.options.packages is not None
    return request_for(node.function, node.options.packages, node.name, node.at)


def request_for(function: Function, packages: str | Sequence[str], name: str, called_at: Location | None) -> Request:
    """What ``packages`` asks for, as a task with this function and name has it; ``called_at`` where a pipeline calls it.

    Raises:
        DefinitionError: It cannot be what was meant.
    """
    # The option may stand at the decorator or at the call; a path begins at either of the two files.
    files = [Path(at.file) for at in (function.at, called_at) if at is not None]
    folders = [file.resolve().parent for file in files if file.is_file()] + [Path.cwd()]
    called = "" if called_at is None else f", called at {called_at}"
    where = f"option 'packages' of task {name!r} (defined at {function.at}{called})"
    if packages == AUTO:
        return read_request(installed([function.fn]), folders, where, constraints=_versions_here())
    return read_request(packages, list(dict.fromkeys(folders)), where)


def _versions_here() -> list[str]:
    """All that is installed here, so that what is needed indirectly has the same version, too; folders are left out."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name, version = distribution.metadata["Name"], distribution.version
        if name and version and "+" not in version and distribution.read_text("direct_url.json") is None:
            found.setdefault(name.lower(), f"{name}=={version}")
    return sorted(found.values())
