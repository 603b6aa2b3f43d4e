"""The clean process, and what it finds missing."""

import sys
from pathlib import Path

import pytest

from pyflow.bundle import Missing, ShippedFunction, check_importable, computed_imports, discover, install
from pyflow.errors import ExecutorError
from pyflow.payload import encode_function


@pytest.fixture
def ship(tmp_path):
    """Ship functions as a pipeline would: the folder of their bundle, its origin, and a payload for each."""

    def ship_functions(*functions):
        bundle = discover(functions)
        archive = bundle.write()
        folder = None if archive is None else install(archive, tmp_path / "code")
        shipped = []
        for function in functions:
            payload = tmp_path / f"{function.__name__}.payload"
            payload.write_bytes(b"".join(bytes(part) for part in encode_function(function, what="a function").parts))
            shipped.append(ShippedFunction(function.__name__, payload, function.__code__.co_filename))
        return folder, shipped, bundle.origin

    return ship_functions


def test_shipped_functions_miss_nothing(load, ship):
    """Functions that travel with their bundle load in a clean process, and are told to nobody."""
    source = "import helper, json\ndef f():\n    from pkg import part\n    import csv\ndef g(): ..."
    flow = load(
        {
            "flow.py": source,
            "helper.py": "print('noise on import')",
            "pkg/__init__.py": "",
            "pkg/part.py": "import cloudpickle",
        }
    )
    folder, shipped, origin = ship(flow.f, flow.g)
    assert check_importable(folder, shipped, origin=origin) == []


def test_module_left_behind_is_named_with_its_line(load, ship):
    """A module that .pyflowignore keeps at home is reported with the line of the user's file that imports it."""
    flow = load(
        {
            ".pyflowignore": "secret.py",
            "flow.py": "import helper\ndef f(): ...",
            "helper.py": "\nimport secret",
            "secret.py": "",
        }
    )
    folder, shipped, origin = ship(flow.f)
    found = check_importable(folder, shipped, origin=origin)
    helper = str(Path(flow.__file__).with_name("helper.py"))
    assert found == [Missing("f", "secret", f"{helper}:2", "ModuleNotFoundError: No module named 'secret'")]
    assert str(found[0]) == f"f() needs the module 'secret' ({helper}:2): ModuleNotFoundError: No module named 'secret'"


def test_nothing_shipped_names_the_functions_own_import(load, ship):
    """Without the bundle, the report points at the import in the function's own file."""
    flow = load({"flow.py": "import json\nimport helper\ndef f(): return helper", "helper.py": ""})
    _, shipped, _ = ship(flow.f)
    shipped = [one._replace(source=str(flow.__file__)) for one in shipped]
    [missing] = check_importable(None, shipped)
    assert missing.module == "flow"
    flow.f.__module__ = flow.f.__globals__["__name__"] = "__main__"
    _, shipped, _ = ship(flow.f)
    [missing] = check_importable(None, shipped)
    assert (missing.module, missing.at) == ("helper", f"{flow.__file__}:2")


def test_imports_inside_functions_are_tried(load, ship):
    """Imports in a function's body are tried, those it can do without are not reported."""
    source = "def f():\n    try:\n        import not_needed\n    except ImportError: ...\n    import not_there.at_all\n    def g():\n        from json import no_such_part"
    flow = load({"flow.py": source})
    folder, shipped, origin = ship(flow.f)
    found = check_importable(folder, shipped, origin=origin)
    assert [(one.module, one.at) for one in found] == [
        ("not_there", f"{flow.__file__}:5"),
        ("json.no_such_part", f"{flow.__file__}:7"),
    ]


def test_helpers_that_travel_by_value_are_looked_into(load, ship):
    """Functions and classes of a script that a function uses have their imports tried as well."""
    source = "class C:\n    def m(self):\n        import missing_one\ndef helper():\n    import missing_two\ndef f():\n    return helper() or C()"
    flow = load({"flow.py": source})
    flow.__dict__["__name__"] = "__main__"
    for value in (flow.f, flow.helper, flow.C, flow.C.m):
        value.__module__ = "__main__"
    folder, shipped, origin = ship(flow.f)
    assert folder is None
    assert {one.module for one in check_importable(folder, shipped, origin=origin)} == {"missing_one", "missing_two"}


def test_working_directory_and_path_do_not_help(load, ship, monkeypatch):
    """The clean process sees neither the caller's directory nor PYTHONPATH."""
    flow = load({"flow.py": "def f():\n    import found_by_luck", "elsewhere/found_by_luck.py": ""})
    folder, shipped, origin = ship(flow.f)
    elsewhere = Path(flow.__file__).with_name("elsewhere")
    monkeypatch.chdir(elsewhere)
    monkeypatch.syspath_prepend(str(elsewhere))
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))
    assert [one.module for one in check_importable(folder, shipped, origin=origin)] == ["found_by_luck"]


