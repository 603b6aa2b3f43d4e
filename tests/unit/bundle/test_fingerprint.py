"""When the code fingerprint changes, and when it does not."""

import linecache
import subprocess
import sys
from pathlib import Path

import pytest

from pyflow.bundle import discover, fingerprint
from pyflow.tracing import task

BASE = {
    "flow.py": '''
import functools, helper, lib
from pathlib import Path
from helper import clean, Model
HERE = Path(__file__).parent
LIMIT = {"low": [1, 2.5], "names": {"b", "a", "c"}}
RATE = 0.1

def wrap(function):
    @functools.wraps(function)
    def inner(*args): return function(*args)
    return inner

def inner_helper(x): return x * RATE

@wrap
def f(x, y=3):
    """What it does."""
    unrelated = [x for x in range(3)]  # a comment
    return clean(x) + inner_helper(y) + LIMIT["low"][0] + helper.used() + lib.f() + len(str(HERE)) + Model().m()
''',
    "helper.py": '''
CLEAN = "strip"
def clean(x): return deeper(x, CLEAN)
def deeper(x, how): return x
def used(): return 1
def not_used(): return 2
class Model:
    """A model."""
    size = 4
    def m(self): return self.other()
    def other(self): return CLEAN
''',
    "site-packages/lib.py": "def f(): return 1",
    "site-packages/lib-1.0.dist-info/RECORD": "lib.py,,",
}


def with_change(file, old, new):
    assert old in BASE[file]
    return {**BASE, file: BASE[file].replace(old, new)}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("flow.py", "# a comment", "# another"),
        ("flow.py", "import functools, helper, lib", "\n\n\nimport functools,  helper\nimport lib"),
        ("flow.py", '"""What it does."""', ""),
        ("flow.py", "[x for x in range(3)]", "[\n        x for x in range(3)\n    ]"),
        ("flow.py", "def wrap(", "unused = 5\ndef wrap("),
        ("flow.py", "RATE = 0.1", "RATE = 0.1; x = 7; y = 8; unrelated = 9"),
        ("helper.py", "def not_used(): return 2", "def not_used(): return 3"),
        ("helper.py", '"""A model."""', '"""Another."""'),
        ("site-packages/lib.py", "return 1", "return 1  # same version"),
    ],
)
def test_what_does_not_change_the_code_does_not_change_the_fingerprint(load, file, old, new):
    """Comments, docstrings, layout, line numbers, folders, and code that is not reached do not count."""
    before = fingerprint(load(BASE).f)
    assert before.startswith("ast:")
    assert fingerprint(load(with_change(file, old, new)).f) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("flow.py", "range(3)", "range(4)"),
        ("flow.py", "y=3", "y=4"),
        ("flow.py", '"low": [1, 2.5]', '"low": [1, 2.50001]'),
        ("flow.py", '"c"}', '"d"}'),
        ("flow.py", "RATE = 0.1", "RATE = 0.2"),
        ("flow.py", "return x * RATE", "return RATE * x"),
        ("flow.py", "return function(*args)", "return function(*args) or 1"),
        ("flow.py", "parent\n", "parent / 'data'\n"),
        ("helper.py", '"strip"', '"lower"'),
        ("helper.py", "def deeper(x, how): return x", "def deeper(x, how): return -x"),
        ("helper.py", "def used(): return 1", "def used(): return 10"),
        ("helper.py", "size = 4", "size = 5"),
        ("helper.py", "def other(self): return CLEAN", "def other(self): return None"),
    ],
)
def test_what_changes_the_code_changes_the_fingerprint(load, file, old, new):
    """Bodies, defaults, constants and decorators count, of the function and of all it reaches."""
    assert fingerprint(load(with_change(file, old, new)).f) != fingerprint(load(BASE).f)


def test_package_version_counts(load):
    """Another version of an installed package is other code; its name may differ from the module's."""
    newer = {**BASE, "site-packages/lib-2.0.dist-info/RECORD": "lib.py,,"}
    del newer["site-packages/lib-1.0.dist-info/RECORD"]
    other_name = {**BASE, "site-packages/lib_distribution-1.0.dist-info/RECORD": "other.py,,\nlib.py,sha256=x,1\n"}
    del other_name["site-packages/lib-1.0.dist-info/RECORD"]
    assert len({fingerprint(load(files).f) for files in (BASE, newer, other_name)}) == 3


