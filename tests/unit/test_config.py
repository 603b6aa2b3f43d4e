"""Settings come from three places in a fixed order, and each says where a wrong one was made."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from pyflow import config
from pyflow.config import (
    Settings,
    configure,
    default_owner,
    find_pyproject,
    load_settings,
    project_folder,
    slug,
)
from pyflow.errors import ConfigError


@pytest.fixture(autouse=True)
def _forgotten():
    """What a test configures is forgotten after it."""
    config.reset()
    yield
    config.reset()


@pytest.fixture
def write(tmp_path):
    """Writes a ``pyproject.toml``: the lines below ``[tool.pyflow]``, or all of it."""

    def write(lines: str = "", *, whole: str = "") -> Path:
        file = tmp_path / "pyproject.toml"
        file.write_text(whole or f"[tool.pyflow]\n{lines}\n", encoding="utf-8")
        return file

    return write


def load(environment: dict[str, str] | None = None) -> Settings:
    return load_settings(environment or {}, Path.cwd())


def complaint(environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(environment)
    return str(caught.value)


def test_nothing_is_set_at_first():
    """Without a file, a variable or a call, every setting is open."""
    assert load() == Settings()


def test_the_nearest_source_wins(write):
    """``configure`` comes before variables, and those before ``pyproject.toml``; each setting for itself."""
    write('executor = "file"\nstore = "memory://file"\nproject = "file"\nowner = "file"')
    environment = {"PYFLOW_EXECUTOR": "variable", "PYFLOW_STORE": "memory://variable", "PYFLOW_PROJECT": "variable"}
    configure(executor="call", store="memory://call")
    configure(executor="later call")
    assert load(environment) == Settings(
        executor="later call", store="memory://call", project="variable", owner="file", parallelism=None, progress=None
    )


def test_false_and_none_are_different(write):
    """A setting that says no wins over one that says yes; None leaves it to the next source."""
    write("progress = true\nparallelism = 3")
    configure(progress=False, parallelism=None)
    assert load() == Settings(progress=False, parallelism=3)
    assert load({"PYFLOW_PROGRESS": "yes"}).progress is False


def test_reset_forgets_what_was_configured():
    """After it, a process is as if nothing had been configured."""
    configure(executor="inprocess")
    config.reset()
    assert load() == Settings()


def test_every_setting_can_be_made_everywhere(write):
    """One name for a setting in all three places."""
    write('executor = "a"\nstore = "memory://b"\nproject = "c"\nowner = "d"\nparallelism = 5\nprogress = false')
    expected = Settings(executor="a", store="memory://b", project="c", owner="d", parallelism=5, progress=False)
    from_file = load()
    (Path.cwd() / "pyproject.toml").unlink()
    variables = {
        "EXECUTOR": "a",
        "STORE": "memory://b",
        "PROJECT": "c",
        "OWNER": "d",
        "PARALLELISM": "5",
        "PROGRESS": "0",
    }
    from_variables = load({f"PYFLOW_{name}": text for name, text in variables.items()})
    configure(executor="a", store="memory://b", project="c", owner="d", parallelism=5, progress=False)
    assert [from_file, from_variables, load()] == [expected] * 3


@pytest.mark.parametrize(("name", "meant"), [("stroe", "store"), ("excutor", "executor"), ("parallel", "parallelism")])
def test_an_unknown_name_is_refused_with_a_suggestion(write, name, meant):
    """In each place, with the call, the variable or the file, and the name as it is spelled there."""
    with pytest.raises(ConfigError) as caught:
        configure(**{name: "x"})
    assert str(caught.value) == f"configure() has no setting {name!r}. Did you mean {meant!r}?"
    assert complaint({f"PYFLOW_{name.upper()}": "x"}) == (
        f"Variables that start with PYFLOW_ are settings, and PYFLOW_{name.upper()} is none. "
        f"Did you mean PYFLOW_{meant.upper()}?"
    )
    file = write(f'{name} = "x"')
    assert complaint() == f"[tool.pyflow] in {file}:2 has no setting {name!r}. Did you mean {meant!r}?"


def test_where_nothing_is_near_all_names_are_listed():
    """Who guesses sees what there is, as it is written there."""
    assert complaint({"PYFLOW_COLOUR": "red"}).endswith(
        "There are: PYFLOW_EXECUTOR, PYFLOW_STORE, PYFLOW_PROJECT, PYFLOW_OWNER, PYFLOW_PARALLELISM, PYFLOW_PROGRESS, "
        "PYFLOW_KEY_FILE, PYFLOW_TRUST_STORE, PYFLOW_SECRETS, PYFLOW_ALLOW_SECRETS."
    )
    with pytest.raises(
        ConfigError, match="There are: 'executor', 'store', 'project', 'owner', 'parallelism', 'progress'"
    ):
        configure(colour="red")


def test_what_was_refused_sets_nothing():
    """A call with one wrong setting leaves the right ones beside it unset, too."""
    with pytest.raises(ConfigError):
        configure(executor="inprocess", stroe="x")
    assert load() == Settings()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"executor": 3}, "configure(): executor must be of type str, got 3."),
        ({"store": b"x"}, "configure(): store must be of type str, got b'x'."),
        ({"parallelism": "3"}, "configure(): parallelism must be of type int, got '3'."),
        ({"parallelism": True}, "configure(): parallelism must be of type int, got True."),
        ({"parallelism": 0}, "configure(): parallelism must be 1 or more, got 0."),
        ({"progress": 1}, "configure(): progress must be of type bool, got 1."),
    ],
)
def test_a_call_with_a_wrong_value_is_refused(settings, message):
    """The message has the setting, what it must be, and the value."""
    with pytest.raises(ConfigError) as caught:
        configure(**settings)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("PYFLOW_PARALLELISM", "many", "The variable PYFLOW_PARALLELISM must be a whole number, got 'many'."),
        ("PYFLOW_PARALLELISM", "1.5", "The variable PYFLOW_PARALLELISM must be a whole number, got '1.5'."),
        ("PYFLOW_PARALLELISM", "9" * 5000, "The variable PYFLOW_PARALLELISM must be a whole number, got '999"),
        ("PYFLOW_PARALLELISM", "", "The variable PYFLOW_PARALLELISM must be a whole number, got ''."),
        ("PYFLOW_PARALLELISM", "0", "The variable PYFLOW_PARALLELISM: parallelism must be 1 or more, got 0."),
        ("PYFLOW_PROGRESS", "maybe", "The variable PYFLOW_PROGRESS must be true or false, got 'maybe'."),
    ],
)
def test_a_variable_with_a_wrong_value_is_refused(variable, text, message):
    """The message has the variable's whole name and its text."""
    assert complaint({variable: text}).startswith(message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("executor = 3", "executor must be of type str, got 3."),
        ('store = ["a"]', "store must be of type str, got ['a']."),
        ('parallelism = "3"', "parallelism must be of type int, got '3'."),
        ("parallelism = -1", "parallelism must be 1 or more, got -1."),
        ("progress = 0", "progress must be of type bool, got 0."),
        ("owner = 2026-01-01", "owner must be of type str, got datetime.date(2026, 1, 1)."),
    ],
)
def test_a_file_with_a_wrong_value_is_refused(write, line, message):
    """The message has the file's whole path, the setting and the value."""
    file = write(line)
    assert complaint() == f"[tool.pyflow] in {file}:2: {message}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[tool.other]\nstroe = 1\n\n[tool.pyflow]\n# stroe\nexecutor = "local"\n  "stroe" = "x"\n', 7),
        ("[tool.pyflow]\n[tool.pyflow.stroe]\na = 1\n", 2),
        ("[tool]\npyflow.stroe = 1\n", None),
    ],
)
def test_a_file_says_the_line(write, text, line):
    """The line is the one in pyflow's own table, however the name is written; where it cannot be told, none is."""
    file = write(None, whole=text)
    assert complaint().startswith(f"[tool.pyflow] in {file}{'' if line is None else f':{line}'} has no setting 'stroe'")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("true", True), ("YES", True), ("0", False), ("False", False), ("no", False)],
)
def test_ways_to_say_yes_and_no(text, value):
    """Variables hold text, and capitals do not matter."""
    assert load({"PYFLOW_PROGRESS": text}).progress is value


