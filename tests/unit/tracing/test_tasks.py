"""What ``@task`` makes of a function, in a pipeline and outside of one."""

# ruff: noqa: PLW0108, RUF059 (bodies are lambdas, and unpack as users do)

from __future__ import annotations

import functools
import inspect
import pickle
import sys
import threading
from typing import NamedTuple

import cloudpickle
import pytest

from pyflow.errors import DefinitionError
from pyflow.graph import Input, Literal, MapNode, Options, Ref
from pyflow.tracing import Task, call_inline, is_tracing, task, trace

HERE = __file__


@task
def inc(x: int, by: int = 1) -> int:
    """Add to a number."""
    return x + by


@task
def add(a, b):
    return a + b


def test_a_task_outside_a_pipeline_is_a_plain_call():
    """A task called outside of a pipeline runs, and `.fn` is the function."""
    assert inc(1, by=2) == 3
    assert inc.fn(1) == 2
    assert not is_tracing()


def test_a_task_keeps_signature_name_and_docstring():
    """An editor sees the function's own signature, name and docstring."""
    assert str(inspect.signature(inc)) == "(x: 'int', by: 'int' = 1) -> 'int'"
    assert (inc.__name__, inc.__doc__) == ("inc", "Add to a number.")


def test_a_call_becomes_a_node_with_literals_and_refs(traced):
    """A call in a body records what it was given: constants as they are, results by the node's id."""

    def body(n):
        return inc(inc(n), by=5)

    graph = traced(body, 3)
    first, second = graph.region.nodes
    assert first.args == (Literal(3),)
    assert second.args == (Ref(0),)
    assert second.kwargs == (("by", Literal(5)),)
    assert first.function is second.function
    assert first.function.fn is inc.fn
    assert graph.region.output == Ref(1)
    assert (first.at.file, first.at.line) == (HERE, body.__code__.co_firstlineno + 1)


def test_second_calls_are_numbered(traced):
    """Names are unique: fit, fit-2, and a number that is taken is passed over."""
    two = inc.with_options(name="inc-2")
    graph = traced(lambda: [inc(1), two(1), inc(1), inc.with_options(name="inc")(1)])
    assert [node.name for node in graph.walk()] == ["inc", "inc-2", "inc-3", "inc-4"]


def test_wrong_arguments_fail_as_a_plain_call_would(traced):
    """The TypeError in a trace has the words of the plain call."""
    for call, words in (
        (lambda: inc(), "missing 1 required positional argument: 'x'"),
        (lambda: inc(1, 2, 3), "takes from 1 to 2 positional arguments but 3 were given"),
        (lambda: inc(1, bye=2), "got an unexpected keyword argument 'bye'"),
        (lambda: inc(1, x=2), "got multiple values for argument 'x'"),
    ):
        with pytest.raises(TypeError, match=words):
            traced(call)


def test_with_options_is_for_one_call(traced):
    """`with_options` leaves the task as it was."""
    graph = traced(lambda: [inc.with_options(retries=3)(1), inc(1)])
    assert [node.options.retries for node in graph.walk()] == [3, 0]


def test_the_nearest_option_wins(define):
    """The call's option wins over the decorator's, that over the inner pipeline's default, that over the outer's."""
    plain = task(add.fn)
    decorated = task(add.fn, retries=3)

    def inner():
        return [plain(1, 2), decorated(1, 2), decorated.with_options(retries=4)(1, 2)]

    clean = define(inner, defaults={"retries": 2, "env": {"A": "inner"}})

    def outer():
        return plain(1, 2), call_inline(clean, (), {})

    graph = trace(define(outer, defaults={"retries": 1, "cpus": 2, "env": {"A": "outer", "B": "outer"}}))
    assert [node.options.retries for node in graph.walk()] == [1, 2, 3, 4]
    assert {node.options.cpus for node in graph.walk()} == {2}
    assert graph.region.nodes[1].options.env == (("A", "inner"), ("B", "outer"))


