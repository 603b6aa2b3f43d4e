"""Pipelines as methods, and pipelines that wait for calls."""

from __future__ import annotations

import sys

import pytest

from pyflow import pipeline, task
from pyflow.errors import DefinitionError
from pyflow.graph import MapNode


@task
def scale(x, factor):
    return x * factor


@task
def note(text):
    return text


class Study:
    def __init__(self, factor):
        self.factor = factor

    @task
    def own(self, x):
        return x + self.factor

    @pipeline
    def run(self, x, *, times=1):
        return scale(self.own(x), self.factor * times)

    @pipeline(name="both")
    def run_both(self, x):
        return self.run(x), self.run(x, times=2)

    @pipeline
    @classmethod
    def outer_class(cls, x):
        return note(f"{cls.__name__} {x}")

    @classmethod
    @pipeline
    def inner_class(cls, x):
        return note(f"{cls.__name__} {x}")

    @pipeline
    @staticmethod
    def outer_static(x):
        return note(x)

    @staticmethod
    @pipeline
    def inner_static(x):
        return note(x)


class Sub(Study):
    pass


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYFLOW_EXECUTOR", "inprocess")


def test_a_pipeline_that_is_a_method_gets_its_object():
    """It is called, submitted, traced and given options like any other, and the object is its first argument."""
    study = Study(3)
    assert study.run(1) == 12
    assert study.run(1, times=2) == 24
    assert study.run.submit(2).result() == 15
    assert study.run.with_options(name="named").trace(1).name == "named"
    assert Study.run(study, 1) == 12


def test_methods_call_each_other():
    """A pipeline of the same object is inlined, with its names prefixed."""
    assert Study(2).run_both(1) == (6, 12)
    assert [node.name for node in Study(2).run_both.trace(1).walk()] == [
        "run/own",
        "run/scale",
        "run-2/own",
        "run-2/scale",
    ]


def test_classes_and_static_ones_bind_in_every_order_of_decorators():
    """A class method gets the class it is called on, a static one nothing."""
    assert Sub.outer_class("a") == Sub(1).outer_class("a") == "Sub a"
    assert Study.inner_class("a") == "Study a"
    assert Study.outer_static("s") == Study(1).inner_static("s") == "s"


def test_a_method_is_mapped_with_the_same_object():
    """Inside of another pipeline each item meets the one object."""
    study = Study(2)

    @pipeline
    def all_of(xs):
        return study.run.map(xs)

    assert all_of([1, 2]) == [6, 8]


def test_a_wrong_call_of_a_method_fails_as_a_plain_one():
    """The object counts as in any method."""
    with pytest.raises(TypeError, match="missing"):
        Study(1).run()


def test_a_called_pipeline_waits_for_calls():
    """`report.after(a)(x)`: nothing of it starts before `a` has ended; `>>` says the same of its result."""

    @pipeline
    def report(x):
        return note(note(x))

    @pipeline
    def outer():
        first = note("a")
        late = report.after(first)("b")
        last = report("c")
        late >> last
        return late, last

    graph = outer.trace()
    waits = {node.name: set(node.after) for node in graph.walk()}
    assert waits == {
        "note": set(),
        "report/note": {0},
        "report/note-2": set(),
        "report-2/note": {1, 2},
        "report-2/note-2": set(),
    }
    assert outer() == ("b", "c")


def test_a_mapped_pipeline_waits_for_calls():
    """The whole map starts when what it waits for has ended."""

    @pipeline
    def per_item(x):
        return note(x)

    @pipeline
    def outer(xs):
        return per_item.after(note("first")).map(xs)

    graph = outer.trace([1, 2])
    (node,) = [node for node in graph.region.nodes if isinstance(node, MapNode)]
    assert node.after == (0,)
    assert outer(["x", "y"]) == ["x", "y"]


def test_waiting_means_something_inside_of_a_pipeline_only():
    """Elsewhere, and for what is no call, the error says so."""

    @pipeline
    def report(x):
        return note(x)

    @pipeline
    def wrong():
        return report.after(3)("b")

    with pytest.raises(DefinitionError, match="works inside of another pipeline"):
        report.after(1)
    with pytest.raises(DefinitionError, match=r"report.after\(\) at .* was given 3|report.after\(\) .*\[3\]"):
        wrong.trace()


class Inner:
    @classmethod
    @task
    def made(cls, x=1):
        return cls.__name__, x


@pytest.mark.parametrize("use", [lambda t: t.with_options(cpus=1)(2), lambda t: t.after()(2)])
def test_a_class_method_around_a_task_keeps_its_class_or_says_so(use):
    """Where Python hides the class, the error says to swap the decorators, rather than take the argument for the class."""
    if sys.version_info < (3, 13):
        assert use(Inner.made) == ("Inner", 2)
        return
    with pytest.raises(DefinitionError, match="Write @task above @classmethod"):
        use(Inner.made)


def test_options_of_tasks_are_not_those_of_pipelines():
    """Who writes one at a pipeline is told how all its tasks get it, and what defaults are made of."""
    with pytest.raises(DefinitionError, match=r"one of tasks: @task\(retries=...\).* defaults=\{'retries': ...\}"):
        pipeline(retries=2)
    with pytest.raises(DefinitionError, match="must be a dict of options, such as"):
        pipeline(lambda: None, defaults=["retries"])
