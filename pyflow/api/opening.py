"""A record → a run that can be asked, wherever it goes on."""

from __future__ import annotations

from pyflow.api.home import Workplace
from pyflow.api.run import Run
from pyflow.executors import REMOTE, open_remote
from pyflow.packed import PackedGraph
from pyflow.runs import RunRecord


def open_run(workplace: Workplace, record: RunRecord, graph: PackedGraph | None = None) -> Run:
    """The run of a record. The place where it goes on is asked only when the store does not say how it is."""
    remote = None
    if record.executor in REMOTE:
        remote = lambda: open_remote(record.executor, workplace.settings)  # noqa: E731
    return Run(workplace.content, record, workplace.results, graph=graph, remote=remote)
