"""Parameters of deployed pipelines: what somebody types or gives is read by its type, and arrives as it was given."""

from __future__ import annotations

import base64
import enum
import json
import math

import pytest

from pyflow import pipeline, task
from pyflow.api import deploying, parameters
from pyflow.errors import DefinitionError
from pyflow.graph import Parameter
from pyflow.runtime import PARAMETERS_VARIABLE


@task
def double(x):
    return 2 * x


@pipeline
def nightly(items: list, note: str, rate: float = 0.5):
    return double.map(items), note, rate


def variable(**values):
    return base64.b64encode(json.dumps([{"name": n, "value": v} for n, v in values.items()]).encode()).decode()


def test_a_deployed_graph_runs_with_values_given_later(monkeypatch):
    """The first task reads them; a map over one of them, and a default, are nothing special."""
    graph, rows, defaults = deploying.deployable(nightly.definition)
    assert rows == [("items", "list", False), ("note", "str", False), ("rate", "float", True)]
    assert defaults == {"rate": "0.5"}
    assert next(node.name for node in graph.walk()) == "parameters"
    monkeypatch.setenv(PARAMETERS_VARIABLE, variable(items="[1, 2, 3]", note="{{x}} 7", rate="2"))
    values = parameters.given.fn([row[:2] for row in rows])
    assert values == {"items": [1, 2, 3], "note": "{{x}} 7", "rate": 2.0}


def test_a_run_tells_of_all_parameters_that_do_not_fit(monkeypatch):
    """Whoever typed them mends them once."""
    monkeypatch.setenv(PARAMETERS_VARIABLE, variable(n="four", mode="nonsense", fits="1"))
    with pytest.raises(ValueError, match="'n' is of type int, and 'four' is not a whole number") as caught:
        parameters.given.fn([("n", "int"), ("mode", "Literal['fast', 'slow']"), ("fits", "int")])
    assert "'mode' is of type fast|slow, and 'nonsense' is none of fast, slow" in str(caught.value)
    assert "fits" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("7", "str", "7"),
        ('"7"', "str", '"7"'),
        ("7", "int", 7),
        (" 7 ", "int", 7),
        ("7", "float", 7.0),
        ("true", "bool", True),
        ("abc", "", "abc"),
        ("7", "", 7),
        ("4", "int | None", 4),
        ("null", "int | None", None),
        ("123", "Optional[str]", "123"),
        ("null", "Optional[str]", None),
        ('"null"', "Optional[str]", "null"),
        ("fast", "typing.Literal['fast', 3]", "fast"),
        ("3", "Literal['fast', 3]", 3),
        ("[1, 2]", "list[int]", [1, 2]),
        ("[1, 2]", "Sequence[float]", [1.0, 2.0]),
        ('{"1": 2}', "dict", {"1": 2}),
        ('{"1": 2}', "dict[int, int]", {1: 2}),
        ('{"1": {"2": 3}}', "dict[str, Any]", {"1": {"2": 3}}),
    ],
)
def test_a_value_is_read_by_its_type(text, annotation, value):
    """What somebody types in Argo's own page needs no quotes; what is given in Python is what a task gets."""
    found = parameters.value_of(text, annotation, "x")
    assert (found, type(found)) == (value, type(value))
    again = parameters.value_of(parameters.text_of(value, annotation, "x"), annotation, "x")
    assert (again, type(again)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "annotation"),
    [
        ("seven", "int"),
        ("7.5", "int"),
        ("[1]", "dict"),
        ("a=1", "dict"),
        ("a", "list"),
        (None, "str"),
        ("four", "int | None"),
        ("nonsense", "Literal['fast', 'slow']"),
        ('["a"]', "list[int]"),
        ('{"a": "b"}', "dict[str, int]"),
        ('"7"', "int"),
        ("maybe", "bool"),
    ],
)
def test_a_value_of_another_type_fails_the_run(text, annotation):
    """In its first task, with the name of the parameter."""
    with pytest.raises(ValueError, match="The parameter 'x'"):
        parameters.value_of(text, annotation, "x")


@pytest.mark.parametrize(
    "annotation", ["str", "", "str | None", "int | str", "Literal['null']", "list[str] | str", "object"]
)
@pytest.mark.parametrize("value", ["null", "7", '"7"', '"', "[1]", '["a"]', "", "{{x}}", "true", "é\n"])
def test_any_text_arrives_unchanged(value, annotation):
    """Whatever else it might be read as."""
    if annotation.startswith("Literal") and value != "null":
        return
    assert parameters.value_of(parameters.text_of(value, annotation, "x"), annotation, "x") == value


