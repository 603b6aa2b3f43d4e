"""Random programs, random order of events: capacity holds, needs are met, everything ends, and ends the same."""

from __future__ import annotations

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from property.programs import build, numbered
from property.random_programs import program
from unit.scheduling.simulation import Simulation, packed

from pyflow import pipeline
from pyflow.scheduling import Capacity


def graph_of(statements, *, fail_fast):
    @pipeline(fail_fast=fail_fast)
    def made(x):
        ints, lists = [x, 4], [[1, 2, 3]]
        return build(numbered(statements, itertools.count()), ints, lists, []), ints, lists

    return packed(made, 5)


def facts_of(seed):
    """What nodes tell: the same of a slot whenever it ends."""

    def facts(slot, fact):
        dice = random.Random(f"{seed} {slot} {fact}")
        return {"length": dice.randrange(4)} if fact[0] == "items" else dice.random() < 0.5

    return facts


def judge_of(seed, share):
    """How attempts end: a share of them badly, a third of these for good."""

    def judge(slot, attempt):
        value = random.Random(f"{seed} {slot} {attempt}").random()
        return "ok" if value > share else "final" if value < share / 3 else "fail"

    return judge


@settings(max_examples=150)
@given(
    program, st.integers(0, 10**6), st.sampled_from([0, 0.1, 0.5]), st.sampled_from([1, 2, 7]), st.booleans(),
    st.none() | st.integers(1, 30), st.sampled_from([0, 2, 9]),
)  # fmt: skip
def test_every_order_of_events_ends_well(statements, seed, share, cpus, fail_fast, cancel_at, advance):
    """No start before what it needs, no more than fits, one ``Finish``; twice the same events, twice the same commands."""
    graph = graph_of(statements, fail_fast=fail_fast)

    def run(order, cancel=cancel_at):
        capacity = Capacity(cpus=cpus, tasks=cpus + 1)
        dice, judge, facts = random.Random(order), judge_of(seed, share), facts_of(seed)
        return Simulation(graph, capacity, dice, judge, facts, cancel, advance).run()

    one, same = run(seed), run(seed)
    assert one.commands == same.commands
    assert one.finish.is_success == (not one.failed and not one.is_cancelled) or (
        one.finish.is_success and not one.failed
    )
    if fail_fast or share:
        return
    whole, other = run(seed, None), run(seed + 1, None)
    assert (whole.succeeded, whole.skipped, whole.counts) == (other.succeeded, other.skipped, other.counts)
    assert whole.finish.is_success == (not whole.failed)


@settings(max_examples=60)
@given(program, st.integers(0, 10**6))
def test_order_of_events_does_not_decide_what_fails(statements, seed):
    """Without ``fail_fast`` the same slots succeed, fail and are skipped, whatever ends first."""
    graph = graph_of(statements, fail_fast=False)
    runs = [
        Simulation(
            graph, Capacity(cpus=3), random.Random(order), judge_of(seed, 0.3), facts_of(seed), None, 4 * order
        ).run()
        for order in range(3)
    ]
    assert len({frozenset(run.succeeded) for run in runs}) == 1
    assert len({frozenset(run.failed) for run in runs}) == 1
    assert len({frozenset(run.skipped) for run in runs}) == 1
