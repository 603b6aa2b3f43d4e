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

from pyflow import errors
from pyflow.api import Run, load_run, pipeline
from pyflow.config import configure
from pyflow.tracing import each, first_of, otherwise, parallel, steps, task, when

__all__ = [
    "Run",
    "configure",
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
