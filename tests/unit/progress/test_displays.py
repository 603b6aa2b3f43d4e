"""What is drawn: lines, a table in a terminal, a table in a notebook."""

from __future__ import annotations

import io
import re

import pytest
from unit.progress.story import Story

from pyflow.progress import Counter, LiveTable, NotebookTable, Outlet, PlainLines
from pyflow.progress.display import Pace, log_tails
from pyflow.progress.live import plain
from pyflow.progress.notebook import to_html
from pyflow.terminal import columns


class Always(Pace):
    """It is always time to draw."""

    def __init__(self):
        super().__init__(0.0)

    def is_due(self):
        return True


def tell_all(story, *, bad=()):
    """A run of three items, of which some fail."""
    story.begin()
    story.run("load")
    story.expand("fit", 3)
    for i in range(3):
        story.run("fit", i, **({"status": "failed", "log": ["w1", 0, 4]} if i in bad else {}))
    if not bad:
        story.run("pick")
    story.run("tell")
    story.finish("failed" if bad else "succeeded")


@pytest.fixture
def lines_of(train_graph):
    """What plain lines say of a story."""

    def make(tell, read_log=None):
        out = io.StringIO()
        shown = PlainLines(Counter(train_graph, "run-1"), Outlet(out), read_log, now=lambda: 1020.0)
        tell(Story(train_graph, shown.on_event))
        shown.close()
        return out.getvalue().splitlines()

    return make


def test_plain_lines(lines_of):
    """A task has a line at its start and one at its end."""
    assert lines_of(tell_all) == [
        "Run run-1 of 'train'",
        "     1.0 s  load started",
        "     2.0 s  load succeeded in 1.0 s",
        "     4.0 s  fit started (3 items)",
        "     9.0 s  fit succeeded in 5.0 s (3 of 3 items)",
        "    10.0 s  pick started",
        "    11.0 s  pick succeeded in 1.0 s",
        "    12.0 s  tell started",
        "    13.0 s  tell succeeded in 1.0 s",
        "Run run-1 succeeded in 20.0 s: 6 tasks",
    ]


def test_plain_lines_of_a_failure(lines_of):
    """A failure says why, the log of what failed comes at the end, and then what was kept."""
    lines = lines_of(lambda story: tell_all(story, bad=(1,)), lambda *_: b"a\x1b[31mb\nlast words\n")
    assert "     9.0 s  fit failed in 5.0 s (2 of 3 items): 1 failed: ValueError: bad" in lines
    assert lines[-5:] == [
        "",
        "The log of fit[1] (pyflow logs run-1 'fit[1]'):",
        "  | ab",
        "  | last words",
        "Run run-1 failed after 20.0 s: 4 of 6 results are kept",
    ]


def test_plain_lines_stay_few(lines_of):
    """A map of a thousand slow items says how far it is ever more rarely."""

    def tell(story):
        story.begin()
        story.expand("fit", 1000)
        for i in range(1000):
            story.run("fit", i)
        story.finish()

    assert len(lines_of(tell)) <= 12


