"""What each executor does with each option: the one table, printed in the docs.

``honoured``: it does what the option says. ``warned``: leaving it out is harmless, and the user is told.
``refused``: the run does not start.
"""

from __future__ import annotations

import os
from typing import Final, Literal

from pyflow.errors import ExecutorError, UnsupportedOptionWarning, warn_author
from pyflow.packed import PackedCall, PackedContainer, PackedGraph

Support = Literal["honoured", "warned", "refused"]

EVERYWHERE: Final = ("name", "retries", "backoff", "retry_on", "env", "outputs", "labels", "batch")

SUPPORT: Final[dict[str, dict[str, Support]]] = {
    **{option: {"inprocess": "honoured", "local": "honoured"} for option in EVERYWHERE},
    "timeout": {"inprocess": "honoured", "local": "honoured"},
    "cpus": {"inprocess": "warned", "local": "honoured"},
    "memory": {"inprocess": "warned", "local": "honoured"},
    "gpus": {"inprocess": "warned", "local": "warned"},
}

WHY: Final[dict[tuple[str, str], str]] = {
    ("cpus", "inprocess"): "tasks run one after the other in this process",
    ("memory", "inprocess"): "tasks run one after the other in this process",
    ("gpus", "inprocess"): "tasks see the GPUs that this process sees",
    ("gpus", "local"): "tasks see the GPUs that this machine has, and may share them",
}


def check_options(graph: PackedGraph, executor: str) -> None:
    """Refuse, or warn about, options that the executor does not honour; all of them at once.

    Raises:
        ExecutorError: At least one is refused; the message names each option and its tasks.
    """
    refused, warned = [], []
    for option, names in _users_of_options(graph).items():
        support = SUPPORT[option][executor]
        tasks = ", ".join(repr(name) for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        line = f"option {option!r} of {tasks}: {WHY.get((option, executor), 'it has no meaning there')}"
        if support == "refused":
            refused.append(line)
        elif support == "warned":
            warned.append(line)
    if refused:
        raise ExecutorError(f"Executor {executor!r} cannot honour " + "; ".join(refused) + ".")
    if warned:
        warn_author(f"Executor {executor!r} leaves out " + "; ".join(warned) + ".", UnsupportedOptionWarning)


def check_containers(graph: PackedGraph, executor: str) -> None:
    """Refuse a graph with container tasks, which need a container engine.

    Raises:
        ExecutorError: There is one.
    """
    names = [f"{node.name!r} (called at {node.at})" for node in graph.walk() if isinstance(node, PackedContainer)]
    if names:
        raise ExecutorError(
            f"Container tasks do not run on executor {executor!r} in this version of pyflow, they trace and draw only: "
            f"{', '.join(names)}."
        )


def check_size(graph: PackedGraph, *, cpus: float, memory_mib: float) -> None:
    """Refuse tasks that ask for more than this machine has.

    Raises:
        ExecutorError: There is one; the message says what it asks for and what there is.
    """
    wrong = []
    for node in graph.walk():
        if isinstance(node, (PackedCall, PackedContainer)):
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


def _users_of_options(graph: PackedGraph) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for node in graph.walk():
        if isinstance(node, (PackedCall, PackedContainer)):
            for option in graph.options[node.options].given:
                users.setdefault(option, []).append(node.name)
    return users
