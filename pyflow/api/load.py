"""Runs that were started before, or elsewhere."""

from __future__ import annotations

from pyflow.api.home import open_workplace
from pyflow.api.run import Run
from pyflow.config import Settings
from pyflow.runs import RunRecord


def load_run(run_id: str, store: str | None = None) -> Run:
    """The run with this id.

    Args:
        run_id: As ``Run.id`` says it, and ``pyflow ls`` lists it.
        store: URL or path of its store; None: the one that the settings name.

    Raises:
        NotFoundError: The store has no such run.
    """
    workplace = open_workplace(Settings(store=store))
    return Run(workplace.content, RunRecord.read(workplace.content, run_id), workplace.results)


def list_runs(store: str | None = None, *, limit: int | None = None) -> list[Run]:
    """The runs of this project and owner, the latest first."""
    workplace = open_workplace(Settings(store=store))
    ids = sorted(workplace.content.blobs.folders(workplace.content.keys.runs()), reverse=True)
    return [
        Run(workplace.content, RunRecord.read(workplace.content, run_id), workplace.results) for run_id in ids[:limit]
    ]