def test_plain_lines_of_a_run_that_was_left(lines_of):
    """A run that nobody ended says so, and that what it had is kept."""
    assert lines_of(lambda story: (story.begin(), story.start("load")))[-2:] == [
        "     1.0 s  load left after 19.0 s",
        "Run run-1 left after 20.0 s: 0 of 3 results are kept",
    ]


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of a known kind and size."""
    for name, value in {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}.items():
        monkeypatch.setenv(name, value)
    return io.StringIO()


def test_live_table_draws_over_itself(train_graph, terminal):
    """Each drawing clears the one before; the last stays, and the cursor with it."""
    shown = LiveTable(Counter(train_graph, "run-1"), Outlet(terminal), None, now=lambda: 1014.0, pace=Always())
    tell_all(Story(train_graph, shown.on_event))
    shown.close()
    *_, last = terminal.getvalue().split("\r" + "\x1b[2K\x1b[1A" * 5 + "\x1b[2K")
    last, _, behind = last.rpartition("\n")
    assert [line.rstrip() for line in last.split("\n")] == [
        "train  run-1",
        "  ✓ load     1.0 s",
        "  ✓ fit      5.0 s  ━━━━━━━━━━━━━━━━  3 of 3",
        "  ✓ pick     1.0 s",
        "  ✓ tell     1.0 s",
        "  succeeded in 14.0 s: 6 tasks",
    ]
    assert behind == "\x1b[?25h"


def test_live_table_has_colours(train_graph, terminal):
    """Where colours are allowed, each state has its own, and nothing else about the text changes."""
    shown = LiveTable(Counter(train_graph, "run-1"), Outlet(terminal, has_colour=True), None, now=lambda: 1014.0)
    tell_all(Story(train_graph, shown.on_event), bad=(1,))
    shown.close()
    assert "\x1b[32m  ✓\x1b[0m load" in terminal.getvalue()
    assert "\x1b[31m  ✗\x1b[0m fit" in terminal.getvalue()


def test_live_table_that_is_interrupted_leaves_the_terminal_usable(train_graph, terminal):
    """The cursor is never left hidden, so a process may be killed between two drawings; a run that was left is drawn."""
    shown = LiveTable(Counter(train_graph, "run-1"), Outlet(terminal), None, now=lambda: 1014.0, pace=Always())
    story = Story(train_graph, shown.on_event)
    story.begin()
    story.start("load")
    assert re.findall(r"\x1b\[\?25.", terminal.getvalue())[-1] == "\x1b[?25h"
    shown.close()
    assert terminal.getvalue().endswith("  running for 14.0 s, 0 of 3 tasks done\n\x1b[?25h")


def test_each_display_says_where_a_run_goes_on_without_its_caller(train_graph):
    """And how large it is expected to get, before anything of it has begun."""
    counter, out = Counter(train_graph, "run-1", where="workflow <w> in namespace n: at most 7 pods"), io.StringIO()
    Story(train_graph, PlainLines(counter, Outlet(out), None).on_event).begin()
    assert out.getvalue() == "Run run-1 of 'train': workflow <w> in namespace n: at most 7 pods\n"
    rows = plain(counter, 1010.0, width=80, height=7)
    assert rows[1] == "  workflow <w> in namespace n: at most 7 pods"
    assert len(rows) == 7
    assert "workflow &lt;w&gt; in namespace n: at most 7 pods</div>" in to_html(counter, 1010.0, [])


def test_live_table_goes_on_when_nobody_listens(train_graph, terminal):
    """A terminal that was closed ends no run."""
    shown = LiveTable(Counter(train_graph, "run-1"), Outlet(terminal), None, now=lambda: 1014.0, pace=Always())
    terminal.close()
    tell_all(Story(train_graph, shown.on_event))
    shown.close()


def test_live_table_shows_the_log_of_what_failed(train_graph, terminal):
    """Below the last drawing stand the last words of what failed, and nothing in them is markup or obeyed."""
    log = b"[bold]last\x1b[2J words[/bold] " + b"long " * 50
    shown = LiveTable(Counter(train_graph, "run-1"), Outlet(terminal), lambda *_: log, now=lambda: 1014.0)
    tell_all(Story(train_graph, shown.on_event), bad=(1,))
    shown.close()
    assert terminal.getvalue().endswith(
        f"\n\x1b[?25h\nThe log of fit[1] (pyflow logs run-1 'fit[1]'):\n  [bold]last words[/bold] {'long ' * 50}\n"
    )


@pytest.mark.parametrize("width", [20, 40, 80])
def test_live_table_fits_the_terminal(counted_run, width):
    """No line is wider than the terminal, however long names and messages are."""
    counter, story = counted_run
    story.begin()
    story.expand("fit", 2)
    story.run("fit", 0, status="failed", error={"type": "x.Error", "message": "long " * 50 + "\n\x1b[2J"})
    rows = plain(counter, 1010.0, width=width, height=20)
    assert len(rows) == 6
    assert max(columns(row) for row in rows) <= width
    assert not any("\x1b" in row for row in rows)


def test_live_table_takes_no_text_for_markup(counted_run):
    """Brackets and colons are what a message has, never a style or a picture."""
    counter, story = counted_run
    story.begin()
    story.run("load", status="failed", error={"type": "E", "message": "[bold]no[/] :smile: [/nope]"})
    assert any("E: [bold]no[/] :smile: [/nope]" in row for row in plain(counter, 1010.0, width=80, height=20))


def test_live_table_shows_what_matters_when_there_is_no_room(counted_run):
    """What runs and what failed is shown before what has ended well or waits; the others are summed up."""
    counter, story = counted_run
    story.begin()
    story.run("load")
    story.expand("fit", 2)
    story.start("fit", 0)
    rows = plain(counter, 1010.0, width=80, height=5)
    assert [row.split()[1] for row in rows[1:-2]] == ["fit", "pick"]
    assert rows[-2] == "  … and 2 more: 1 succeeded, 1 pending"


def test_notebook_table_is_brought_up_to_date_in_place(train_graph):
    """The first table is shown, the others take its place; the last has the log of what failed."""
    shown = []
    display = NotebookTable(
        Counter(train_graph, "run-1"),
        lambda *_: b"last words",
        show=lambda bundle, is_update: shown.append((bundle, is_update)),
        now=lambda: 1014.0,
        pace=Always(),
    )
    tell_all(Story(train_graph, display.on_event), bad=(0,))
    display.close()
    assert [is_update for _, is_update in shown][:3] == [False, True, True]
    last, _ = shown[-1]
    assert "2 of 3" not in last["text/html"]
    assert "last words" in last["text/html"]
    assert "last words" in last["text/plain"]


def test_notebook_table_escapes(counted_run):
    """Names, messages and logs are text, never markup."""
    counter, story = counted_run
    story.begin()
    story.run("load", status="failed", error={"type": "E", "message": "<script>alert('&')</script>"})
    html = to_html(counter, 1010.0, [("headline <b>", ["<img src=x>"])])
    assert "<script>" not in html
    assert "&lt;script&gt;alert(&#39;&amp;&#39;)" in html
    assert "&lt;img src=x&gt;" in html


def test_log_tails_are_short(counted_run):
    """Of a log the last lines are shown, and of many failures the first three."""
    counter, story = counted_run
    story.begin()
    story.expand("fit", 9)
    for i in range(9):
        story.run("fit", i, status="failed", log=["w1", 0, 100_000])
    asked = []

    def read_log(writer, start, end):
        asked.append(end - start)
        return "".join(f"line {i}\n" for i in range(100)).encode()

    tails = list(log_tails(counter, read_log))
    assert [len(lines) for _, lines in tails] == [20, 20, 20]
    assert tails[0][0] == "Last 20 lines of the log of fit[0] (pyflow logs run-1 'fit[0]'):"
    assert tails[0][1][-1] == "line 99"
    assert max(asked) <= 64 * 1024


def test_a_display_does_not_end_a_run(train_graph):
    """That nobody reads standard error any more is no reason to fail."""
    out = io.StringIO()
    out.close()
    shown = PlainLines(Counter(train_graph, "run-1"), Outlet(out), None)
    tell_all(Story(train_graph, shown.on_event))
    shown.close()
