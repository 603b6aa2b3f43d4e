"""What looking at runs in a bucket costs: in proportion to what is shown, not to the tasks there were. docs/s3.md says the numbers."""

from __future__ import annotations

import time
import uuid

import pytest
from click.testing import CliRunner
from faults.proxy import Plan, running_faults
from servers import BUCKET

from pyflow import load_run, pipeline, task
from pyflow.cli import cli


@task
def inc(x: int) -> int:
    print("inc", x)
    return x + 1


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@pipeline
def fan(n: int):
    return total(inc.map(range(n)))


@pytest.fixture
def counted(moto, monkeypatch):
    """A server that counts, entered, and the URL of a new store on it."""
    with running_faults(moto) as (proxy, plan):
        proxy.enter(monkeypatch)
        yield plan, f"s3://{BUCKET}/{uuid.uuid4().hex}"


def cost(plan: Plan, *words: str) -> int:
    """Requests that a command sends when its process has looked at the store's marker."""
    before = sum(plan.seen.values())
    done = CliRunner().invoke(cli, list(words))
    assert done.exit_code == 0, done.output
    return sum(plan.seen.values()) - before


def run(url: str, n: int):
    done = fan.with_options(executor="inprocess", store=url, progress=False).submit(n)
    assert done.result() == n * (n + 1) // 2
    return done


def test_looks_cost_what_they_show(counted):
    """A run of 200 tasks costs as little to show as one of 5, its log little more; a run more in a list costs two."""
    plan, url = counted
    small = run(url, 5)
    words = (["show"], ["logs"], ["result"])
    costs = {one[0]: cost(plan, *one, small.id, "--store", url) for one in words}
    listing = cost(plan, "ls", "--store", url)
    large = run(url, 200)
    again = {one[0]: cost(plan, *one, large.id, "--store", url) for one in words}
    assert cost(plan, "ls", "--store", url) == listing + 2
    assert listing == 3
    for command, most in (("show", 8), ("logs", 8 + 32), ("result", 8)):
        assert max(costs[command], again[command]) <= most, (costs, again)


@pytest.mark.parametrize("how", ["call", "wait"])
def test_small_tasks_cost_little(counted, how):
    """A small task costs at most three requests, also one that prints, and however its run is waited for; a second of a run, four."""
    plan, url = counted
    tasks = 200
    made = fan.with_options(executor="local", store=url, progress=False)
    before, began = sum(plan.seen.values()), time.monotonic()
    if how == "call":
        assert made(tasks) == tasks * (tasks + 1) // 2
    else:
        handle = made.submit(tasks)
        assert handle.wait() == "succeeded"
        assert handle.result() == tasks * (tasks + 1) // 2
    # The run is written down, and looked at, by the clock: on a busy machine more often for the same tasks.
    assert sum(plan.seen.values()) - before <= 3 * tasks + 4 * (time.monotonic() - began)


def test_a_long_run_is_read_at_one_go(counted, monkeypatch):
    """However many segments the events of a run were written in, who reads them when it has ended asks twice."""
    plan, url = counted
    done = run(url, 5)
    blobs = done._content.blobs
    monkeypatch.setattr("pyflow.store.s3.logs._INTERVAL_S", 0.0)
    key = done._content.keys.events("another", "driver")
    for number in range(20):
        blobs.append(key, b"%d\n" % number)
    blobs.seal(key)
    reader = type(blobs)(url)
    reader.get(done._content.keys.run_info(done.id))
    before = sum(plan.seen.values())
    assert reader.read_log(key) == b"".join(b"%d\n" % number for number in range(20))
    assert sum(plan.seen.values()) - before == 2
    assert reader.read_log(key, 5, 9) == reader.read_log(key)[5:9]


def test_items_of_a_map_are_read_at_once(counted):
    """The results of a fan-out cost a request each, once, and the next look at them nothing."""
    plan, url = counted
    done = run(url, 100)
    fresh = load_run(done.id, url)
    fresh._content.blobs.start_afresh()
    fresh.view()
    before = sum(plan.seen.values())
    assert fresh.result("inc") == [x + 1 for x in range(100)]
    first = sum(plan.seen.values()) - before
    assert 100 <= first <= 105
    assert fresh.result("inc", 7) == 8
    assert sum(plan.seen.values()) - before - first <= 5


def test_what_was_gathered_is_read_at_one_go(counted):
    """Results that their process has gathered cost a few requests, however many they are; false ones beside them change nothing."""
    plan, url = counted
    done = run(url, 100)
    content = done._content
    content.commits(done.id, done.record.graph_digest).gather()
    wanted = [x + 1 for x in range(100)]

    def results_and_cost():
        fresh = load_run(done.id, url)
        fresh._content.blobs.start_afresh()
        fresh.view()
        before = sum(plan.seen.values())
        return fresh.result("inc"), sum(plan.seen.values()) - before

    results, requests = results_and_cost()
    assert results == wanted
    assert requests <= 8
    book = content.keys.commits(done.id)
    (gathered,) = [info.key for info in content.blobs.list(book) if "/gathered_" in info.key]
    lines = content.blobs.get(gathered).splitlines(keepends=True)
    content.blobs.put(gathered, [b"".join(line.replace(b'"json":', b'"json":1') for line in lines[:50]), b"no line"])
    results, requests = results_and_cost()
    assert results == wanted
    assert 100 <= requests <= 110


def test_much_is_gathered_on_the_way(counted, monkeypatch):
    """A process gathers what it commits each time that it is much, and its results stay the same."""
    monkeypatch.setattr("pyflow.store.s3.gathered.MOST", 40)
    _, url = counted
    done = run(url, 100)
    book = done._content.keys.commits(done.id)
    written = [info.key for info in done._content.blobs.list(book) if "/gathered_" in info.key]
    assert len(written) == 2
    assert load_run(done.id, url).result("inc") == [x + 1 for x in range(100)]


def test_a_second_collection_costs_a_few_requests_a_run(counted):
    """What a kept run refers to is found out once, by a request for each commit; after that a run costs at most four."""
    plan, url = counted
    for n in (40, 41):
        run(url, n)
    first = cost(plan, "gc", "--yes", "--store", url)
    second = cost(plan, "gc", "--yes", "--store", url)
    assert first > 81
    assert second <= 10 + 4 * 2
