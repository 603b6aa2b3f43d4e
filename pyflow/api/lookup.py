"""A run by what a person remembers of its id."""

from __future__ import annotations

from typing import Final

from pyflow.api.elsewhere import no_runs_text
from pyflow.api.home import Workplace
from pyflow.api.load import latest_runs
from pyflow.api.opening import open_run
from pyflow.api.run import Run
from pyflow.errors import NotFoundError
from pyflow.runs import RunRecord

_MOST_SHOWN: Final = 5


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
    if not ids or (text == "latest" and not found):
        raise NotFoundError(no_runs_text(workplace))
    if not found:
        raise NotFoundError(f"{where} no run {text!r}. 'pyflow ls' lists what it has.")
    if len(found) > 1:
        shown = ", ".join(found[-_MOST_SHOWN:])
        raise NotFoundError(
            f"{len(found)} runs are called {text!r}: {shown}{' …' if len(found) > _MOST_SHOWN else ''}."
        )
    return open_run(workplace, RunRecord.read(content, found[0]))
