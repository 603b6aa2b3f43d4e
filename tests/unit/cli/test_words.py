"""What stands behind FILE: parameters of the pipeline, and options of pyflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from pyflow.cli.words import help_text, parameters_of, understand, values_of

OWN = {"executor": True, "store": True, "no-progress": False}


def call(function, *words):
    """The arguments of the call, and pyflow's options."""
    parameters = parameters_of(function)
    found = understand(words, parameters, OWN)
    return (*values_of(found.given, parameters), found.own)


def train(path: Path, learning_rate: float = 0.1, flag: bool = False, tags: list[str] = []) -> None: ...  # noqa: B006
def stored(store: str, help: int = 0) -> None: ...  # noqa: A002
def loose(a, b=1, c=(0.1, 1), d=None) -> None: ...
def stars(first: int, *rest: int, only: str = "", **others: float) -> None: ...
def strict(a: int, b: int = 2, /, c: int = 3) -> None: ...


def test_parameters_by_name():
    """Dashes and underscores are the same; values stand behind or after an equals sign."""
    args, kwargs, own = call(train, "--path", "x.csv", "--learning-rate=0.5", "--tags", "a", "--tags", "b", "--flag")
    assert (args, own) == ([], {})
    assert kwargs == {"path": Path("x.csv"), "learning_rate": 0.5, "tags": ["a", "b"], "flag": True}
    assert call(train, "--path", "x", "--learning_rate", "-1")[1]["learning_rate"] == -1.0


@pytest.mark.parametrize(
    ("words", "value"),
    [(["--flag"], True), (["--no-flag"], False), (["--flag", "false"], False), (["--flag=true"], True),
     (["--flag", "--no-flag"], False)],
)  # fmt: skip
def test_flags(words, value):
    """A flag is given by itself, by its negative, or with a value; the last one holds."""
    assert call(train, "--path", "x", *words)[1]["flag"] is value


def test_parameter_comes_before_an_option_of_pyflow():
    """A parameter may be called as an option of pyflow is, and hides it behind FILE."""
    assert call(stored, "--store", "mine", "--executor", "local") == ([], {"store": "mine"}, {"executor": "local"})
    assert call(train, "--path", "x", "--store", "s", "--no-progress")[2] == {"store": "s", "no-progress": None}


def test_help_is_a_word_like_others():
    """--help asks for help, unless the pipeline has a parameter of that name."""
    assert understand(["--help"], parameters_of(train), OWN).is_help
    assert call(stored, "--store", "x", "--help", "3")[1] == {"store": "x", "help": 3}


def test_behind_two_dashes_everything_is_the_pipelines():
    """Behind -- no word is an option of pyflow."""
    assert call(stars, "--first", "1", "--", "--executor", "2")[1] == {"first": 1, "executor": 2.0}


def test_a_default_stands_for_an_annotation():
    """Without an annotation the default's type counts; without both, JSON or text."""
    assert call(loose, "--a", "x", "--b", "5", "--c", "2", "--c", "3", "--d", "[1]")[1] == {
        "a": "x", "b": 5, "c": (2.0, 3.0), "d": [1],
    }  # fmt: skip
    with pytest.raises(click.ClickException, match="--b is of type int, and 'x' is not a whole number"):
        call(loose, "--a", "x", "--b", "x")


def test_variadic_parameters():
    """*args is given several times, and **kwargs takes any other name."""
    args, kwargs, _ = call(stars, "--first", "1", "--rest", "2", "--rest", "3", "--alpha-beta", "0.5")
    assert (args, kwargs) == ([1, 2, 3], {"alpha_beta": 0.5})


def test_positional_only_parameters():
    """Parameters that a call can only give by position are given by name here."""
    assert call(strict, "--a", "1", "--c", "5")[:2] == ([1, 2], {"c": 5})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing: --path (Path)."),
        (("--pth", "x"), "The pipeline has no parameter --pth, and pyflow no such option. Did you mean --path?"),
        (("--zzz", "x"), "The pipeline's parameters: --path, --learning-rate, --flag, --tags."),
        (("x.csv",), "Parameters are given by name, and 'x.csv' has none. Write --path x.csv, for example."),
        (("-path", "x"), "'-path' has none. Write --path."),
        (("path=x",), "'path=x' has none. Write --path=x."),
        (("--tags", "a", "b"), "'b' has none. Write --tags b, for example."),
        (("--path",), "--path needs a value (Path)."),
        (("--path", "--flag"), "--path needs a value (Path)."),
        (("--path", "x", "--no-flag=1"), "--no-flag takes no value, got '1'."),
        (("--path", "x", "--executor"), "--executor needs a value."),
        (("-p", "x"), "Parameters are given by name, and '-p' has none."),
        (("--path", "a", "--path", "b"), "--path is of type Path, and 'a b' are 2 values where it takes one."),
    ],
)
def test_wrong_words(words, said):
    """What cannot be understood is named, with what would work."""
    with pytest.raises(click.ClickException) as info:
        call(train, *words)
    assert said in info.value.message
    assert info.value.exit_code == 2


def test_all_faults_at_once():
    """Every value that does not fit is named, and what is missing, too."""
    with pytest.raises(click.ClickException) as info:
        call(train, "--learning-rate", "x", "--flag=maybe")
    assert [line.split()[0] for line in info.value.message.splitlines()] == ["--learning-rate", "--flag", "Missing:"]


def test_help_text():
    """The help lists each parameter with its type and its default as it would be written."""
    assert help_text(parameters_of(train)) == [
        ("--path Path", "required"),
        ("--learning-rate float", "default: 0.1"),
        ("--flag/--no-flag", "default: false"),
        ("--tags list[str]", "may be repeated; default: []"),
    ]


def test_annotation_that_only_a_type_checker_knows():
    """A name that does not exist at run time is no reason to fail."""

    def odd(a: "Nowhere", b: Any = 1) -> None: ...  # noqa: F821, UP037

    assert call(odd, "--a", "3")[1] == {"a": 3}
