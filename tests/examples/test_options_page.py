"""The page about options says what the code does: every option, and what each executor does with it."""

from __future__ import annotations

import re

from docs_runner import REPO

from pyflow.executors import NAMES
from pyflow.executors.support import SUPPORT
from pyflow.graph import NOT_BUILT_YET, OptionArgs

PAGE = (REPO / "docs" / "options.md").read_text()
WORD = {"honoured": "yes", "warned": "warning", "refused": "refused"}


def table_after(words: str) -> list[list[str]]:
    """The cells of the first table behind some words, without quotes and without the line below its head."""
    lines = PAGE[PAGE.index(words) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    end = next(i for i, line in enumerate(lines) if i > start and not line.startswith("|"))
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[start:end]]
    return [rows[0], *rows[2:]]


def test_page_says_what_each_executor_does_with_each_option() -> None:
    """The table of options by executor is the one that the executors go by."""
    head, *rows = table_after("<!-- options by executor -->")
    assert head == ["option", *NAMES]
    said = {option: dict(zip(NAMES, cells, strict=True)) for option, *cells in rows}
    assert said == {
        option: {name: WORD[by_executor[name]] for name in NAMES} for option, by_executor in SUPPORT.items()
    }


def test_page_explains_every_option() -> None:
    """Whatever may be written in @task(...) has a row that says what it means."""
    _, *rows = table_after("## What there is")
    explained = [name.strip("` ") for row in rows for name in row[0].split(",")]
    assert sorted(explained) == sorted(OptionArgs.__annotations__)


def test_page_names_the_options_that_are_not_built_yet() -> None:
    """An option that is refused everywhere is named as such."""
    sentence = PAGE[PAGE.index("Known names that this version refuses") :].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", sentence)) == NOT_BUILT_YET
