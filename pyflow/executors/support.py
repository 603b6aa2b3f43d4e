"""What each executor does with each option: the one table, printed in the docs.

``honoured``: it does what the option says. ``warned``: leaving it out is harmless, and the user is told.
``refused``: the run does not start.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal

from pyflow.errors import ConfigError, ExecutorError, UnsupportedOptionWarning, warn_author
from pyflow.packed import PackedCall, PackedContainer, PackedGraph, PackedOptions
from pyflow.secrecy import SecretFinder

Support = Literal["honoured", "warned", "refused"]

# fmt: off
_ROWS: Final[dict[str, tuple[Support, Support, Support, Support]]] = {
    # option            inprocess   local       docker      argo
    "name":            ("honoured", "honoured", "honoured", "honoured"),
    "retries":         ("honoured", "honoured", "honoured", "honoured"),
    "backoff":         ("honoured", "honoured", "honoured", "honoured"),
    "retry_on":        ("honoured", "honoured", "honoured", "honoured"),
    "timeout":         ("honoured", "honoured", "honoured", "honoured"),
    "env":             ("honoured", "honoured", "honoured", "honoured"),
    "outputs":         ("honoured", "honoured", "honoured", "honoured"),
    "labels":          ("honoured", "honoured", "honoured", "honoured"),
    "batch":           ("honoured", "honoured", "honoured", "honoured"),
    "cpus":            ("warned",   "honoured", "honoured", "honoured"),
    "memory":          ("warned",   "honoured", "honoured", "honoured"),
    "memory_on_oom":   ("warned",   "warned",   "honoured", "honoured"),
    "gpus":            ("warned",   "warned",   "honoured", "honoured"),
    "disk":            ("warned",   "warned",   "warned",   "honoured"),
    "packages":        ("warned",   "honoured", "honoured", "honoured"),
    "image":           ("warned",   "warned",   "honoured", "honoured"),
    "python":          ("warned",   "warned",   "honoured", "honoured"),
    "platform":        ("warned",   "warned",   "honoured", "honoured"),
    "network":         ("warned",   "warned",   "honoured", "warned"),
    "volumes":         ("refused",  "refused",  "honoured", "honoured"),
    "node_selector":   ("warned",   "warned",   "warned",   "honoured"),
    "tolerations":     ("warned",   "warned",   "warned",   "honoured"),
    "service_account": ("warned",   "warned",   "warned",   "honoured"),
    "pod_patch":       ("warned",   "warned",   "warned",   "honoured"),
    "run_as_root":     ("warned",   "warned",   "honoured", "honoured"),
    "writable_root":   ("warned",   "warned",   "honoured", "honoured"),
}
# fmt: on

SUPPORT: Final[dict[str, dict[str, Support]]] = {
    option: dict(zip(("inprocess", "local", "docker", "argo"), row, strict=True)) for option, row in _ROWS.items()
}

_ONE_PROCESS: Final = "tasks run one after the other in this process"
_NO_IMAGE: Final = "tasks run in the Python and with the packages of this process"
_NO_POD: Final = "there are no pods"

WHY: Final[dict[tuple[str, str], str]] = {
    ("cpus", "inprocess"): _ONE_PROCESS,
    ("memory", "inprocess"): _ONE_PROCESS,
    ("memory_on_oom", "inprocess"): _ONE_PROCESS,
    ("packages", "inprocess"): "tasks see the packages of this process",
    ("memory_on_oom", "local"): "memory is no limit there that a task could reach",
    ("gpus", "inprocess"): "tasks see the GPUs that this process sees",
    ("gpus", "local"): "tasks see the GPUs that this machine has, and may share them",
    **{("disk", executor): "tasks share the disk of this machine" for executor in ("inprocess", "local", "docker")},
    **{
        (option, executor): _NO_IMAGE
        for option in ("image", "python", "platform", "run_as_root", "writable_root")
        for executor in ("inprocess", "local")
    },
    **{("network", executor): "tasks use the network of this machine" for executor in ("inprocess", "local")},
    ("network", "argo"): "the cluster decides about the network of pods",
    **{
        (option, executor): _NO_POD
        for option in ("node_selector", "tolerations", "service_account", "pod_patch")
        for executor in ("inprocess", "local", "docker")
    },
    **{
        (option, executor): "it is not available there in this version of pyflow"
        for option in ("volumes",)
        for executor in ("inprocess", "local")
    },
}


def check_options(graph: PackedGraph, executor: str) -> None:
    """Refuse, or warn about, options that the executor does not honour; all of them at once.

    Raises:
        ExecutorError: At least one is refused; the message names each option and its tasks.
    """
    refused, warned = [], []
    for (option, column), names in _users_of_options(graph, executor).items():
        support = SUPPORT[option][column]
        tasks = ", ".join(repr(name) for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        line = f"option {option!r} of {tasks}: {WHY.get((option, column), 'it has no meaning there')}"
        if support == "refused":
            refused.append(line)
        elif support == "warned":
            warned.append(line)
    refused += _other_pythons(graph, executor)
    if refused:
        raise ExecutorError(f"Executor {executor!r} cannot honour " + "; ".join(refused) + ".")
    if warned:
        warn_author(f"Executor {executor!r} leaves out " + "; ".join(warned) + ".", UnsupportedOptionWarning)


def secrets_of(graph: PackedGraph, finder: SecretFinder, environment: Mapping[str, str] = os.environ) -> set[str]:
    """The values of all secrets that the tasks of a graph are given.

    Raises:
        ExecutorError: At least one is not here; the message says which task wants it, and where it was looked for.
    """
    found: set[str] = set()
    missing = []
    for node in _nodes_with(graph, lambda options: bool(options.secret_env)):
        try:
            found.update(finder.values(graph.options[node.options].secret_env, environment).values())
        except ConfigError as error:
            missing.append(f"Task {node.name!r} cannot have its secrets: {error}")
    if missing:
        raise ExecutorError(" ".join(missing))
    return found


def check_size(graph: PackedGraph, *, cpus: float, memory_mib: float) -> None:
    """Refuse tasks that ask for more than this machine has.

    Raises:
        ExecutorError: There is one; the message says what it asks for and what there is.
    """
    wrong = []
    for node in _nodes_with(graph, lambda options: options.cpus > cpus or (options.memory_mib or 0) > memory_mib):
        options = graph.options[node.options]
        if options.cpus > cpus:
            wrong.append(f"Task {node.name!r} asks for cpus={options.cpus:g}, and this machine has {cpus:g}.")
        if (options.memory_mib or 0) > memory_mib:
            wrong.append(
                f"Task {node.name!r} asks for {options.memory_mib} MiB of memory, and this machine has {memory_mib:.0f}."
            )
    if wrong:
        raise ExecutorError(" ".join(wrong) + " Ask for less, or use an executor with larger machines.")


def machine_cpus() -> float:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return float(len(os.sched_getaffinity(0)))
    return float(os.cpu_count() or 1)


def machine_memory_mib() -> float:
    """How much memory the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20


