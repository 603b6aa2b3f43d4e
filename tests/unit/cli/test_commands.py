"""Each command once, in this process, on runs of the in-process executor."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pyflow.cli import COMMANDS, cli
from pyflow.config import slug

FLOW = '''
from pathlib import Path
from pyflow import task, pipeline

@task
def load(n):
    print("loading \\x1b[31mred\\x1b[0m")
    return list(range(n))

@task
def fit(x, bad=-1):
    print("fitting", x)
    if x == bad:
        raise ValueError(f"bad x: {x}")
    return x * 2

@task
def save(xs) -> Path:
    path = Path("out.txt")
    path.write_text(str(xs))
    return path

@pipeline
def train(n: int = 3, bad: int = -1):
    """Doubles numbers.

    And keeps them.
    """
    xs = fit.map(load(n), bad=bad)
    return xs, save(xs)
'''


class Done:
    """What a command printed, and how it ended."""

    def __init__(self, result):
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr


@pytest.fixture
def pyflow(monkeypatch):
    """Runs a command in a folder with ``flow.py``; the author's modules that it loads are forgotten."""
    Path("flow.py").write_text(FLOW)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def run(*words):
        return Done(CliRunner().invoke(cli, [str(word) for word in words], prog_name="pyflow"))

    yield run
    for name in set(sys.modules) - before:
        # Two copies of a library's module would have two classes of one name.
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(Path.cwd())):
            del sys.modules[name]


@pytest.fixture
def ran(pyflow):
    """The same, after a run that succeeded."""
    done = pyflow("run", "--executor", "inprocess", "--no-progress", "flow.py")
    assert done.code == 0, done.err
    return pyflow


@pytest.fixture
def failed(pyflow):
    """The same, after a run in which an item failed."""
    done = pyflow("run", "--executor", "inprocess", "--no-progress", "flow.py", "--bad", "1")
    assert done.code == 1
    return pyflow


def test_each_command_has_help(pyflow):
    """The list of commands says of each what its own help begins with, or something shorter."""
    assert all(name in pyflow("--help").out for name in COMMANDS)
    for name, (module, _) in COMMANDS.items():
        done = pyflow(name, "--help")
        assert done.out.startswith(f"Usage: pyflow {name} "), module
        assert max(map(len, done.out.splitlines())) <= 80


def test_run_prints_the_result(pyflow):
    """What tasks print in this process is seen on standard error; standard output has the value that the pipeline returned."""
    done = pyflow("run", "--executor", "inprocess", "--no-progress", "flow.py", "--n", "2")
    assert (done.code, done.err) == (0, "loading \x1b[31mred\x1b[0m\nfitting 0\nfitting 1\n")
    assert done.out.startswith("([0, 2],")


def test_run_help_is_the_pipelines(pyflow):
    """Behind FILE, --help tells of the pipeline: what it is for, and its parameters."""
    done = pyflow("run", "flow.py", "--help")
    assert done.code == 0
    assert "Doubles numbers.\n\n  And keeps them." in done.out
    assert "--n int    default: 3" in done.out


def test_run_tells_the_authors_traceback(pyflow):
    """When a task raises, its own frames are shown with pyflow's note, and no frame of pyflow's."""
    done = pyflow("run", "--executor", "inprocess", "--no-progress", "flow.py", "--bad", "1")
    assert done.code == 1
    assert ", in fit\n" in done.err
    assert "ValueError: bad x: 1" in done.err
    assert "pyflow logs" in done.err
    assert "pyflow/api" not in done.err


