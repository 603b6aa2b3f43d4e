"""Python code as trees."""

from __future__ import annotations

import ast
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyflow import source

TEXT = "\n".join(f"def f{i}(x):\n    return [[[[x + {i}]]]] if x else {{'a': (x, lambda y: y)}}" for i in range(60))


def test_threads_may_make_trees_at_the_same_time():
    """None of them is told of the depth of another's tree."""
    expected = ast.dump(source.parse_source(TEXT))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(source.parse_source, [TEXT] * 40))
    finally:
        sys.setswitchinterval(before)
    assert all(ast.dump(tree) == expected for tree in found)


def test_a_thread_that_does_not_take_turns_is_no_matter(monkeypatch):
    """An interpreter that has mixed two trees up is asked again; whatever else it says is the answer."""
    answers = iter([SystemError("depth mismatch"), SystemError("depth mismatch"), "tree"])

    def parse(_text):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(source.ast, "parse", parse)
    assert source.parse_source("x") == "tree"
    monkeypatch.undo()
    with pytest.raises(SyntaxError):
        source.parse_source("def")
