"""What may happen next: dependencies, capacity, retries, ends; nothing runs here."""

from __future__ import annotations

import random

import pytest
from unit.scheduling.simulation import ENDLESS, Simulation, packed

from pyflow import each, first_of, otherwise, pipeline, steps, task, when
from pyflow.errors import PyflowError
from pyflow.scheduling import (
    Advance,
    CancelRequested,
    Capacity,
    Due,
    Ended,
    Expand,
    Fail,
    Finish,
    Pause,
    Recalled,
    Scheduler,
    Skip,
    Start,
)


@task
def a(*args, **kwargs): ...


b, c, d = (a.with_options(name=name) for name in "bcd")


def alone(**options):
    """The graph of a single call."""

    @pipeline
    def single():
        return a.with_options(**options)()

    return packed(single)


def started(commands):
    """The slots that commands start."""
    return [str(slot) for command in commands if isinstance(command, Start) for slot in command.slots]


def test_an_empty_pipeline_finishes_at_once():
    """Without a call there is nothing to start."""
    scheduler = Scheduler(packed(pipeline(name="p")(lambda: 5)), ENDLESS)
    assert scheduler.begin() == [Finish(is_success=True)]


def test_calls_start_when_what_they_need_has_ended():
    """What is independent starts at once, the rest one end after the other."""

    @pipeline
    def diamond():
        first = a()
        return d(b(first), c(first))

    scheduler = Scheduler(packed(diamond), ENDLESS)
    assert started(scheduler.begin()) == ["0"]
    assert started(scheduler.handle(Ended("0", is_success=True))) == ["1", "2"]
    assert scheduler.running == ["1", "2"]
    assert scheduler.handle(Ended("2", is_success=True)) == []
    assert started(scheduler.handle(Ended("1", is_success=True))) == ["3"]
    assert scheduler.handle(Ended("3", is_success=True)) == [Finish(is_success=True)]


def test_order_without_data_is_kept():
    """``after``, arrows and steps make calls wait."""

    @pipeline
    def ordered():
        first = a()
        b.after(first)()
        with steps():
            c()
            d.map([1, 2])
            a()

    simulation = Simulation(packed(ordered)).run()
    names = simulation.names_started()
    assert names.index("a") < names.index("b")
    assert names.index("c") < names.index("d[0]") < names.index("d[1]") < names.index("a-2")


@pytest.mark.parametrize(("capacity", "most"), [
    (Capacity(cpus=3), 3), (Capacity(cpus=100, tasks=2), 2), (Capacity(cpus=100, memory_mib=2500), 2), (Capacity(cpus=0.5), 1),
])  # fmt: skip
def test_no_more_runs_at_once_than_there_is_room(capacity, most):
    """Processors, memory and the number of tasks are limits; something always runs."""

    @pipeline
    def wide():
        return a.with_options(memory="1Gi").map(range(20))

    simulation = Simulation(packed(wide), capacity).run()
    assert (simulation.most_at_once, len(simulation.succeeded)) == (most, 20)


def test_small_tasks_pass_one_that_does_not_fit():
    """A task that waits for room does not hold up others, and gets its turn."""

    @pipeline
    def mixed():
        a.with_options(cpus=2)()
        b.with_options(cpus=3)()
        c.with_options(cpus=1)()

    scheduler = Scheduler(packed(mixed), Capacity(cpus=3))
    assert started(scheduler.begin()) == ["0", "2"]
    assert started(scheduler.handle(Ended("2", is_success=True))) == []
    assert started(scheduler.handle(Ended("0", is_success=True))) == ["1"]


def test_a_failed_attempt_is_made_again_after_a_pause():
    """Pauses double, attempts are counted, and after the last one the slot has failed."""

    @pipeline
    def retrying():
        return b(a.with_options(retries=2, backoff=3)())

    scheduler = Scheduler(packed(retrying), ENDLESS)
    (start,) = scheduler.begin()
    slot = start.slots[0]
    assert scheduler.handle(Ended("0", is_success=False, is_retryable=True)) == [Pause(slot, 3.0)]
    assert scheduler.handle(Due("0")) == [Start((slot,), (2,))]
    assert scheduler.handle(Ended("0", is_success=False, is_retryable=True)) == [Pause(slot, 6.0)]
    assert scheduler.handle(Due("0")) == [Start((slot,), (3,))]
    assert scheduler.handle(Ended("0", is_success=False, is_retryable=True)) == [Finish(is_success=False)]


def test_an_error_that_is_final_is_not_tried_again():
    """Retries are for what may be tried again."""
    scheduler = Scheduler(alone(retries=5), ENDLESS)
    scheduler.begin()
    assert scheduler.handle(Ended("0", is_success=False)) == [Finish(is_success=False)]