def _other_pythons(graph: PackedGraph, executor: str) -> list[str]:
    """Tasks whose place has another Python by their own word: their code is of this one's."""
    if SUPPORT["python"][executor] != "honoured":
        return []
    return [
        f"option 'python' of {node.name!r}: the place where it runs is to have Python {said}, and this is Python {graph.python}, whose code "
        f"fits no other minor; take an image with Python {graph.python}, or run this with Python {said}"
        for node in _nodes_with(graph, lambda options: options.python not in {None, graph.python})
        if isinstance(node, PackedCall) and (said := graph.options[node.options].python)
    ]


def _users_of_options(graph: PackedGraph, executor: str) -> dict[tuple[str, str], list[str]]:
    """Who has which option, beside the column of the table that counts for them."""
    # Their container tasks run on Docker.
    of_containers = "docker" if executor in ("inprocess", "local") else executor
    users: dict[tuple[str, str], list[str]] = {}
    for node in _nodes_with(graph, lambda options: bool(options.given)):
        column = of_containers if isinstance(node, PackedContainer) else executor
        for option in graph.options[node.options].given:
            users.setdefault((option, column), []).append(node.name)
    return users


def _nodes_with(
    graph: PackedGraph, is_wanted: Callable[[PackedOptions], bool]
) -> Iterator[PackedCall | PackedContainer]:
    """The nodes whose options are wanted. Few options stand for many nodes, and mostly none of them is."""
    wanted = {index for index, options in enumerate(graph.options) if is_wanted(options)}
    if wanted:
        for node in graph.walk_all():
            if isinstance(node, (PackedCall, PackedContainer)) and node.options in wanted:
                yield node