def test_progress_goes_to_standard_error(pyflow):
    """Where there is no terminal, progress is plain lines, unless a setting or option says otherwise."""
    words = ("run", "--executor", "inprocess", "flow.py")
    assert "load succeeded" in pyflow(*words).err
    assert "load succeeded" not in pyflow(*words, "--no-progress").err
    Path("pyproject.toml").write_text("[tool.pyflow]\nprogress = false\n")
    assert "load succeeded" not in pyflow(*words).err
    assert "load succeeded" in pyflow(*words, "--progress").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "flow.py", "--n", "x"), "Error: --n is of type int, and 'x' is not a whole number.\n'pyflow run flow.py --help'"),
        (("run", "flow.py", "--executor", "locl"), "Error: There is no executor 'locl'. Did you mean 'local'?"),
        (("run", "flow.py", "--parallelism", "0"), "Error: --parallelism must be a whole number of 1 or more, got '0'."),
        (("run", "nofile.py"), "Error: There is no file 'nofile.py'."),
        (("show", "latest"), "/.pyflow yet; the first run makes it."),
        (("result", "20261123", "--store", "there"), "There is no store in "),
        (("run", "--n", "2", "flow.py"), "a parameter of the pipeline goes behind its file: FILE --n VALUE."),
        (("verify", "--store", "there"), "There is no store in "),
        (("gc", "--store", "there"), "There is no store in "),
        (("store", "copy", "there", "elsewhere"), "There is no store in "),
        (("ls", "--store", "flow.py"), "flow.py: that is a file. Name a folder"),
        (("ls", "--store", "s4://bucket"), "'s4' is not one of the kinds file, s3, memory"),
        (("graph", "flow.py", "--format", "png"), "Error: --format must be text or mermaid, got 'png'."),
        (("nope",), "No such command 'nope'."),
        (("shwo", "latest"), "No such command 'shwo'. Did you mean 'show'?"),
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2(pyflow, words, said):
    """What was wrong is said on standard error, without a traceback."""
    done = pyflow(*words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_definition_that_is_wrong_ends_with_2(pyflow):
    """An error of a definition is one paragraph."""
    Path("odd.py").write_text("from pyflow import task\n@task(cpu=2)\ndef f(): ...\n")
    done = pyflow("run", "odd.py")
    assert done.code == 2
    assert "cpus" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("body", ["1 / 0", "from pyflow import pipeline\n@pipeline\ndef p():\n    return 1 / 0"])
def test_the_authors_errors_end_with_1(pyflow, body):
    """A file or the body of a pipeline that raises shows the author's traceback alone."""
    Path("odd.py").write_text(body)
    done = pyflow("run", "odd.py")
    assert done.code == 1
    assert "ZeroDivisionError" in done.err
    assert "/pyflow/" not in done.err


def test_a_store_that_fails_ends_with_3(pyflow):
    """What only an operator can mend has a code of its own."""
    Path(".pyflow").mkdir()
    Path(".pyflow/.tmp").write_text("")
    done = pyflow("run", "flow.py")
    assert done.code == 3
    assert "Traceback" not in done.err
    assert pyflow("ls", "--store", "s3://bucket").code == 3


def test_an_error_of_pyflow_itself_ends_with_3(pyflow, monkeypatch):
    """What nobody foresaw is told with its traceback, and that it is to be reported."""
    monkeypatch.setattr("pyflow.cli.ls.ls", click.Command("ls", callback=lambda: {}["gone"]))
    done = pyflow("ls")
    assert (done.code, done.out) == (3, "")
    traceback, error, said = done.err.rstrip("\n").rsplit("\n", 2)
    assert traceback.startswith("Traceback (most recent call last):")
    assert error == "KeyError: 'gone'"
    assert said == "Error: this is an error in pyflow itself. Please report it with the lines above."


def test_ls(ran):
    """Runs are listed with the newest first, as a table and as JSON."""
    ran("run", "--executor", "inprocess", "--no-progress", "--name", "again", "flow.py")
    lines = ran("ls").out.splitlines()
    assert lines[0].split() == ["RUN", "PIPELINE", "STATUS", "STARTED", "TOOK", "EXECUTOR"]
    assert [line.split()[1] for line in lines[1:]] == ["again", "train"]
    assert len(json.loads(ran("ls", "--json", "--limit", 1).out)) == 1
    assert "Only the latest 1 are listed" in ran("ls", "--limit", 1).err
    elsewhere = ran("ls", "--store", "other")
    assert (elsewhere.code, "There is no store in " in elsewhere.err) == (0, True)


def test_runs_of_other_projects_are_pointed_at(ran, monkeypatch, tmp_path):
    """Who looks into a store by its path from another folder is told whose runs it has, and how to see them."""
    project = slug(Path.cwd().name, otherwise="project")
    store = str(Path(".pyflow").resolve())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for words in (["ls"], ["show", "latest"], ["result", "latest"], ["show", "20261123"], ["verify"], ["gc"]):
        assert f": set PYFLOW_PROJECT={project} to see them." in ran(*words, "--store", store).err, words
    assert f"set PYFLOW_PROJECT={project} to see them." in ran("store", "copy", store, "there").err
    monkeypatch.setenv("PYFLOW_PROJECT", project)
    assert "train" in ran("ls", "--store", store).out
    monkeypatch.setenv("PYFLOW_OWNER", "somebody")
    assert ": set PYFLOW_OWNER=" in ran("ls", "--store", store).err


def test_a_run_has_many_names(ran):
    """A run is found by its id, its beginning, its end and as the latest; a name of several is refused."""
    [run] = json.loads(ran("ls", "--json").out)
    for name in (run["id"], run["id"][:12], run["id"][-6:], "latest"):
        assert ran("show", name).out.startswith(run["id"])
    ran("run", "--executor", "inprocess", "--no-progress", "flow.py")
    assert "has no run 'nope'. 'pyflow ls' lists what it has." in ran("show", "nope").err
    done = ran("show", run["id"][:8])
    assert (done.code, "2 runs are called" in done.err) == (2, True)


def test_show(failed):
    """Failing items are listed below their map, and what could not run is cancelled."""
    text = failed("show", "latest").out
    assert "failed after" in text.splitlines()[0]
    assert "1 of 3 items, 1 failed, 1 not started" in text
    assert "fit[1]: ValueError: bad x: 1" in text
    assert "○ save" in text
    wire = json.loads(failed("show", "latest", "--json").out)
    assert [node["name"] for node in wire["nodes"]] == ["load", "fit", "save"]
    assert wire["failures"][0]["name"] == "fit[1]"


def test_show_of_a_run_that_succeeded(ran):
    """Each task is told with how long it took, the size of its result and what that is; of a map, how many items there are."""
    text = ran("show", "latest").out
    took, size = r"[0-9.:]+ (?:s|min|h)", r"[0-9.]+ (?:B|KiB)"
    assert re.search(rf"^  ✓ load +{took} +{size}  \[0, 1, 2\]$", text, re.MULTILINE), text
    assert re.search(rf"^  ✓ fit +{took} +3 B  3 of 3 items$", text, re.MULTILINE), text
    load, fit, save = json.loads(ran("show", "latest", "--json").out)["nodes"]
    assert (load["preview"], fit["preview"], save["preview"]) == ("[0, 1, 2]", None, "PosixPath")
    assert (fit["items"], fit["size_bytes"], fit["attempts"]) == ({"succeeded": 3}, 3, 3)
    for node in load, fit, save:
        assert node["size_bytes"] > 0
        assert node["duration_s"] >= 0
        assert node["work_s"] >= 0


CONDITIONS = """
from pyflow import first_of, pipeline, task, when

@task
def give(x):
    return x

@pipeline
def one():
    with when(give("text") > 0.5):
        found = give(1)
    return first_of(found, default=0)

@pipeline
def two():
    with when(give(1) < give("text")):
        found = give(1)
    return first_of(found, default=0)
"""


@pytest.mark.parametrize(("name", "node"), [("one", "give"), ("two", "when.condition")])
def test_show_of_a_condition_that_failed(pyflow, name, node):
    """The error of a condition is shown with where the condition stands, whoever has looked whether it holds."""
    Path("conditions.py").write_text(CONDITIONS)
    pyflow("run", "--executor", "inprocess", "--no-progress", f"conditions.py:{name}")
    lines = pyflow("show", "latest").out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(f"  ✗ {node} "))
    assert lines[at + 1].startswith("    TypeError: '")
    assert re.match(r"    This was raised by the condition at .*conditions\.py:\d+", lines[at + 2])


