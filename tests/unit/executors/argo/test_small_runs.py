"""Manifests do what their pipelines say, on a small stand-in for Argo that runs a process for each pod."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from unit.executors.argo.compiling import Ran, ran

from pyflow import each, first_of, otherwise, pipeline, task, when
from pyflow.api import Pipeline
from pyflow.executors.argo import dags
from pyflow.executors.argo.split import split


@task
def count_to(n):
    return list(range(n))


@task
def times(x, k=2):
    return x * k


@task
def add(*xs):
    return sum(xs)


@task
def total(xs):
    return sum(xs)


@task
def not_three(x):
    if x == 3:
        raise ValueError("three")
    return x


@pipeline
def plus_one(x):
    return add(times(x), 1)


@pipeline
def side(x):
    a = times(x)
    with when(a > 4):
        b = add(a, 100)
    with otherwise():
        b2 = times.map(count_to(a), k=3)
    return first_of(b, b2)


def test_a_map_over_what_a_task_finds_shares_pods(tmp_path: Path) -> None:
    """Items of a map whose length only a task knows are shared out among pods, no more than ``batch`` to each."""

    @pipeline
    def main(n):
        return total(times.with_options(batch=3).map(count_to(n)))

    found = ran(tmp_path, main, 7)
    assert (found.phase, found.value) == ("Succeeded", 42)
    shares = sorted(arguments[:2] for _, arguments, _ in found.pods[1:4])
    assert shares == [["2", "0/3"], ["2", "1/3"], ["2", "2/3"]]
    assert found.summary.counts == {"succeeded": 9}
    assert {"slot": "1", "count": 7}.items() <= next(e for e in found.events if e["event"] == "expanded").items()


def test_a_pods_own_log_says_whose_it_is(tmp_path: Path) -> None:
    """Nobody could tell from the numbers in the manifest which task a pod runs."""

    @pipeline
    def main(n):
        return total(times.with_options(batch=2, name="doubled").map(count_to(n)))

    assert sorted(ran(tmp_path, main, 2).printed) == [
        f"pyflow: this is {name}, attempt 1" for name in ("count_to", "doubled[0]", "doubled[1]", "total")
    ]


def test_an_empty_map_has_no_pods(tmp_path: Path) -> None:
    """A map over an empty list is skipped, and what uses it gets an empty list."""

    @pipeline
    def main(n):
        return total(times.map(count_to(n)))

    found = ran(tmp_path, main, 0)
    assert (found.phase, found.value, len(found.pods)) == ("Succeeded", 0, 2)


def test_the_pod_behind_all_others_ends_the_run(tmp_path: Path) -> None:
    """Where one task comes behind all others its pod writes the summary, and no other pod comes after it."""

    @pipeline
    def main(x):
        return add(times(x), not_three(x))

    good, bad = ran(tmp_path, main, 4), ran(tmp_path, main, 3)
    assert (good.phase, good.value, good.summary.status) == ("Succeeded", 12, "succeeded")
    assert [arguments[0] for _, arguments, _ in good.pods][2:] == ["l2"]
    assert good.summary.counts == {"succeeded": 3}
    assert (bad.phase, bad.summary.status) == ("Failed", "failed")
    assert [name for name, _, _ in bad.pods][-1] == "end"
    assert bad.summary.failures[0][2:] == ["ValueError", "three"]


def test_a_run_with_several_ends_is_ended_by_a_pod_of_its_own(tmp_path: Path) -> None:
    """Where nobody comes behind all others, one more pod looks at what became of them."""

    @pipeline
    def main(x):
        return [times(x), add(x, 1)]

    found = ran(tmp_path, main, 4)
    assert (found.phase, found.value, found.summary.status) == ("Succeeded", [8, 5], "succeeded")
    assert [name for name, _, _ in found.pods][-1] == "exit"


@pipeline
def two_ends(x):
    return times(x), add(x, 1)


@pipeline
def one_end(x):
    return add.after(times(x))(x, 1)


@pipeline
def items_at_the_end(n):
    return times.map(count_to(n))


@pytest.mark.parametrize(
    ("flow", "pod", "slots"),
    [(two_ends, "0", {"0": "times"}), (one_end, "0", {"0": "times"}),
     (items_at_the_end, "2", {"2.0": "times", "2.1": "times", "2.2": "times"})],
)  # fmt: skip
def test_a_pod_that_was_passed_over_fails_the_run(
    tmp_path: Path, flow: Pipeline[Any, Any], pod: str, slots: dict[str, str]
) -> None:
    """What the cluster takes for succeeded has no result, and the end of the run says of which slots, whichever pod looks."""
    found = ran(tmp_path, flow, 3, passes_over={pod})
    assert (found.phase, found.summary.status) == ("Failed", "failed")
    failures = {slot: message for slot, _, kind, message in found.summary.failures if kind.endswith("IntegrityError")}
    assert failures == {
        slot: f"The cluster says that {name!r} (slot {slot}) has succeeded, but the run has no committed result of it in "
        f"{tmp_path.as_uri()}. Run it again; a pod may have been passed over."
        for slot, name in slots.items()
    }
    assert pod not in {arguments[0] for _, arguments, _ in found.pods}


def test_a_mapped_pipeline_has_maps_in_it(tmp_path: Path) -> None:
    """Each item of a mapped pipeline has an instance of its own when there are maps in it, empty ones among them."""

    @pipeline
    def inner(n):
        return total(times.map(count_to(n)))

    @pipeline
    def main(ns):
        return inner.map(ns)

    found = ran(tmp_path, main, [0, 2])
    assert (found.phase, found.value) == ("Succeeded", [0, 2])


@pytest.mark.parametrize(("x", "value", "skipped"), [(3, 106, 2), (1, [0, 3], 1)])
def test_one_side_of_a_branch_runs(tmp_path: Path, x: int, value: object, skipped: int) -> None:
    """The condition decides which side runs; the nodes of the other are told as skipped."""
    found = ran(tmp_path, side, x)
    assert (found.phase, found.value) == ("Succeeded", value)
    assert len([e for e in found.events if e["event"] == "skipped"]) >= skipped
    assert found.summary.status == "succeeded"


def test_unequal_lengths_are_told(tmp_path: Path) -> None:
    """Mapped arguments of different lengths, known at run time only, fail the map with a message that says so."""

    @pipeline
    def main(n):
        return times.map(count_to(n), k=each(count_to(n + 1)))

    found = ran(tmp_path, main, 1)
    assert found.phase == "Failed"
    assert "have different lengths: 'x' has 1 and 'k' has 2." in found.summary.failures[0][3]


def test_a_failed_item_stops_what_comes_behind(tmp_path: Path) -> None:
    """An item that fails is named; what needs the map does not start, and the other items keep their results."""
    other_pod = tmp_path / "has started"

    @task(timeout=60)
    def not_three(x):
        if x == 3:
            while not other_pod.exists():  # the task's time-out bounds it
                time.sleep(0.02)
            raise ValueError("three")
        if x == 0:
            other_pod.touch()
        return x

    @pipeline
    def main(n):
        return total(not_three.map(count_to(n)))

    found = ran(tmp_path, main, 5, most=2)
    assert found.phase == "Failed"
    assert [failure[:3] for failure in found.summary.failures] == [["2.3", "not_three[3]", "ValueError"]]
    assert found.summary.counts == {"succeeded": 5, "failed": 1}


def test_without_fail_fast_all_else_goes_on(tmp_path: Path) -> None:
    """With ``fail_fast=False`` items go on one by one behind a map with a failed item, and only theirs are cancelled."""

    @pipeline(fail_fast=False)
    def main(n):
        return times.map(not_three.map(count_to(n))), times(not_three(3)), add(times(5), 1)

    found = ran(tmp_path, main, 4, most=2)
    assert found.phase == "Failed"
    assert [failure[1] for failure in found.summary.failures] == ["not_three[3]", "not_three-2"]
    assert found.summary.counts == {"succeeded": 9, "failed": 2}


def test_a_split_graph_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that is cut into nested DAGs gives what it would in one piece, conditions and counts across the cuts included."""
    monkeypatch.setattr(dags, "split", lambda steps, **more: split(steps, most=3, **more))

    @pipeline
    def main(n):
        xs = [times(i) for i in range(4)]
        items = count_to(n)
        both = total(times.map(items))
        all_of_them = add(*xs)
        with when(all_of_them > 5):
            more = add(all_of_them, both)
        return first_of(more, default=all_of_them), both

    found = ran(tmp_path, main, 3)
    assert (found.phase, found.value) == ("Succeeded", (18, 6))