def test_a_misspelt_option_is_refused_where_it_is_written():
    """All misspelt options are named at decoration, with the nearest right one and the line."""
    with pytest.raises(DefinitionError) as caught:

        @task(cpu=2, retires=1, cache=True)  # type: ignore
        def fit(): ...

    message = str(caught.value)
    assert "'cpu'. Did you mean 'cpus'?" in message
    assert "'retires'. Did you mean 'retries'?" in message
    assert "'cache' is not available in this version" in message
    assert HERE in message


def test_with_options_refuses_a_misspelt_option():
    """`with_options` names the task, the option and the line."""
    with pytest.raises(DefinitionError, match=r"inc\.with_options\(\.\.\.\) at .*test_tasks\.py:\d+: .*'cpus'"):
        inc.with_options(cpux=2)  # type: ignore


@pytest.mark.parametrize("name", ["a b", "", "1a", "a/b", "a[1]", "x" * 81, 3])
def test_a_bad_name_is_refused(name):
    """A name that would not fit into `clean/fit[3]` is refused."""
    with pytest.raises(DefinitionError, match="cannot be called"):
        task(add.fn, name=name)


def test_generators_are_refused_with_advice():
    """A generator cannot be a task, and the message says what to return instead."""

    def numbers():
        yield 1

    async def later():
        yield 1

    class Callable:
        def __call__(self):
            yield 1

    for fn in (numbers, later, Callable(), functools.partial(numbers)):
        with pytest.raises(DefinitionError, match="Return a list"):
            task(fn)


def test_an_async_function_is_a_task(traced):
    """An async function is recorded as any other."""

    @task
    async def later(x):
        return x

    assert [node.name for node in traced(lambda: later(1)).walk()] == ["later"]


class Model:
    def __init__(self, bias=10):
        self.bias = bias

    @task
    def shifted(self, x):
        return x + self.bias

    @task
    @classmethod
    def outer_class(cls, x):
        return cls.__name__, x

    @classmethod
    @task
    def inner_class(cls, x):
        return cls.__name__, x

    @task
    @staticmethod
    def outer_static(x):
        return x

    @staticmethod
    @task
    def inner_static(x):
        return x

    def __call__(self, x):
        return x


def test_methods_are_tasks_in_every_order_of_decorators(traced):
    """Methods, classmethods and staticmethods run plainly, and record their object or class as an argument."""
    model = Model()
    assert model.shifted(1) == 11
    assert Model.outer_class(1) == model.inner_class(1) == ("Model", 1)
    assert Model.outer_static(1) == model.inner_static(1) == 1
    graph = traced(
        lambda: [
            model.shifted(1),
            Model.outer_class(2),
            Model.inner_class(3),
            model.outer_static(4),
            Model.inner_static(5),
        ]
    )
    assert [node.args for node in graph.walk()] == [
        (Literal(model), Literal(1)),
        (Literal(Model), Literal(2)),
        (Literal(Model), Literal(3)),
        (Literal(4),),
        (Literal(5),),
    ]


def test_methods_can_be_mapped(traced):
    """In the map of a method the object is the same for every item."""
    model = Model()
    assert model.shifted.map([1, 2]) == [11, 12]
    assert Model.outer_class.map([1]) == [("Model", 1)]
    node = traced(lambda: model.shifted.map([1, 2])).region.nodes[0]
    assert isinstance(node, MapNode)
    assert node.body.nodes[0].args == (Literal(model), Input(0))


def test_mapping_a_classmethod_around_a_task_works_or_says_so():
    """Where Python hides the class from `.map`, the error says to swap the decorators."""
    if sys.version_info < (3, 13):
        assert Model.inner_class.map([1]) == [("Model", 1)]
        return
    with pytest.raises(DefinitionError, match="Write @task above @classmethod"):
        Model.inner_class.map([1])


@pytest.mark.parametrize(
    ("callable_", "name"),
    [
        (lambda x: x, "lambda"),
        (functools.partial(add.fn, 1), "add"),
        (Model(), "Model"),
        (Model, "Model"),
        (len, "len"),
        (Model().__call__, "__call__"),
    ],
)
def test_whatever_can_be_called_is_a_task(traced, callable_, name):
    """A lambda, a partial, a callable object, a class, a builtin and a bound method each make a node."""
    assert [node.name for node in traced(lambda: task(callable_)(5)).walk()] == [name]


