"""FILE[:PIPELINE] is loaded as Python would, under a name that other processes can import."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest

from pyflow.bundle import discover
from pyflow.cli.failures import UserCodeError, user_traceback
from pyflow.cli.source import load_source

FLOW = """
from pyflow import task, pipeline
@task
def f(): ...
@pipeline
def train(): return f()
if __name__ == "__main__":
    raise SystemExit("this must not run")
"""


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    """What a test loads is gone after it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_file_is_a_module_that_travels():
    """The file has a name of its own, its main block does not run, and its functions travel in the bundle."""
    Path("flow_a.py").write_text("import helper_a" + FLOW)
    Path("helper_a.py").write_text("")
    source = load_source("flow_a.py")
    assert source.module.__name__ == "flow_a"
    assert discover([source.tasks["f"].fn]).modules == ("flow_a", "helper_a")


@pytest.mark.parametrize("name", ["statistics", "json", "my-flow", "01_first", "pyflow", "__main__"])
def test_names_that_mean_something_else(name):
    """A file may be called as a module of Python is, or as no module can be: it travels all the same."""
    Path(f"{name}.py").write_text(FLOW)
    source = load_source(f"{name}.py")
    bundle = discover([source.tasks["f"].fn])
    assert bundle.modules == (source.module.__name__,)
    assert source.module.__name__ not in sys.stdlib_module_names


def test_file_in_a_package():
    """A file of a package is loaded as a part of it, so that its relative imports work."""
    Path("pack_a").mkdir()
    Path("pack_a/__init__.py").write_text("")
    Path("pack_a/other.py").write_text("x = 1")
    Path("pack_a/flow.py").write_text("from .other import x" + FLOW)
    assert load_source("pack_a/flow.py").module.__name__ == "pack_a.flow"
    assert load_source("pack_a.flow:train").pipeline().name == "train"


def test_the_only_pipeline_needs_no_name():
    """With one pipeline FILE is enough; an imported one or a second name for it does not count."""
    Path("other_b.py").write_text(FLOW.replace("train", "other"))
    Path("flow_b.py").write_text("from other_b import other" + FLOW + "\nalso = train\n")
    source = load_source("flow_b.py")
    assert source.pipeline().name == "train"
    assert load_source("flow_b.py:other").pipeline().name == "other"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flow_c.py", "flow_c.py has 2 pipelines: train, test. Name one: flow_c.py:train"),
        ("flow_c.py:trian", "'trian' in flow_c.py does not exist. Did you mean 'train'?"),
        ("flow_c.py:f", "'f' in flow_c.py is not a pipeline. There are: test, train."),
        ("flow_c.py:a-b", "'flow_c.py:a-b' names no pipeline behind the colon. Write FILE or FILE:PIPELINE."),
        ("flw_c.py", "There is no file 'flw_c.py'. Did you mean 'flow_c.py'?"),
        ("no/such.py", "There is no file 'no/such.py'."),
        ("no.such", "There is no module 'no.such', and no file of that name."),
        ("what is this", "There is no file 'what is this', and it is not the name of a module."),
        ("flow.v2.py", "'flow.v2.py' cannot be imported: its name must end in .py and have no other dot."),
        ("empty_c.py", "empty_c.py has no pipeline. Write @pipeline above a function that calls tasks."),
    ],
)
def test_wrong_sources(text, said):
    """What is not there is said, with what there is."""
    Path("flow_c.py").write_text(FLOW + "\n@pipeline\ndef test(): return f()\n")
    Path("flow.v2.py").write_text(FLOW)
    Path("empty_c.py").write_text("")
    with pytest.raises(click.ClickException) as info:
        load_source(text).pipeline()
    assert info.value.message.startswith(said)


@pytest.mark.parametrize("body", ["1 / 0", "import nosuchmodule", "def f(:", "raise SystemExit(3)"])
def test_a_file_that_raises(body):
    """What a file raises is its author's error, told with the author's frames alone."""
    Path("flow_d.py").write_text(body)
    with pytest.raises(UserCodeError) as info:
        load_source("flow_d.py")
    text = user_traceback(info.value.error)
    assert "flow_d.py" in text
    assert "importlib" not in text
    assert "pyflow/cli" not in text
