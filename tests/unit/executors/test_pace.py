"""How many tasks are launched in advance."""

from __future__ import annotations

from pyflow.executors.local.pace import Pace


def test_a_few_while_nothing_is_known_and_many_while_tasks_are_short():
    """The shorter they were lately, the more; for long ones as few as at first."""
    pace = Pace()
    few = pace.in_advance
    pace.note(1e-5)
    assert few == 2
    assert pace.in_advance > 100
    for _ in range(20):
        pace.note(5.0)
    assert pace.in_advance == few


def test_one_long_task_among_many_short_ones_changes_nothing():
    """A join takes longer than the tasks before it, and the next run of the same code begins with short ones again."""
    pace = Pace()
    for _ in range(200):
        pace.note(2e-5)
    before = pace.in_advance
    pace.note(1.0)
    assert pace.in_advance == before


def test_a_clock_that_stood_still_divides_nothing():
    """A duration of 0 is as short as a microsecond."""
    pace = Pace()
    pace.note(0.0)
    assert pace.in_advance > 100
