"""What a person sees while a run goes on: a line for each task, in a terminal, a log or a notebook.

Which of them, if any, is for ``choose`` to say; each is a ``Watcher`` of the run. All of them count with
``Counter`` and draw a few times a second at most.
"""

from __future__ import annotations

from collections.abc import Callable

from pyflow.packed import PackedGraph
from pyflow.progress.counter import Counter, FailedTask, Line
from pyflow.progress.display import Display, ReadLog
from pyflow.progress.lines import PlainLines
from pyflow.progress.live import LiveTable
from pyflow.progress.notebook import NotebookTable
from pyflow.progress.outlet import Outlet
from pyflow.progress.places import Place, choose, look_around
from pyflow.progress.symbols import COLOUR, SYMBOL

__all__ = [
    "COLOUR",
    "SYMBOL",
    "Counter",
    "Display",
    "FailedTask",
    "Line",
    "LiveTable",
    "NotebookTable",
    "Outlet",
    "Place",
    "PlainLines",
    "ReadLog",
    "choose",
    "look_around",
    "open_progress",
]


def open_progress(
    graph: PackedGraph,
    run_id: str,
    *,
    is_wanted: bool | None,
    is_aside: bool = False,
    prints_here: bool = False,
    read_log: ReadLog | None = None,
    log_command: Callable[[], str] | None = None,
    where: str = "",
) -> tuple[Display, ...]:
    """The displays that show a run; none where nobody looks.

    Args:
        graph: What runs.
        run_id: Its name.
        is_wanted: Whether to show it; None: where somebody may be looking.
        is_aside: The run goes on in a thread of its own, while the caller does other things.
        prints_here: Tasks print on this terminal themselves, so nothing can be drawn over.
        read_log: Gives a piece of a log, to show what failed tasks printed.
        log_command: What to type here to see the logs.
        where: Where the run goes on without its caller, and how large it is expected to get.
    """
    place = choose(look_around(), is_wanted=is_wanted, is_aside=is_aside, prints_here=prints_here)
    if place is None:
        return ()
    counter = Counter(graph, run_id, log_command, where)
    if place == "notebook":
        return (NotebookTable(counter, read_log),)
    kind = LiveTable if place == "live" else PlainLines
    return (kind(counter, Outlet.of_standard_error(), read_log),)