def test_fingerprint_is_the_same_in_every_process(tmp_path, load):
    """Other processes, hash seeds and ways to start give the same fingerprint."""
    flow = load({**BASE, "main.py": "from pyflow.bundle import fingerprint\nfrom flow import f\nprint(fingerprint(f))"})
    found = {fingerprint(flow.f)}
    folder = Path(flow.__file__).parent
    start = f"import sys; sys.path[:0] = {[str(folder), str(folder / 'site-packages'), str(Path(__file__).parents[3])]}; import main"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", start], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        found.add(done.stdout.strip())
    assert len(found) == 1


def test_script_and_module_agree(run_script, load):
    """A function has the same fingerprint in a script as in a module of that text."""
    source = "RATE = 2\ndef helper(x): return x * RATE\ndef f(x): return helper(x)\n"
    report = "import json\nfrom pyflow.bundle import fingerprint\nprint(json.dumps(fingerprint(f)))"
    assert run_script({"flow.py": source + report}) == fingerprint(load({"flow.py": source}).f)


def test_closures_partials_methods_and_lambdas_count_what_they_hold(load):
    """Captured values, partial arguments, bound objects and lambdas are part of the code."""
    source = """
import functools, dataclasses, enum
def make(n):
    def f(x): return x + n
    return f
def g(a, b): return a + b
@dataclasses.dataclass
class Config:
    rate: float = 1.0
    def m(self): return self.rate
class Colour(enum.Enum):
    RED = 1
    BLUE = 2
def held(v): return lambda: v
pair = (lambda x: x + 1), (lambda x: x + 2)
"""
    flow = load({"flow.py": source})
    different = [
        flow.make(1),
        flow.make(2),
        flow.make(2.0),
        flow.make("2"),
        flow.make((2,)),
        flow.make([2]),
        flow.make({2}),
        flow.make({2: 2}),
        flow.make(Path("a")),
        flow.make(flow.g),
        flow.make(flow.Config),
        flow.g,
        flow.functools.partial(flow.g, 1),
        flow.functools.partial(flow.g, 2),
        flow.functools.partial(flow.g, b=2),
        flow.Config(1.0).m,
        flow.Config(2.0).m,
        flow.Config.m,
        flow.Config,
        flow.held(flow.Colour.RED),
        flow.held(flow.Colour.BLUE),
        flow.functools.lru_cache(flow.make(1)),
        flow.functools.lru_cache(flow.make(2)),
    ]
    found = [fingerprint(value) for value in different]
    assert len(set(found)) == len(found)
    assert all(one.startswith("ast:") for one in found)
    assert [fingerprint(value) for value in different] == found
    assert fingerprint(flow.pair[0]) == fingerprint(flow.pair[1])  # one line: both count for each


def test_live_objects_count_by_their_type(load):
    """What a live object holds is not code: only its type counts."""
    flow = load({"flow.py": "class Client:\n    def __init__(self, n): self.n = n\ndef hold(v): return lambda: v"})
    assert fingerprint(flow.hold(flow.Client(1))) == fingerprint(flow.hold(flow.Client(2)))
    assert fingerprint(flow.hold(flow.Client(1))) != fingerprint(flow.hold(object()))


def test_imports_inside_functions_count_as_whole_modules(load):
    """A module imported in a function's body counts with all its code, loaded or not."""
    found = [
        fingerprint(
            load({"flow.py": "def f():\n    from late import x\n    return x", "late.py": late, "later.py": later}).f
        )
        for late, later in [
            ("import later; x = 1", "y = 1"),
            ("import later; x = 1  # the same", "y = 1"),
            ("import later; x = 2", "y = 1"),
            ("import later; x = 1", "y = 2"),
        ]
    ]
    assert found[0] == found[1]
    assert len(set(found)) == 3
    assert "late" not in sys.modules


def test_options_of_our_decorators_are_no_code(load):
    """Another option of a pyflow decorator leaves the fingerprint; another decorator of the user's does not."""
    source = "from helper import task, mine\n@mine(1)\n@task(cpus=2)\ndef f(): return 1"
    helper = (
        "def task(**options): return lambda f: f\ntask.__module__ = 'pyflow.tracing'\ndef mine(n): return lambda f: f"
    )
    base = fingerprint(load({"flow.py": source, "helper.py": helper}).f)
    assert fingerprint(load({"flow.py": source.replace("cpus=2", "cpus=4"), "helper.py": helper}).f) == base
    assert fingerprint(load({"flow.py": source.replace("mine(1)", "mine(2)"), "helper.py": helper}).f) != base