def test_show_is_plain_where_there_is_no_terminal(ran):
    """No escape sequence is written to a pipe."""
    assert "\x1b" not in ran("show", "latest").out + ran("ls").out + ran("logs", "latest").out


def test_logs(ran):
    """All that tasks printed, or one of them; nothing that a terminal would obey."""
    assert ran("logs", "latest").out == "loading red\nfitting 0\nfitting 1\nfitting 2\n"
    assert ran("logs", "latest", "fit[2]").out == "fitting 2\n"
    assert ran("logs", "latest", "--follow", "load").out == "loading red\n"
    assert "has no such item: there are 3." in ran("logs", "latest", "fit[7]").err
    done = ran("logs", "latest", "ft")
    assert (done.code, "Did you mean 'fit'?" in done.err) == (2, True)
    assert "printed" in ran("logs", "latest", "save").err


def test_logs_for_programs(ran):
    """Each attempt is told with its task and item, and what it printed; a run is either read or followed."""
    logs = json.loads(ran("logs", "latest", "--json").out)
    assert [(log["name"], log["node"], log["indices"], log["text"]) for log in logs] == [
        ("load", "load", [], "loading \x1b[31mred\x1b[0m\n"),
        *((f"fit[{i}]", "fit", [i], f"fitting {i}\n") for i in range(3)),
        ("save", "save", [], ""),
    ]
    assert {(log["attempt"], log["status"]) for log in logs} == {(1, "succeeded")}
    [log] = json.loads(ran("logs", "latest", "fit[1]", "--json").out)
    assert log["text"] == "fitting 1\n"
    assert ran("logs", "latest", "ft", "--json").code == 2
    assert ran("logs", "latest", "--json", "--follow").code == 2


