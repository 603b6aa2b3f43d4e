"""Plain Python functions as tasks of a pipeline, run here, in containers or on a cluster.

    from pyflow import task, pipeline

    @task
    def load(path): ...

    @pipeline
    def train(path: str):
        return fit(load(path))

    train("scenes.csv")      # runs, and gives the value

Every return value is kept as an artifact; ``pyflow ls`` lists the runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyflow import errors
    from pyflow.api import Run, load_run, pipeline
    from pyflow.config import configure
    from pyflow.graph import Secret, Volume
    from pyflow.tracing import container, each, first_of, otherwise, parallel, steps, task, when

# A worker imports this package to run one task and needs none of these; each is loaded when it is named (PEP 562).
_HOMES = {
    "Run": "pyflow.api",
    "Secret": "pyflow.graph",
    "Volume": "pyflow.graph",
    "configure": "pyflow.config",
    "container": "pyflow.tracing",
    "each": "pyflow.tracing",
    "errors": "pyflow",
    "first_of": "pyflow.tracing",
    "load_run": "pyflow.api",
    "otherwise": "pyflow.tracing",
    "parallel": "pyflow.tracing",
    "pipeline": "pyflow.api",
    "steps": "pyflow.tracing",
    "task": "pyflow.tracing",
    "when": "pyflow.tracing",
}

__all__ = [
    "Run",
    "Secret",
    "Volume",
    "configure",
    "container",
    "each",
    "errors",
    "first_of",
    "load_run",
    "otherwise",
    "parallel",
    "pipeline",
    "steps",
    "task",
    "when",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pyflow' has no attribute {name!r}")
    from importlib import import_module

    value = import_module("pyflow.errors") if name == "errors" else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