def test_the_first_failure_stops_new_starts():
    """What runs goes on to its end; what waits, also for another attempt, does not start."""

    @pipeline
    def failing():
        a()
        b.with_options(retries=1)()
        c()
        d()

    scheduler = Scheduler(packed(failing), Capacity(cpus=3))
    assert started(scheduler.begin()) == ["0", "1", "2"]
    assert isinstance(scheduler.handle(Ended("1", is_success=False, is_retryable=True))[0], Pause)
    assert scheduler.handle(Ended("0", is_success=False)) == []
    assert scheduler.handle(Due("1")) == []
    *_, finish = scheduler.handle(Ended("2", is_success=True)) or [None]
    if finish is None:
        (finish,) = scheduler.handle(Ended("3", is_success=True))
    assert finish == Finish(is_success=False)


def test_without_fail_fast_all_that_can_runs():
    """Only what needs the failure, or waits for it, is left out."""

    @pipeline(fail_fast=False)
    def failing():
        bad = a()
        b(bad)
        b.after(bad)()
        d(c())

    simulation = Simulation(packed(failing), judge=lambda slot, _: "final" if slot == "0" else "ok").run()
    assert (simulation.succeeded, simulation.finish.is_success) == ({"3", "4"}, False)


def test_cancelling_starts_nothing_more():
    """The run ends when what runs has; cancelling twice is like once."""

    @pipeline
    def chain():
        return b(a(), c())

    scheduler = Scheduler(packed(chain), ENDLESS)
    scheduler.begin()
    assert scheduler.handle(CancelRequested()) == []
    assert scheduler.handle(CancelRequested()) == []
    assert scheduler.handle(Ended("0", is_success=True)) == []
    assert scheduler.handle(Ended("1", is_success=False, is_retryable=True)) == [Finish(is_success=False)]


def test_cancelling_between_attempts_ends_the_run():
    """Nobody waits for a pause to be over."""
    scheduler = Scheduler(alone(retries=1), ENDLESS)
    scheduler.begin()
    scheduler.handle(Ended("0", is_success=False, is_retryable=True))
    assert scheduler.handle(CancelRequested()) == [Finish(is_success=False)]


def test_a_run_that_succeeded_before_it_was_cancelled_has_succeeded():
    """All was done when the request came."""
    scheduler = Scheduler(alone(), ENDLESS)
    scheduler.begin()
    assert scheduler.handle(Ended("0", is_success=True)) == [Finish(is_success=True)]
    assert scheduler.handle(CancelRequested()) == []


def test_a_branch_runs_one_side():
    """The side that was not taken is skipped, with all inside of it, and who waits after it goes on."""

    @pipeline
    def branching():
        x = a()
        with when(x > 1):
            yes = b()
            with when(x > 2):
                deep = b(yes)
        with otherwise():
            no = c()
        d.after(yes)()
        d(first_of(deep, no))

    graph = packed(branching)
    for taken, expected in ((True, {"b", "b-2", "d", "d-2", "a"}), (False, {"c", "d", "d-2", "a"})):
        simulation = Simulation(graph, facts=lambda _slot, _fact, taken=taken: taken).run()
        assert {simulation.name(slot) for slot in simulation.succeeded} == expected
        assert all(slot not in simulation.attempts for slot in simulation.skipped)
        assert simulation.finish.is_success


def test_a_choice_without_anything_to_choose_fails():
    """It has no worker that could fail, so the scheduler says it."""

    @pipeline
    def choosing():
        with when(a() > 1):
            yes = b()
        return c(first_of(yes))

    scheduler = Scheduler(packed(choosing), ENDLESS)
    scheduler.begin()
    skip, fail, finish = scheduler.handle(Ended("0", is_success=True, facts=(False,)))
    assert isinstance(skip, Skip)
    assert isinstance(fail, Fail)
    assert "no default" in fail.reason
    assert finish == Finish(is_success=False)


def test_a_map_is_expanded_when_its_length_is_known():
    """Its items start together, and what follows waits for all of them."""

    @pipeline
    def mapping():
        return c(b.map(a()))

    scheduler = Scheduler(packed(mapping), ENDLESS)
    scheduler.begin()
    expand, *starts = scheduler.handle(Ended("0", is_success=True, facts=({"length": 3},)))
    assert (isinstance(expand, Expand), expand.items, started(starts)) == (True, 3, ["2.0", "2.1", "2.2"])
    assert scheduler.handle(Ended("2.1", is_success=True)) == []
    assert scheduler.handle(Ended("2.0", is_success=True)) == []
    assert started(scheduler.handle(Ended("2.2", is_success=True))) == ["3"]