def test_function_that_ends_the_process_does_not_hide_the_others(load, ship):
    """A module that ends its process is reported for its function, and the next function is still checked."""
    source = "def a():\n    import deadly\ndef b():\n    import killed\ndef c():\n    import absent\ndef d(): ..."
    flow = load(
        {"flow.py": source, "deadly.py": "import os; os._exit(3)", "killed.py": "import os; os.kill(os.getpid(), 9)"}
    )
    folder, shipped, origin = ship(flow.a, flow.b, flow.c, flow.d)
    found = check_importable(folder, shipped, origin=origin)
    assert [one.function for one in found] == ["a", "b", "c"]
    assert "exit code 3" in found[0].error
    assert "SIGKILL" in found[1].error
    assert str(found[0]).startswith("a() does not load")


def test_other_failures_are_told_too(load, ship):
    """A module that raises on import, or asks for the end, is reported with its error."""
    source = "def a():\n    import raising\ndef b():\n    import leaving"
    flow = load({"flow.py": source, "raising.py": "\n1 / 0", "leaving.py": "import sys; sys.exit(4)"})
    folder, shipped, origin = ship(flow.a, flow.b)
    found = check_importable(folder, shipped, origin=origin)
    raising = str(Path(flow.__file__).with_name("raising.py"))
    assert (found[0].at, found[0].error) == (f"{raising}:2", "ZeroDivisionError: division by zero")
    assert found[1].error == "SystemExit: 4"


def test_process_that_cannot_start_is_an_error_of_its_own(load, ship, monkeypatch):
    """That the check itself fails is not mistaken for a missing module."""
    flow = load({"flow.py": "def f(): ..."})
    folder, shipped, _ = ship(flow.f)
    with pytest.raises(ExecutorError, match="no_such_module"):
        check_importable(folder, shipped, decoder="no_such_module:decode")
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(ExecutorError, match="/no/such/python"):
        check_importable(folder, shipped)


def test_names_that_nobody_defines_are_found(load, ship):
    """A name that is looked up and is neither in the module nor built in would fail where it runs."""
    source = """
limit = 3
def f(x):
    def g():
        return later + undefined_inside
    class C:
        a = 1
        b = a
    return pd.DataFrame(x), limit, len(x), g
def sets():
    global later
    later = 2
    return later
def ready():
    try:
        return display
    except NameError:
        return None
"""
    flow = load({"flow.py": source})
    folder, shipped, origin = ship(flow.f, flow.sets, flow.ready)
    found = check_importable(folder, shipped, origin=origin)
    assert [(one.function, one.name, one.at) for one in found] == [
        ("f", "pd", f"{flow.__file__}:9"),
        ("f", "later", f"{flow.__file__}:5"),
        ("f", "undefined_inside", f"{flow.__file__}:5"),
    ]
    assert str(found[0]) == f"f() would fail ({flow.__file__}:9): the name 'pd' is not defined"


def test_names_that_nobody_defines_are_found_in_shipped_helpers(load, ship):
    """Functions, methods and tasks of shipped files that a task reaches are looked into, by name or through their module; others are not."""
    flow = load(
        {
            "flow.py": "import helper, json\nfrom pkg.part import Model, wrapped\n"
            "def f(x):\n    return helper.clean(x), Model().fit(x), wrapped(x), json.dumps(x)\n",
            "helper.py": "def clean(x):\n    return cut(x) + state\n\ndef cut(x):\n    return missing_in_cut(x)\n\n"
            "def start():\n    global state\n    state = 1\n\ndef never():\n    return not_reached\n",
            "pkg/__init__.py": "",
            "pkg/part.py": "from pyflow import task\nclass Model:\n    def fit(self, x):\n        return missing_in_fit\n"
            "@task\ndef wrapped(x):\n    import missing_module\n    return missing_in_task\n",
        }
    )
    folder, shipped, origin = ship(flow.f)
    found = check_importable(folder, shipped, origin=origin)
    home = Path(flow.__file__).parent
    assert {(one.name or one.module, one.at) for one in found} == {
        ("missing_in_cut", f"{home}/helper.py:5"),
        ("missing_in_fit", f"{home}/pkg/part.py:4"),
        ("missing_in_task", f"{home}/pkg/part.py:8"),
        ("missing_module", f"{home}/pkg/part.py:7"),
    }


def test_imports_by_computed_names_are_counted(load):
    """Which module such a call loads, only running it tells; its line is known."""
    flow = load(
        {
            "flow.py": "import importlib\nimportlib.import_module('json')\ndef f(name):\n    return importlib.import_module(name)"
        }
    )
    assert computed_imports(flow.__file__) == [4]
    assert computed_imports("no such file.py") == []
