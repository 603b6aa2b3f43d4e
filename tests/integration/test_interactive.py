"""Sessions in which a person types: the plain Python prompt, and a debugger inside of a task."""

from __future__ import annotations

import subprocess
import sys

import pexpect
import pytest

TYPED = """\
from pyflow import pipeline, task

FACTOR = 3

def helper(x):
    return x * FACTOR

@task
def scale(x):
    return helper(x)

@task
def unlucky(x):
    return helper(None)

@pipeline
def scaled(xs):
    return scale.map(xs)

@pipeline
def failing():
    return unlucky(1)

print(scaled([1, 2]))
FACTOR = 4
print(scaled([1, 2]))
try:
    failing()
except TypeError as error:
    print(type(error).__name__)

"""

STOPPING = """\
from pyflow import pipeline, task

@task
def stopping(x):
    y = x + 41
    breakpoint()
    return y

@pipeline
def stopped(x):
    return stopping.map([x, x + 1])

print("result:", stopped.with_options(executor="inprocess")(1))
"""


@pytest.mark.parametrize("options", [["-i"], ["-"]], ids=["prompt", "stdin"])
def test_what_is_typed_at_the_prompt_travels_to_workers(options):
    """Tasks typed at ``>>>``, or piped to Python, take along the helpers and globals that they use, as they are at each call."""
    done = subprocess.run(
        [sys.executable, *options], input=TYPED, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.splitlines() == ["[3, 6]", "[4, 8]", "TypeError"], done.stderr


@pytest.fixture
def typing():
    """Starts Python in a terminal of its own."""
    started = []

    def start(*words):
        child = pexpect.spawn(sys.executable, list(words), encoding="utf-8", timeout=60, echo=False)
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def test_a_debugger_works_in_a_task(tmp_path, typing):
    """``breakpoint()`` in a task in process: values can be looked at and changed, and the run goes on to its result."""
    (tmp_path / "flow.py").write_text(STOPPING)
    child = typing(str(tmp_path / "flow.py"))
    for typed, shown in (("p x", "1"), ("p y", "42"), ("y = 50", ""), ("c", "stopping"), ("p y", "43")):
        child.expect_exact("(Pdb) ")
        child.sendline(typed)
        child.expect_exact(shown)
    child.expect_exact("(Pdb) ")
    child.sendline("c")
    child.expect_exact("result: [50, 43]")
