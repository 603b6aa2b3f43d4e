"""Runs that were started before, or elsewhere."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from pyflow.api.elsewhere import no_runs_text, others_text
from pyflow.api.home import Workplace, open_workplace
from pyflow.api.opening import open_run
from pyflow.api.run import Run
from pyflow.config import Settings
from pyflow.errors import ConfigError, ExecutorError, IntegrityError, NotFoundError
from pyflow.executors import open_remote
from pyflow.late import late
from pyflow.runs import RunRecord
from pyflow.uncaught import tell_plainly

if TYPE_CHECKING:
    from concurrent import futures
else:
    futures = late("concurrent.futures")

_SECOND: Final = len("20261123-173012")
_TIMED: Final = re.compile(r"\d{8}-\d{6}-")
_UID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_READERS: Final = 16
_MOST_SHOWN: Final = 5


def load_run(run_id: str, store: str | None = None) -> Run:
    """The run with this id, or whose id alone starts or ends so; ``latest`` is the last one started.

    Args:
        run_id: As ``Run.id`` says it, and ``pyflow ls`` lists it, or enough of it.
        store: URL or path of its store; None: the one that the settings name.

    Raises:
        NotFoundError: The store has no such run of this project and owner, or several; it says whose runs are there.
    """
    tell_plainly()
    if not isinstance(run_id, str) or not run_id:
        raise NotFoundError(
            f"load_run() needs the id of a run, as Run.id says it and 'pyflow ls' lists it, got {run_id!r}."
        )
    workplace = open_workplace(Settings(store=store))
    with contextlib.suppress(NotFoundError):
        return open_run(workplace, RunRecord.read(workplace.content, run_id))
    return find_run(run_id, workplace)


def _unrecorded(run_id: str, workplace: Workplace) -> Run | None:
    """A run that a cluster tells of by its uid before a pod of it has written anything: Argo's page or clock has started it."""
    content = workplace.content
    if content.blobs.info(content.keys.run_info(run_id)) is not None:
        return None
    try:
        record = open_remote("argo", workplace.settings).unrecorded(run_id, workplace.home, content)
    except (ConfigError, ExecutorError):
        return None  # there is no cluster, or it cannot be asked now
    return None if record is None else open_run(workplace, record)


def find_run(text: str, workplace: Workplace) -> Run:
    """The run with this id, or whose id alone starts or ends with this; ``latest`` is the last one started.

    Raises:
        NotFoundError: No run is called so, or several are.
    """
    content = workplace.content
    ids = sorted(content.blobs.folders(content.keys.runs()))
    where = f"The store {content.blobs.url} has"
    if text == "latest":
        found = [run.id for run in latest_runs(workplace, ids, 1)]
    else:
        found = [text] if text in ids else [one for one in ids if text and (one.startswith(text) or one.endswith(text))]
    run = _unrecorded(text, workplace) if _UID.fullmatch(text) else None
    if run is not None:
        return run
    if not ids or (text == "latest" and not found):
        raise NotFoundError(no_runs_text(workplace))
    if not found:
        raise NotFoundError(f"{where} no run {text!r}. 'pyflow ls' lists what it has.{others_text(workplace)}")
    if len(found) > 1:
        shown = ", ".join(found[-_MOST_SHOWN:])
        raise NotFoundError(
            f"{len(found)} runs are called {text!r}: {shown}{' …' if len(found) > _MOST_SHOWN else ''}."
        )
    return open_run(workplace, RunRecord.read(content, found[0]))


def list_runs(store: str | None = None, *, limit: int | None = None) -> list[Run]:
    """The runs of this project and owner, the latest first."""
    tell_plainly()
    workplace = open_workplace(Settings(store=store))
    ids = workplace.content.blobs.folders(workplace.content.keys.runs())
    return latest_runs(workplace, ids, limit)


def latest_runs(workplace: Workplace, ids: Iterable[str], limit: int | None = None) -> list[Run]:
    """The runs of these ids that started last, the latest first."""
    timed: list[str] = []
    others: list[str] = []
    for run_id in ids:
        (timed if _TIMED.match(run_id) else others).append(run_id)
    # A cluster's names for runs tell no time, so their records are read, all of them.
    found = [run for run in _all_of(workplace, others) if run is not None]
    latest: list[Run] = []
    for run_id in sorted(timed, reverse=True):
        # An id tells the second; which of two runs of one second is later, their records do.
        if limit is not None and len(latest) >= limit and run_id[:_SECOND] != latest[-1].id[:_SECOND]:
            break
        run = _run(workplace, run_id)
        if run is not None:
            latest.append(run)
    return sorted([*found, *latest], key=lambda run: run.record.started_at, reverse=True)[:limit]


def _all_of(workplace: Workplace, ids: Sequence[str]) -> Iterable[Run | None]:
    if len(ids) < 2:
        return [_run(workplace, run_id) for run_id in ids]
    with futures.ThreadPoolExecutor(min(_READERS, len(ids))) as pool:
        return list(pool.map(lambda run_id: _run(workplace, run_id), ids))


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
