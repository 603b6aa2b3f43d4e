"""Runs that were started before, or elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Final

from pyflow.api.home import Workplace, open_workplace
from pyflow.api.opening import open_run
from pyflow.api.run import Run
from pyflow.config import Settings
from pyflow.errors import IntegrityError, NotFoundError
from pyflow.runs import RunRecord

_SECOND: Final = len("20261123-173012")


def load_run(run_id: str, store: str | None = None) -> Run:
    """The run with this id.

    Args:
        run_id: As ``Run.id`` says it, and ``pyflow ls`` lists it.
        store: URL or path of its store; None: the one that the settings name.

    Raises:
        NotFoundError: The store has no such run.
    """
    workplace = open_workplace(Settings(store=store))
    return open_run(workplace, RunRecord.read(workplace.content, run_id))


def list_runs(store: str | None = None, *, limit: int | None = None) -> list[Run]:
    """The runs of this project and owner, the latest first."""
    workplace = open_workplace(Settings(store=store))
    ids = workplace.content.blobs.folders(workplace.content.keys.runs())
    return latest_runs(workplace, ids, limit)


def latest_runs(workplace: Workplace, ids: Iterable[str], limit: int | None = None) -> list[Run]:
    """The runs of these ids that started last, the latest first."""
    found: list[Run] = []
    for run_id in sorted(ids, reverse=True):
        # An id tells the second; which of two runs of one second is later, their records do.
        if limit is not None and len(found) >= limit and run_id[:_SECOND] != found[-1].id[:_SECOND]:
            break
        run = _run(workplace, run_id)
        if run is not None:
            found.append(run)
    return sorted(found, key=lambda run: run.record.started_at, reverse=True)[:limit]


def _run(workplace: Workplace, run_id: str) -> Run | None:
    """The run, unless it is being deleted, or made: then it has no record. One with a damaged record is left out, with a warning."""
    try:
        record = RunRecord.read(workplace.content, run_id)
    except NotFoundError:
        return None
    except IntegrityError as error:
        warnings.warn(f"Run {run_id} is left out. {error}", stacklevel=2)
        return None
    return open_run(workplace, record)