def test_an_empty_map_ends_at_once():
    """What follows does not wait."""

    @pipeline
    def mapping():
        return c(b.map(b.map(a())))

    scheduler = Scheduler(packed(mapping), ENDLESS)
    scheduler.begin()
    commands = scheduler.handle(Ended("0", is_success=True, facts=({"length": 0},)))
    assert started(commands) == ["5"]


def test_maps_of_maps_go_in_lockstep():
    """An item starts when the same item of the map before has ended, and not when others have."""

    @pipeline
    def chain():
        return d(c.map(b.map([1, 2]), y=each(b.map([3, 4]))))

    scheduler = Scheduler(packed(chain), ENDLESS)
    first = started(scheduler.begin())
    assert first == ["1.0", "1.1", "3.0", "3.1"]
    assert started(scheduler.handle(Ended("1.1", is_success=True))) == []
    assert started(scheduler.handle(Ended("3.1", is_success=True))) == ["5.1"]
    assert started(scheduler.handle(Ended("5.1", is_success=True))) == []
    scheduler.handle(Ended("1.0", is_success=True))
    assert started(scheduler.handle(Ended("3.0", is_success=True))) == ["5.0"]
    assert started(scheduler.handle(Ended("5.0", is_success=True))) == ["6"]


def test_unequal_lengths_fail_the_map():
    """Both are named, and nothing of the map starts."""

    @pipeline
    def mapping():
        return c.map([1, 2, 3], y=each(a()))

    scheduler = Scheduler(packed(mapping), ENDLESS)
    scheduler.begin()
    fail, finish = scheduler.handle(Ended("0", is_success=True, facts=({"length": 2},)))
    assert "'argument 1' has 3 and 'y' has 2" in fail.reason
    assert finish == Finish(is_success=False)


def test_a_batch_starts_as_one():
    """Items of a batch start together and hold one place; a retry is alone; the rest may be smaller."""

    @pipeline
    def batched():
        return b(a.with_options(batch=3, retries=1, backoff=0).map(range(7)))

    scheduler = Scheduler(packed(batched), Capacity(cpus=2))
    assert [len(c.slots) for c in scheduler.begin() if isinstance(c, Start)] == [3, 3]
    assert isinstance(scheduler.handle(Ended("1.0", is_success=False, is_retryable=True))[0], Pause)
    scheduler.handle(Ended("1.1", is_success=True))
    assert started(scheduler.handle(Ended("1.2", is_success=True))) == ["1.6"]
    scheduler.handle(Due("1.0"))
    (retry,) = scheduler.handle(Ended("1.6", is_success=True))
    assert (started([retry]), retry.attempts) == (["1.0"], (2,))


def test_batches_follow_batches():
    """A batch of a map over a batched map starts when its items are there, without those that failed."""

    @pipeline(fail_fast=False)
    def batched():
        return b.with_options(batch=2).map(a.with_options(batch=2).map(range(4)))

    simulation = Simulation(packed(batched), judge=lambda slot, _: "final" if slot == "1.0" else "ok").run()
    sizes = [len(c.slots) for c in simulation.commands if isinstance(c, Start)]
    assert (sorted(sizes), sorted(simulation.succeeded)) == ([1, 2, 2, 2], ["1.1", "1.2", "1.3", "3.1", "3.2", "3.3"])


def test_the_same_events_give_the_same_commands():
    """A run can be replayed from its events."""

    @pipeline(fail_fast=False)
    def program():
        x = a.with_options(retries=2).map(range(5))
        with when(b(x) > 1):
            c.with_options(batch=2).map(x)
        d()

    graph = packed(program)
    runs = [
        Simulation(
            graph, Capacity(cpus=2), random.Random(7), judge=lambda _, attempt: "fail" if attempt < 2 else "ok",
            facts=lambda *_: True,
        ).run().commands
        for _ in range(2)
    ]  # fmt: skip
    assert runs[0] == runs[1]


@pytest.mark.parametrize("count", [100, 10_000])
def test_cost_is_linear(count):
    """Ten thousand items take as many commands and events as there are items, and end."""

    @pipeline
    def wide():
        return c(b.map(a.map(range(count))))

    simulation = Simulation(packed(wide), Capacity(cpus=8)).run()
    assert len(simulation.commands) == 2 * count + 4
    assert simulation.events == 2 * count + 1
    assert simulation.finish.is_success


def test_an_end_that_nobody_waits_for_is_an_error():
    """A slot that does not run cannot end."""
    scheduler = Scheduler(alone(), ENDLESS)
    scheduler.begin()
    with pytest.raises((PyflowError, KeyError)):
        scheduler.handle(Ended("7", is_success=True))