def test_variables_of_tests_and_of_others_are_left_alone():
    """``PYFLOW_TEST_*`` belongs to the tests of pyflow; what begins otherwise is none of its business."""
    assert (
        load({"PYFLOW_TEST_EXAMPLES": "5", "MY_PYFLOW_STORE": "x", "PYFLOWER": "rose", "pyflow_store": "x"})
        == Settings()
    )


def test_a_store_in_a_file_is_relative_to_the_file(write, tmp_path, monkeypatch):
    """Whatever folder below the project one stands in, it is the same store."""
    write('store = "data/runs"')
    below = tmp_path / "src" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert load().store == str(tmp_path / "data" / "runs")


@pytest.mark.parametrize("url", ["memory://name", "file:///data/pyflow", "/data/pyflow"])
def test_a_store_that_says_where_it_is_stays(write, url):
    """A URL or an absolute path in a file is taken as it is."""
    write(f'store = "{url}"')
    assert load().store == url


def test_a_store_below_home(write, monkeypatch):
    """The tilde in a file is the user's home."""
    monkeypatch.setenv("HOME", "/home/somebody")
    write('store = "~/runs"')
    assert load().store == "/home/somebody/runs"


def test_a_home_that_nobody_knows_is_told(write):
    """The message has the file and the text, and no folder named ``~…`` is used instead."""
    file = write('store = "~no_such_user_anywhere/runs"')
    assert complaint() == (
        f"[tool.pyflow] in {file}: nobody knows the home folder that store names, got '~no_such_user_anywhere/runs'."
    )


