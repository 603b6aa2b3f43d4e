"""What a handle to a run answers when there is nothing to give."""

from __future__ import annotations

import pytest

from pyflow import errors, load_run, pipeline, task


class Odd(Exception):
    def __init__(self, *, what):
        super().__init__(f"odd: {what}")
        self.what = what


@task
def good():
    return 1


@task
def bad(n):
    raise Odd(what=n)


@task
def after(x):
    return x


@pipeline(fail_fast=False)
def mixed():
    return good(), bad(1), after(bad(2))


@pytest.fixture
def run():
    made = mixed.with_options(executor="inprocess", progress=False).submit()
    assert made.wait() == "failed"
    return made


def test_the_result_of_a_failed_node_is_its_own_error(run):
    """Of each of them, also of those that the run as a whole did not end with; nothing about the store stands behind it."""
    for node, what in (("bad", 1), ("bad-2", 2)):
        with pytest.raises(Odd) as caught:
            run.result(node)
        assert caught.value.what == what
        assert caught.value.__cause__ is None
        assert not isinstance(caught.value.__context__, errors.PyflowError)
    assert run.result("good") == 1


def test_a_node_that_never_ran_has_no_result(run):
    """It says so, and how it is."""
    with pytest.raises(errors.NotFoundError, match=r"'after' .* has no result: it is cancelled") as caught:
        run.result("after")
    assert caught.value.__cause__ is None


def test_a_run_of_another_project_is_found_out(run, monkeypatch):
    """The message says whose runs the store has."""
    store = run._content.blobs.url
    monkeypatch.setenv("PYFLOW_PROJECT", "elsewhere")
    with pytest.raises(errors.NotFoundError, match=r"in project 'elsewhere'.* It has those of .*: set PYFLOW_PROJECT="):
        load_run(run.id, store)


@pytest.mark.parametrize("wrong", ["", None, 3])
def test_what_is_no_id_is_refused(wrong):
    """In words, whatever it is."""
    with pytest.raises(errors.NotFoundError, match=r"needs the id of a run"):
        load_run(wrong)


def test_enough_of_an_id_is_one(run):
    """As on the command line: its beginning or its end, or ``latest``; several that are called so are told."""
    assert [load_run(text).id for text in (run.id[:-2], run.id[-5:], "latest")] == [run.id] * 3
    other = mixed.with_options(executor="inprocess", progress=False).submit()
    other.wait()
    assert load_run("latest").id == other.id
    with pytest.raises(errors.NotFoundError, match=f"2 runs are called '20': .*{other.id}"):
        load_run("20")


@pipeline
def mapped():
    return good.with_options(name="one")(), after.map([0, 10, 20])


@pytest.mark.parametrize("ask", ["result", "artifact", "logs"])
@pytest.mark.parametrize(
    ("node", "index", "error", "message"),
    [
        ("after", 3, errors.NotFoundError, "Node 'after' of run .* has no item 3: there are 3"),
        ("after", -1, errors.NotFoundError, "counted from 0 on: there is none with index=-1"),
        ("after", True, TypeError, "counted by whole numbers, from 0 on, and index=True is none"),
        ("after", 1.0, TypeError, "and index=1.0 is none"),
        ("after[1]", 1, errors.NotFoundError, "'after' is an item of a map, and the name gives 2 indices"),
        ("one", 0, errors.NotFoundError, "'one' is not an item of a map"),
    ],
)
def test_an_item_that_is_none_is_refused(ask, node, index, error, message):
    """Whatever is asked for, the same sentence says which items there are."""
    run = mapped.with_options(executor="inprocess", progress=False).submit()
    run.wait()
    with pytest.raises(error, match=message):
        getattr(run, ask)(node, index)


def test_items_are_found_by_whole_numbers_of_any_kind():
    """An index may be what an array gives."""

    class Number:
        def __index__(self):
            return 2

    run = mapped.with_options(executor="inprocess", progress=False).submit()
    assert run.result("after", Number()) == 20
    assert run.result("after[2]") == 20


def test_waiting_takes_seconds():
    """A text, which options take, is refused in words."""
    run = mapped.with_options(executor="inprocess", progress=False).submit()
    with pytest.raises(TypeError, match=r"waits for a number of seconds, as wait\(timeout_s=60\), and was given '1m'"):
        run.wait("1m")