def test_a_task_of_a_task_is_refused():
    """Decorating twice says so."""
    with pytest.raises(DefinitionError, match="'inc' is a task already"):
        task(inc)  # type: ignore


def test_what_cannot_be_called_is_refused():
    """@task(2) names the value and how options are given."""
    with pytest.raises(DefinitionError, match=r"got 2\. Options are given by name"):
        task(2)  # type: ignore


def test_a_task_calls_itself_plainly_when_it_runs():
    """Recursion is a plain call: nothing is traced when a task runs."""

    @task
    def factorial(n):
        return 1 if n == 0 else n * factorial(n - 1)

    assert factorial(5) == 120


def test_a_call_in_a_thread_of_the_body_is_an_error(traced):
    """A thread that the body started cannot record calls, and must not run them; the trace fails, too."""
    caught = []

    def call():
        try:
            inc(1)
        except DefinitionError as error:
            caught.append(str(error))

    def body():
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()

    with pytest.raises(DefinitionError) as failed:
        traced(body)
    for message in (caught[0], str(failed.value)):
        assert "Task 'inc' was called at" in message
        assert "in a thread that began while pipeline 'body' is traced" in message


def test_threads_that_were_there_before_call_plainly(traced):
    """A thread of somebody else is none of the trace's business."""
    go, done, results = threading.Event(), threading.Event(), []

    def work():
        go.wait(10)
        results.append(inc(1))
        done.set()

    thread = threading.Thread(target=work)
    thread.start()

    def body():
        go.set()
        done.wait(10)

    traced(body)
    thread.join()
    assert results == [2]


def test_unpacking_needs_a_known_number_of_parts(traced, fault):
    """`outputs=`, a tuple annotation as an object or as text, and a named tuple tell the number of parts."""

    class Point(NamedTuple):
        x: int
        y: int

    def pair() -> tuple[int, dict[str, int]]: ...

    def real():
        return 1

    def point(): ...

    real.__annotations__["return"] = tuple[int, str]
    point.__annotations__["return"] = Point
    for made in (task(pair), task(real), task(point), task(add.fn, outputs=2).with_options(cpus=2)):

        def body(made=made):
            a, b = made(1, 2) if made.fn is add.fn else made()
            return b, a

        graph = traced(body)
        assert [item.path for item in graph.region.output.items] == [(("item", 1),), (("item", 0),)]
        assert graph.region.nodes[0].options.outputs == 2

    def unknown():
        a, b = inc(1)

    message = fault(unknown)
    assert "the result of 'inc'" in message
    assert "@task(outputs=2)" in message
    assert f"{HERE}:{unknown.__code__.co_firstlineno + 1}" in message


@pytest.mark.parametrize(
    "annotation", ["tuple[int, ...]", "list[int]", "tuple", "Tuple[()]", "int | None", tuple[int, ...], "nonsense["]
)
def test_other_annotations_tell_no_number(fault, annotation):
    """Only an annotation with a fixed number of parts allows unpacking."""

    def made(): ...

    made.__annotations__["return"] = annotation

    def body():
        a, b = task(made)()

    assert "outputs=2" in fault(body)


def test_a_task_travels_by_name_or_by_value():
    """A task inside another function is found by name where it can be, and otherwise carries its function."""
    assert pickle.loads(cloudpickle.dumps(task(add.fn, cpus=2))).fn(1, 2) == 3
    again = pickle.loads(cloudpickle.dumps(inc.with_options(retries=2)))
    assert isinstance(again, Task)
    assert again(1) == 2


def test_options_are_made_once(traced):
    """Calls with the same options share one object."""
    nodes = traced(lambda: [inc(1), inc(2)]).region.nodes
    assert nodes[0].options is nodes[1].options
    assert nodes[0].options == Options()