def test_task_is_its_function(load):
    """A task has the fingerprint of its function, and a task that is called counts as a helper does."""
    source = (
        "from pyflow.tracing import task\nK = {1}\ndef plain(x): return x + K\nhelper = {0}\ndef f(x): return helper(x)"
    )
    plain = load({"flow.py": source.format("plain", 1)})
    assert fingerprint(task(plain.f)) == fingerprint(plain.f)
    as_task = load({"flow.py": source.format("task(plain)", 1)})
    options = load({"flow.py": source.format("task(cpus=2)(plain)", 1)})
    other = load({"flow.py": source.format("task(plain)", 2)})
    assert fingerprint(as_task.f)[4:] != fingerprint(other.f)[4:]
    assert fingerprint(as_task.f).startswith("ast:")
    assert discover([as_task.helper, options.helper]).modules == ("flow",)


def test_notebook_cells_are_source(monkeypatch):
    """Functions and classes of notebook cells are read from the cells, by whatever name these go."""
    scope = {"__name__": "__main__"}

    def run_cell(number, source):
        name = f"/tmp/ipykernel_1/{number}.py"
        monkeypatch.setitem(linecache.cache, name, (len(source), None, source.splitlines(keepends=True), name))
        exec(compile(source, name, "exec"), scope)

    run_cell(1, "class Model:\n    size = 3\n    def m(self): return self.size\n")
    run_cell(2, "\n\ndef f(x):\n    return Model().m() + x\n")
    first = fingerprint(scope["f"])
    run_cell(3, "def f(x):\n    return Model().m() + x  # run again\n")
    assert fingerprint(scope["f"]) == first
    run_cell(4, "class Model:\n    size = 4\n    def m(self): return self.size\n")
    assert fingerprint(scope["f"]) != first
    assert first.startswith("ast:")


def test_names_of_its_own_do_not_count(load):
    """A global of the same name as a variable of the function, or of a comprehension in it, is not reached."""
    source = "x = {0}; shape = {0}; e = {0}; i = {0}; inner = {0}\ndef f(a):\n    shape = a.shape\n    try:\n        def inner(x): return [i for i in x]\n    except ValueError as e:\n        return e\n    return shape"
    assert fingerprint(load({"flow.py": source.format(1)}).f) == fingerprint(load({"flow.py": source.format(2)}).f)


def test_without_source_the_bytecode_counts_and_says_so():
    """A function whose source is lost is known by its bytecode, and the prefix tells."""

    def made(source, name="f"):
        scope = {"__name__": "__main__"}
        exec(compile(source, "<made>", "exec"), scope)
        return scope[name]

    text = "K = {}\ndef helper(x): return x in {{'a', 'b', 'c'}} or K\ndef f(x={}):\n    {}\n    return helper(x)\n"
    base = fingerprint(made(text.format(1, 1, "'doc'")))
    assert base.startswith("code:")
    assert fingerprint(made("\n\n" + text.format(1, 1, "'other doc'"))) == base
    assert fingerprint(made(text.format(2, 1, "'doc'"))) != base
    assert fingerprint(made(text.format(1, 2, "'doc'"))) != base
    assert fingerprint(made(text.format(1, 1, "x += 1"))) != base


def test_circles_and_long_chains_end(load):
    """Functions that call each other, containers that hold themselves and a thousand helpers in a row end."""
    chain = "\n".join(f"def f{i}(): return f{i + 1}()" for i in range(1000))
    flow = load({"flow.py": f"{chain}\ndef f1000(): return f0(), loop\nloop = [1]; loop.append(loop)"})
    first = fingerprint(flow.f0)
    assert first.startswith("ast:")
    flow = load({"flow.py": f"{chain}\ndef f1000(): return f0(), loop\nloop = [2]; loop.append(loop)"})
    assert fingerprint(flow.f0) != first


def test_edited_file_is_read_again(load):
    """After an edit and a reload the new code counts, in the same process."""
    flow = load({"flow.py": "def f(): return 1"})
    before = fingerprint(flow.f)
    Path(flow.__file__).write_text("def f(): return 100")
    assert fingerprint(load({"flow.py": "def f(): return 100"}).f) != before