def test_a_store_as_a_path_object():
    """``configure`` takes a ``Path`` where a path is meant."""
    configure(store=Path("/data/pyflow"))
    assert load().store == "/data/pyflow"


def test_a_relative_path_means_the_folder_in_which_it_is_said(tmp_path, monkeypatch):
    """What was configured stays where it was when the process goes elsewhere; URLs are left alone."""
    configure(store="results", secrets="secrets", volumes={"data": "data"})
    monkeypatch.chdir("/")
    found = load()
    assert (found.store, found.secrets) == (str(tmp_path / "results"), str(tmp_path / "secrets"))
    assert found.volumes == {"data": str(tmp_path / "data")}
    configure(store="s3://bucket/results")
    assert load().store == "s3://bucket/results"


def test_a_broken_file_is_named(write):
    """With the place where TOML stops making sense."""
    file = write('store = "unclosed')
    message = complaint()
    assert message.startswith(f"{file} is not valid TOML: ")
    assert "line 2" in message


def test_a_file_in_another_encoding_is_named(tmp_path):
    """TOML is UTF-8; another encoding is told as what it is."""
    (tmp_path / "pyproject.toml").write_bytes('[tool.pyflow]\nowner = "jürgen"\n'.encode("latin-1"))
    assert complaint().startswith(f"{tmp_path / 'pyproject.toml'} is not valid TOML: 'utf-8' codec can't decode")


@pytest.mark.parametrize("whole", ['[tool]\npyflow = "x"\n', "[[tool.pyflow]]\nstore = 'x'\n"])
def test_settings_must_be_a_table(write, whole):
    """A text or a list in place of the table is refused, with the file."""
    file = write(whole=whole)
    assert complaint().startswith(f"[tool.pyflow] in {file} must be a table of settings, got ")


@pytest.mark.parametrize(
    "whole",
    [
        "",
        '[project]\nname = "x"\n',
        "[tool.black]\nline-length = 100\n",
        'name = "pyflow"\ntool = 1\n',
        "not TOML at all",
    ],
)
def test_a_file_without_our_table_sets_nothing(write, whole):
    """Other tools' settings, and files that do not speak of pyflow, are not judged."""
    write(whole=whole or "\n")
    assert load() == Settings()


def test_the_nearest_file_counts(write, tmp_path):
    """A project inside another has settings of its own, and nothing of the outer ones."""
    write('executor = "outer"\nowner = "outer"')
    inner = tmp_path / "inner"
    (inner / "src").mkdir(parents=True)
    (inner / "pyproject.toml").write_text('[tool.pyflow]\nexecutor = "inner"\n', encoding="utf-8")
    assert load_settings({}, inner / "src") == Settings(executor="inner")
    assert find_pyproject(inner / "src") == inner / "pyproject.toml"
    assert project_folder(inner / "src") == inner


def test_without_a_file_the_project_is_the_folder(tmp_path):
    """Nothing is made up: there is no file, and the folder stands for itself."""
    assert (find_pyproject(tmp_path), project_folder(tmp_path)) == (None, tmp_path)


@pytest.mark.parametrize(
    ("environment", "owner"),
    [
        ({"LOGNAME": "ada", "USER": "other"}, "ada"),
        ({"USER": "ada"}, "ada"),
        ({"USERNAME": "ada"}, "ada"),
        ({"LOGNAME": "", "USER": "Ada Lovelace"}, "Ada-Lovelace"),
        ({"USER": "DOMAIN\\ada"}, "DOMAIN-ada"),
        ({"USER": "…"}, "user"),
        ({}, pwd.getpwuid(os.getuid()).pw_name),
    ],
)
def test_there_is_always_an_owner(environment, owner):
    """Where neither name nor home is set, as in some containers, the user's number stands for the name."""
    assert default_owner(environment) == owner


@pytest.mark.parametrize(
    ("text", "found"),
    [("my project", "my-project"), (".hidden.", "hidden"), ("a/b\\c", "a-b-c"), ("名前", "none"), ("x" * 99, "x" * 64)],
)
def test_a_name_becomes_a_segment_of_a_key(text, found):
    """What a key cannot hold turns into dashes; where nothing is left, the other name is used."""
    assert slug(text, otherwise="none") == found


def test_all_faults_of_a_file_are_told_at_once(tmp_path):
    """Whoever has made three mistakes learns of three, each with its line."""
    (tmp_path / "pyproject.toml").write_text('[tool.pyflow]\nstor = "x"\nparallelism = 0\nprogress = "maybe"\n')
    with pytest.raises(ConfigError) as caught:
        load_settings({}, tmp_path)
    lines = str(caught.value).splitlines()
    assert [line.partition("pyproject.toml:")[2][0] for line in lines] == ["2", "3", "4"]
    assert "Did you mean 'store'?" in lines[0]
