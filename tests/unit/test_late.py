"""A late module is an ordinary one that waits until somebody asks it for something."""

from __future__ import annotations

import pickle
import sys

import cloudpickle
import pytest

from pyflow.late import late


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that is not loaded, and whose loading would be seen."""
    (tmp_path / "seldom_used.py").write_text("ANSWER = 42\n\ndef double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "seldom_used"
    sys.modules.pop("seldom_used", None)


def test_it_is_loaded_when_it_is_first_used(module):
    """Neither naming it, nor showing it, nor comparing it loads it; asking it for something does."""
    waiting = late(module)
    assert waiting != late(module)
    assert repr(waiting) == "<module 'seldom_used', loaded when used>"
    assert module not in sys.modules
    assert waiting.double(4) == 8
    assert module in sys.modules


def test_what_it_gives_is_the_modules_own(module):
    """An object taken from it is the one that an import statement would give, each time."""
    waiting = late(module)
    assert waiting.double is waiting.double is sys.modules[module].double
    assert waiting.ANSWER == 42


def test_a_part_of_a_package_is_the_part():
    """A dotted name stands for the module at its end, as ``from xml import dom`` would."""
    assert late("xml.dom").Node.ELEMENT_NODE == 1


def test_a_missing_module_is_told_when_it_is_used():
    """To name a module that is not installed costs nothing; to use it raises what an import statement would."""
    missing = late("no_such_library")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_library'") as caught:
            _ = missing.anything
        assert caught.value.name == "no_such_library"


def test_a_missing_attribute_is_the_modules_own_error(module):
    """A name that the module does not have is reported as the module reports it."""
    with pytest.raises(AttributeError, match="module 'seldom_used' has no attribute 'nothing'"):
        _ = late(module).nothing


def test_it_travels_by_name(module):
    """What arrives waits for its module as the first one did, whatever was asked of that before."""
    used, fresh = late(module), late(module)
    assert used.ANSWER == 42
    del sys.modules[module]
    arrived = pickle.loads(pickle.dumps([used, fresh]))
    assert module not in sys.modules
    assert [one.double(3) for one in arrived] == [6, 6]


def test_a_function_takes_it_along(module):
    """A function that travels by value brings the late modules it uses."""
    waiting = late(module)
    arrived = pickle.loads(cloudpickle.dumps(lambda: waiting.ANSWER))
    assert module not in sys.modules
    assert arrived() == 42