def test_numbers_that_are_none_arrive():
    """NaN is a value of a float, alone and in a list."""
    assert math.isnan(parameters.value_of(parameters.text_of(math.nan, "float", "x"), "float", "x"))
    assert parameters.value_of(parameters.text_of([-math.inf], "", "x"), "", "x") == [-math.inf]


class Mode(str, enum.Enum):
    FAST = "fast"


def test_what_is_nearly_of_the_type_is_taken():
    """As a plain call takes it."""
    assert parameters.text_of(4, "float", "x") == "4"
    assert parameters.text_of((1, 2), "list[int]", "x") == "[1, 2]"
    assert parameters.text_of(Mode.FAST, "str", "x") == "fast"


@pytest.mark.parametrize(
    ("value", "annotation", "told"),
    [
        (1, "str", "'x' is of type str, and 1 would arrive as '1'"),
        ({1: 2}, "dict", "'x' is of type dict, and {1: 2} would arrive as {'1': 2}"),
        ({1: 2}, "", "and {1: 2} would arrive as {'1': 2}"),
        ("x", "int", "'x' is of type int, and 'x' is not of type int"),
        ("7", "int", "'x' is of type int, and '7' is not of type int"),
        (True, "int", "'x' is of type int, and True is not a whole number"),
        ("zz", "Literal['a', 'b']", "and 'zz' is none of a"),
        (["a"], "list[int]", "has item 0"),
        (object(), "", "takes plain values"),
        ({1, 2}, "dict", "takes plain values"),
    ],
)
def test_a_value_that_would_not_arrive_is_refused(value, annotation, told):
    """Before anything starts; the message says what would come of it."""
    with pytest.raises(DefinitionError) as caught:
        parameters.text_of(value, annotation, "x")
    assert told in str(caught.value)


def test_unknown_and_missing_values_are_told_together():
    """Before the cluster is asked."""
    rows = [("items", "list", False), ("rate", "float", True)]
    with pytest.raises(DefinitionError, match="'nightly' has no parameter 'itms' and needs a value for 'items'"):
        parameters.texts_of(rows, {"itms": [1]}, "nightly")


def test_all_values_that_do_not_fit_are_told_together():
    """In Python, and on the command line."""
    rows = [("a", "int", True), ("b", "str", True)]
    for check, values in ((parameters.texts_of, {"a": "x", "b": 1}), (parameters.check_texts, {"a": "x"})):
        with pytest.raises(DefinitionError, match="'a' is of type int") as caught:
            check(rows, values, "nightly")
        assert ("'b'" in str(caught.value)) == ("b" in values)


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        ("datetime.date", "date"),
        ("Mode | None", "Mode"),
        ("tuple[int, int]", "tuple"),
        ("list[pathlib.Path]", "Path"),
        ("Optional['Path']", "Path"),
        ("Literal[Mode.FAST]", "Mode"),
        ("Cfg", "Cfg"),
        ("dict[str]", r"dict\[str\]"),
    ],
)
def test_parameters_that_nobody_can_type_are_refused(annotation, told):
    """A task would get a text where it is written for something else."""
    with pytest.raises(
        DefinitionError, match=rf"'day' of pipeline 'nightly' is annotated .* let a task make {told} of it"
    ):
        parameters.row_of(Parameter("day", annotation), "nightly")


@pytest.mark.parametrize(
    ("annotation", "default", "row"),
    [
        ("", None, ""),
        ("", "007", "str"),
        ("", 3, "int"),
        ("", False, "bool"),
        ("", {}, "dict"),
        ("str", "x", "str"),
        ("int", None, "int | None"),
        ("int | None", None, "int | None"),
        ("Optional[list[float]]", None, "Optional[list[float]]"),
        ("typing.Literal['Path', \"Mode\", 3]", 3, "typing.Literal['Path', \"Mode\", 3]"),
        ("dict[str, Any]", {}, "dict[str, Any]"),
        ("collections.abc.Sequence[str]", ["a"], "collections.abc.Sequence[str]"),
    ],
)
def test_plain_parameters_are_taken(annotation, default, row):
    """What JSON has, however it is annotated; without an annotation its default says what it is."""
    found = parameters.row_of(Parameter("day", annotation, default, is_required=False), "nightly")
    assert found == ("day", row, True)
    assert parameters.value_of(parameters.text_of(default, row, "day"), row, "day") == default