def test_result(ran):
    """The result of a run or of a task, for people, for programs and as a file."""
    assert ran("result", "latest", "fit").out == "[0, 2, 4]\n"
    assert json.loads(ran("result", "latest", "fit[1]", "--json").out) == 2
    assert ran("result", "latest", "save", "--to", "kept.txt").code == 0
    assert Path("kept.txt").read_text() == "[0, 2, 4]"
    assert ran("result", "latest", "nope").code == 2


def test_result_of_a_failed_run(failed):
    """There is none, and why; what had finished can still be had."""
    done = failed("result", "latest")
    assert (done.code, "ValueError: bad x: 1" in done.err) == (1, True)
    assert failed("result", "latest", "load").out == "[0, 1, 2]\n"
    for node in ("fit", "fit[1]"):
        done = failed("result", "latest", node)
        assert (done.code, done.err.count("Traceback"), "ValueError: bad x: 1" in done.err) == (1, 1, True)
        assert "/pyflow/" not in done.err


def test_graph(pyflow):
    """A pipeline is drawn as text, as Mermaid and as JSON, without running."""
    assert "fit × n" in pyflow("graph", "flow.py").out
    assert "flowchart" in pyflow("graph", "flow.py", "--format", "mermaid").out
    assert "flowchart" in pyflow("graph", "--format", "mermaid", "flow.py", "--n", "2").out
    assert "in the store" in pyflow("graph", "flow.py", "--format", "mermaid", "--store").out
    names = [node["name"] for node in json.loads(pyflow("graph", "flow.py", "--json").out)["nodes"]]
    assert names == ["load", "fit", "fit", "save"]
    assert not Path(".pyflow").exists()


def test_graph_without_required_parameters(pyflow):
    """A pipeline is drawn for any value of what it needs; where it cannot be, what is missing is said."""
    Path("open.py").write_text(
        "from pyflow import task, pipeline\n@task\ndef f(x): ...\n"
        "@pipeline\ndef free(x: int): return f(x)\n@pipeline\ndef bound(x: int): return f(x) if x > 3 else None\n"
    )
    assert "f" in pyflow("graph", "open.py:free").out
    done = pyflow("graph", "open.py:bound")
    assert (done.code, "missing: --x (int)" in done.err) == (2, True)
    assert pyflow("graph", "open.py:bound", "--x", "5").code == 0


def test_cancel_of_a_run_that_has_ended(ran):
    """There is nothing to cancel, and that is no error."""
    done = ran("cancel", "latest")
    assert done.code == 0
    assert "has ended already: succeeded" in done.out


def test_commands_are_loaded_when_they_are_called():
    """The table of commands names modules that hold them."""
    for name, (module, _) in COMMANDS.items():
        assert getattr(importlib.import_module(f"pyflow.cli.{module}"), name).name == name