def test_a_run_without_tasks_is_recorded(tmp_path: Path) -> None:
    """A pipeline that calls nothing still is a run with a record and a summary."""

    @pipeline
    def main():
        return [1, {"a": 2}]

    found = ran(tmp_path, main)
    assert (found.phase, found.value) == ("Succeeded", [1, {"a": 2}])


def test_the_exit_handler_gets_the_outcome(tmp_path: Path) -> None:
    """The exit handler runs after a failure, and gets its names and messages; the run stays a failed one."""

    @task
    def tell(outcome):
        assert (outcome.status, outcome.failures) == ("failed", (("not_three", "ValueError", "three"),))

    @pipeline(on_exit=tell)
    def main():
        return not_three(3)

    found = ran(tmp_path, main)
    assert (found.phase, found.summary.status) == ("Failed", "failed")
    assert found.summary.counts == {"succeeded": 1, "failed": 1}


@task
def read_token():
    return os.environ["SITE_TOKEN"]


@pipeline
def tell_token():
    return read_token()


def test_what_the_caller_allows_is_allowed_in_pods(tmp_path: Path) -> None:
    """A variable whose value the caller allows to be stored is allowed in a pod, too, which knows nothing of his settings."""
    site = {"SITE_TOKEN": "a-public-token"}
    refused = ran(tmp_path / "a", tell_token, environment=site)
    assert refused.phase == "Failed"
    allowed = ran(tmp_path / "b", tell_token, environment=site, allow_secrets="SITE_TOKEN")
    assert allowed.value == "a-public-token"


