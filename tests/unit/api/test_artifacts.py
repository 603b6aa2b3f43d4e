"""Results of earlier runs as arguments of another pipeline."""

from __future__ import annotations

import pickle

import pytest

from pyflow import each, pipeline, task
from pyflow.errors import DefinitionError, NotFoundError, NotSerializableError


@task
def numbers(n):
    return list(range(n))


@task
def total(xs):
    return sum(xs)


@task
def times(x, k=10):
    return x * k


@pipeline
def first(n):
    return numbers(n), times.map(range(n))


@pipeline
def whole(xs):
    return total(xs)


@pipeline
def items(xs):
    return times.map(xs), times.map(k=each(xs), x=2)


@pipeline
def inside(x):
    return total([1, x, 2])


@pytest.fixture
def run():
    started = first.with_options(executor="inprocess").submit(4)
    assert started.wait() == "succeeded"
    return started


def here(flow, **options):
    return flow.with_options(executor="inprocess", **options)


def test_an_artifact_stands_for_the_value(run) -> None:
    """An artifact of an earlier run is the value to the task that gets it, whole, as items, or inside of a list."""
    xs = run.artifact("numbers")
    assert here(whole)(xs) == 6
    assert here(items)(xs) == ([0, 10, 20, 30], [0, 2, 4, 6])
    assert here(inside)(run.artifact("times", 3)) == 33
    assert xs.load() == [0, 1, 2, 3]


def test_an_artifact_is_copied_to_another_store(run, tmp_path) -> None:
    """A run in another store gets its own copy of the bytes."""
    assert here(whole, store=str(tmp_path / "other"))(run.artifact("numbers")) == 6


def test_an_artifact_that_is_not_there(run) -> None:
    """Asking for the artifact of something that has no result says so."""
    with pytest.raises(NotFoundError, match=r"has no node 'number'\. Did you mean 'numbers'"):
        run.artifact("number")
    with pytest.raises(NotFoundError, match="has no item 9: there are 4"):
        run.artifact("times", 9)


def test_an_artifact_does_not_travel_in_a_pickle(run) -> None:
    """An artifact hidden in some other object is refused, since nobody would load it there."""
    with pytest.raises(NotSerializableError, match="argument for pipelines"):
        pickle.dumps({"hidden": run.artifact("numbers")})


@pytest.mark.parametrize(
    "use",
    [lambda x: x["k"], lambda x: x > 1, lambda x: [v for v in x], lambda x: x.mean()],
    ids=["part", "comparison", "items", "attribute"],
)
def test_an_artifact_is_not_the_value(run, use):
    """Whoever takes it for that is told what it is and what would work; what libraries ask of any object is not there."""
    artifact = run.artifact("numbers")
    with pytest.raises(
        DefinitionError, match=r"artifact of 'numbers' .* stands for a value that is in the store"
    ) as caught:
        use(artifact)
    assert "Hand it to a task and use it there, or take the value itself: artifact.load(), run.result(...)." in str(
        caught.value
    )
    assert not hasattr(artifact, "__array__")
    assert artifact.load() == [0, 1, 2, 3]
