"""What ``packages=`` may say, and how a wrong one is told: the option, the task, the file and the line are in each message."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyflow.environments import Target, parse_lock, read_request
from pyflow.environments.lock import Lock
from pyflow.errors import DefinitionError

WHERE = "option 'packages' of task 'fit' (defined at flow.py:3, called at flow.py:9)"


def read(packages, *folders):
    return read_request(packages, folders, WHERE)


def test_a_list_is_taken_as_it_is(tmp_path):
    """Requirements are uv's to judge; spaces and empty lines say nothing."""
    request = read([" numpy==2.* ", "", "pandas[parquet]>=2; python_version<'4'"], tmp_path)
    assert (request.kind, request.lines) == ("list", ("numpy==2.*", "pandas[parquet]>=2; python_version<'4'"))


def test_a_path_begins_at_the_authors_file(tmp_path):
    """The folders are tried in their order, and the file's text decides what it is."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "two/requirements.txt").write_text("numpy\n")
    assert read("requirements.txt", tmp_path / "one", tmp_path / "two").file == tmp_path / "two/requirements.txt"
    (tmp_path / "one/requirements.txt").write_text("pandas\n")
    assert read("requirements.txt", tmp_path / "one", tmp_path / "two").file == tmp_path / "one/requirements.txt"
    assert read(str(tmp_path / "two/requirements.txt"), tmp_path / "one").file == tmp_path / "two/requirements.txt"


def test_each_kind_of_file_is_known_by_its_name_or_text(tmp_path):
    """A project needs its lock beside it; a script its block; a lock its first line."""
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "uv.lock").write_text("version = 1\n")
    (tmp_path / "tool.py").write_text('# /// script\n# dependencies = ["six"]\n# ///\n')
    (tmp_path / "team.lock").write_text(Lock(Target("3.11", "linux/amd64"), "six==1.17.0\n").text)
    kinds = [read(name, tmp_path).kind for name in ("pyproject.toml", "uv.lock", ".", "tool.py", "team.lock")]
    assert kinds == ["project", "project", "project", "script", "lock"]


def test_what_is_asked_for_is_equal_wherever_it_is_asked(tmp_path):
    """Two tasks with the same list share packages; a changed file, included ones too, is another request."""
    (tmp_path / "a.txt").write_text("-r b.txt\n")
    (tmp_path / "b.txt").write_text("six\n")
    first = read("a.txt", tmp_path)
    assert read("a.txt", tmp_path).what == first.what
    (tmp_path / "b.txt").write_text("six<2\n")
    assert read("a.txt", tmp_path).what != first.what
    assert read(["six"], tmp_path).what == read_request(["six"], [tmp_path], "elsewhere").what


def test_where_packages_come_from_stays_out_of_the_lock(tmp_path):
    """The lines that name an index are found, in included files too, for the moment of installing."""
    (tmp_path / "a.txt").write_text("--index-url https://index.example/simple\n-r b.txt\nsix\n")
    (tmp_path / "b.txt").write_text("  --find-links ./wheels\niniconfig\n")
    assert read("a.txt", tmp_path).index_lines() == [
        "--index-url https://index.example/simple",
        "--find-links ./wheels",
    ]


@pytest.mark.parametrize(
    ("packages", "message"),
    [
        (["numpy", "-r other.txt"], "belongs in a requirements file"),
        (["--index-url https://index.example"], "belongs in a requirements file"),
        (["./mine"], "a local folder. Leave it out: code of your own travels by itself"),
        (["mine @ file:///home/me/mine"], "a local folder"),
        (["requirements.txt"], "without the list"),
        (["six @ https://me:secret@index.example/six.whl"], "password or token"),
        (["./none-1.0-py3-none-any.whl"], "there is no"),
        ("requirements.txt", "names the file 'requirements.txt', which is not there"),
        ("numpy==2.*", r"packages=\['numpy==2.\*'\]"),
        ("numpy", r"packages=\['numpy'\]"),
    ],
)
def test_a_wrong_request_says_where_it_stands_and_what_would_work(tmp_path, packages, message):
    """The message begins with the option and the task."""
    with pytest.raises(DefinitionError, match=message) as raised:
        read(packages, tmp_path)
    assert str(raised.value).startswith(f"The {WHERE} ")
    assert "secret" not in str(raised.value)


def test_files_that_are_not_whole_are_told(tmp_path):
    """A project without a lock, a script without a block, a lock of a newer version."""
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    with pytest.raises(DefinitionError, match=r"has no uv\.lock.*'uv lock' makes"):
        read("pyproject.toml", tmp_path)
    (tmp_path / "plain.py").write_text("import six\n")
    with pytest.raises(DefinitionError, match="no inline metadata"):
        read("plain.py", tmp_path)
    (tmp_path / "new.lock").write_text("# pyflow lock 9, Python 3.11 on linux/amd64\n")
    with pytest.raises(DefinitionError, match="pyflow env lock"):
        read("new.lock", tmp_path)


def test_a_lock_tells_what_is_in_it():
    """Names and versions can be read without uv, markers, extras and addresses or not."""
    text = Lock(
        Target("3.12", "linux/arm64"),
        "six==1.17.0 \\\n    --hash=sha256:aa\nb-c[x]==2 ; python_version < '4' \\\n    --hash=sha256:bb\n"
        "a @ https://index.example/a-1.whl \\\n    --hash=sha256:cc\n",
    ).text
    lock = parse_lock(text, what="x")
    assert lock.target == Target("3.12", "linux/arm64")
    assert lock.versions() == [("a", "https://index.example/a-1.whl"), ("b-c", "2"), ("six", "1.17.0")]
    assert lock.text == text


def test_a_platform_that_uv_does_not_know_is_told():
    """With the list of those that there are."""
    with pytest.raises(DefinitionError, match=r"plan9/amd64.*linux/arm64"):
        _ = Target("3.11", "plan9/amd64").uv_platform


def test_a_wheel_of_ones_own_is_named_by_its_path(tmp_path):
    """A built package may stand in the list; its bytes decide whether it is the same."""
    wheel = tmp_path / "mine-1.0-py3-none-any.whl"
    wheel.write_bytes(b"1")
    first = read([f"./{wheel.name}"], tmp_path)
    assert first.lines == (str(wheel),)
    wheel.write_bytes(b"2")
    assert read([f"./{wheel.name}"], tmp_path).what != first.what


def test_the_authors_home_is_understood(tmp_path, monkeypatch):
    """``~`` is the author's own folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "r.txt").write_text("six\n")
    assert read("~/r.txt", Path("/nowhere")).file == tmp_path / "r.txt"
