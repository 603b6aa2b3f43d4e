"""``@task``, placeholders, and the body of a pipeline → ``Graph``. Packing and running it are the matter of others."""

from pyflow.tracing.branches import first_of, otherwise, when
from pyflow.tracing.container import ContainerTask, container
from pyflow.tracing.definition import Definition
from pyflow.tracing.location import raised_at
from pyflow.tracing.mapping import each
from pyflow.tracing.names import name_of
from pyflow.tracing.order import calls_of, parallel, refuse_uncalled, steps
from pyflow.tracing.placeholder import Placeholder
from pyflow.tracing.recorder import is_tracing
from pyflow.tracing.task import Task, task
from pyflow.tracing.tracer import call_inline, map_inline, trace, trace_template

__all__ = [
    "ContainerTask",
    "Definition",
    "Placeholder",
    "Task",
    "call_inline",
    "calls_of",
    "container",
    "each",
    "first_of",
    "is_tracing",
    "map_inline",
    "name_of",
    "otherwise",
    "parallel",
    "refuse_uncalled",
    "raised_at",
    "steps",
    "task",
    "trace",
    "trace_template",
    "when",
]