def test_small_tasks_start_in_advance():
    """Beyond the capacity as many start as were asked for, marked so; nothing that takes more than one place does."""

    @pipeline
    def wide():
        a.map(range(6))
        b.with_options(cpus=2)()

    scheduler = Scheduler(packed(wide), Capacity(cpus=2))
    first = scheduler.begin()
    assert started(first) == ["1.0", "1.1"]
    ahead = scheduler.handle(Advance(3))
    assert (started(ahead), {c.in_advance for c in ahead}) == (["1.2", "1.3", "1.4"], {True})
    assert started(scheduler.handle(Ended("1.0", is_success=True))) == ["1.5"]
    assert started(scheduler.handle(Ended("1.1", is_success=True))) == []


def test_what_was_recalled_is_as_if_it_had_never_started():
    """After a failure it is left out; its attempt does not count."""

    @pipeline
    def wide():
        a.map(range(6))

    scheduler = Scheduler(packed(wide), Capacity(cpus=1))
    scheduler.begin()
    assert started(scheduler.handle(Advance(2))) == ["1.1", "1.2"]
    assert scheduler.handle(Ended("1.0", is_success=False)) == []
    assert scheduler.is_stopping
    assert scheduler.handle(Recalled("1.2")) == []
    assert scheduler.handle(Recalled("1.1")) == [Finish(is_success=False)]


def test_an_attempt_that_fails_while_the_run_stops_is_no_failure():
    """It would have been made again, so it is told as paused, and the run's failure stays the one that stopped it."""

    @pipeline
    def failing():
        a.with_options(retries=1)()
        b()

    scheduler = Scheduler(packed(failing), ENDLESS)
    (start, _) = scheduler.begin()
    assert scheduler.handle(Ended("1", is_success=False)) == []
    commands = scheduler.handle(Ended("0", is_success=False, is_retryable=True))
    assert commands == [Pause(start.slots[0], 1.0), Finish(is_success=False)]


@pipeline
def three_in_a_row(x):
    return a(a(a(x)))


@pipeline
def stubborn(x):
    return a.with_options(retries=1)(a.with_options(retries=1)(x))


def chain_scheduler(made=three_in_a_row):
    scheduler = Scheduler(packed(made, 1), Capacity(cpus=2))
    scheduler.handle(Advance(8))
    return scheduler


def test_a_chain_is_sent_along():
    """What only waits for one call goes to the same worker behind it, and is not started a second time."""
    scheduler = chain_scheduler()
    (start,) = scheduler.begin()
    assert [str(slot) for slot in start.slots] == ["0", "1", "2"]
    assert scheduler.handle(Ended("0", is_success=True)) == []
    assert scheduler.handle(Ended("1", is_success=True)) == []
    assert scheduler.handle(Ended("2", is_success=True)) == [Finish(is_success=True)]


def test_a_chain_ends_with_its_first_failure():
    """Nothing is told of the calls behind a failure, and the run ends without them."""
    scheduler = chain_scheduler()
    scheduler.begin()
    scheduler.handle(Ended("0", is_success=True))
    assert scheduler.handle(Ended("1", is_success=False)) == [Finish(is_success=False)]
    assert scheduler.running == []


def test_a_retry_takes_its_chain_along_again():
    """After the pause the failed call starts as its second attempt, and what is behind it as the first."""
    scheduler = chain_scheduler(stubborn)
    scheduler.begin()
    (pause,) = scheduler.handle(Ended("0", is_success=False, is_retryable=True))
    (start,) = scheduler.handle(Due(str(pause.slot)))
    assert [str(slot) for slot in start.slots] == ["0", "1"]
    assert start.attempts == (2, 1)


def test_what_comes_back_of_a_chain_starts_elsewhere():
    """A call whose predecessor has succeeded is ready again at once; one that still waits starts when it may."""
    scheduler = chain_scheduler()
    scheduler.begin()
    scheduler.handle(Ended("0", is_success=True))
    (again,) = scheduler.handle(Recalled("1"))
    assert [str(slot) for slot in again.slots] == ["1"]
    assert scheduler.handle(Recalled("2")) == []
    (last,) = scheduler.handle(Ended("1", is_success=True))
    assert [str(slot) for slot in last.slots] == ["2"]
    assert last.attempts == (1,)


@pipeline
def two_kinds(x):
    return a.with_options(cpus=2)(a(x)), a(a(x))


def test_only_calls_with_the_same_options_make_a_chain():
    """A call that asks for more than its predecessor gets a room of its own."""
    scheduler = Scheduler(packed(two_kinds, 1), Capacity(cpus=8))
    scheduler.handle(Advance(8))
    starts = [[str(slot) for slot in c.slots] for c in scheduler.begin() if isinstance(c, Start)]
    assert starts == [["0"], ["2", "3"]]
