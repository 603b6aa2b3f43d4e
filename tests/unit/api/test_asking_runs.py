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