REFUSED = 'task \'wf.n0\' errored: pods "wf-1" is forbidden: error looking up service account ns/x: serviceaccount "x" not found'


def failures_of(found: Ran) -> list[list[Any]]:
    """Slot, name and type of each failure in the summary, and of each end that was told of."""
    told = [
        [e["slot"], e["status"], e["error"]["type"].rpartition(".")[2]]
        for e in found.events
        if e["event"] == "ended" and "error" in e
    ]
    return [*([slot, name, kind.rpartition(".")[2]] for slot, name, kind, _ in found.summary.failures), *told]


def test_a_pod_that_nobody_saw_refused_is_lost_with_the_reason(tmp_path: Path) -> None:
    """Kubernetes tells Argo alone, and Argo whoever ends the run: so the reason is there for good."""

    @pipeline
    def main(x):
        return add(times(x), 1)

    found = ran(tmp_path, main, 4, loses={"0": REFUSED})
    assert failures_of(found) == [["0", "times", "LostTaskError"], ["0", "lost", "LostTaskError"]]
    assert "There is no such service account" in found.summary.failures[0][3]
    assert found.summary.status == "failed"


def test_an_exit_handler_learns_of_a_pod_that_was_refused(tmp_path: Path) -> None:
    """What it is told are the reasons, those of the cluster among them."""

    @task
    def tell(outcome):
        (tmp_path / "told").write_text(str(outcome.failures))

    @pipeline(on_exit=tell)
    def main(x):
        return times(x)

    ran(tmp_path / "store", main, 4, loses={"0": REFUSED})
    assert "There is no such service account" in (tmp_path / "told").read_text()


def test_a_pod_that_was_refused_in_a_map_is_that_of_its_items(tmp_path: Path) -> None:
    """By its part of the items where pods share them; of a map in a map the name does not tell, and the first without a result is taken."""

    @pipeline
    def shared(n):
        return times.with_options(batch=2, retries=1).map(count_to(n))

    @pipeline
    def nested(n):
        return plus_one.map(count_to(n))

    one = ran(tmp_path / "1", shared, 4, loses={"2": "pod deleted"})
    assert failures_of(one)[:2] == [["2.0", "times[0]", "LostTaskError"], ["2.2", "times[2]", "LostTaskError"]]
    assert {event["attempt"] for event in one.events if event["event"] == "ended" and "error" in event} == {2}
    two = ran(tmp_path / "2", nested, 2, loses={"3": "pod deleted"})
    assert [kind for *_, kind in failures_of(two)] == ["LostTaskError"] * len(failures_of(two)) != []


def test_results_count_for_more_than_what_became_of_their_pods(tmp_path: Path) -> None:
    """Argo's own program may lose a pod whose result is committed: nothing is missing, so the run has succeeded."""

    @pipeline
    def one(x):
        return times(x), add(x, 1)

    @pipeline
    def two(x):
        return add(times(x), 1), 2

    words = "after collect: Error (exit code 2)"
    found = ran(tmp_path / "1", one, 4, loses={"0": words})
    assert (found.phase, found.summary.status, found.summary.failures) == ("Failed", "succeeded", [])
    found = ran(tmp_path / "2", two, 4, loses={"0": words})
    assert found.summary.status == "failed"
    ((slot, name, kind, message),) = found.summary.failures
    assert (slot, name, kind) == ("", "two", "ExecutorError")
    assert (
        "a pod of task 'times' has failed, whatever it has left in the store: collect: Error (exit code 2)" in message
    )


def test_a_pod_that_comes_after_a_failure_is_cancelled_though_nobody_looks(tmp_path: Path) -> None:
    """It ends by a code of its own, and the failure is the other one's alone."""

    @pipeline
    def main(x):
        return times(x), not_three(x)

    found = ran(tmp_path, main, 3, loses={"0": "stage: Error (exit code 75)"})
    assert failures_of(found) == [["1", "not_three", "ValueError"], ["1", "failed", "ValueError"]]
