"""The key that signs: made once, for its owner alone, and never by mistake."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pyflow.errors import ConfigError
from pyflow.store import Trust, default_key_file, keys_in

KEY = "0f" * 32


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """Where the user's key lies."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "pyflow" / "key"


def test_the_users_key_is_made_once(own):
    """The first use makes a key that only its owner can read; every later one finds it."""
    (made,) = keys_in()
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    assert stat.S_IMODE(own.parent.stat().st_mode) == 0o700
    assert bytes.fromhex(own.read_text()) == made.secret
    code = "from pyflow.store import keys_in; print(keys_in()[0].id)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == made.id
    assert [entry.name for entry in own.parent.iterdir()] == ["key"]


def test_a_key_does_not_show_itself(own):
    """Neither its text nor an error shows the secret."""
    (made,) = keys_in()
    assert made.secret.hex() not in repr(made)
    assert repr(made) == f"<key {made.id}>"


def test_processes_that_make_it_at_once_use_the_same_key(own):
    """Of several first uses at the same moment, one makes the key and all sign with it."""
    code = "from pyflow.store import keys_in; print(keys_in()[0].id)"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert len({process.communicate()[0] for process in started}) == 1
    assert [entry.name for entry in own.parent.iterdir()] == ["key"]


def test_without_a_folder_for_configuration_it_lies_in_the_home_folder(monkeypatch, tmp_path):
    """Where XDG_CONFIG_HOME says nothing, or nothing usable, it is ``~/.config``."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CONFIG_HOME", value)
        assert default_key_file() == str(tmp_path / ".config" / "pyflow" / "key")


def test_a_named_file_is_read_and_never_made(tmp_path, monkeypatch):
    """A setting comes before the variable, and that before the user's own; a slip in the path is an error that says how to make one."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(f"# team key\n\n{KEY.upper()}\n{'ab' * 32}\n")
    monkeypatch.setenv("PYFLOW_KEY_FILE", str(first))
    assert [key.secret.hex() for key in keys_in()] == [KEY, "ab" * 32]
    second.write_text("cd" * 32)
    assert [key.secret.hex() for key in keys_in(str(second))] == ["cd" * 32]
    with pytest.raises(ConfigError, match=r"missing cannot be read .*token_hex"):
        keys_in(str(tmp_path / "missing"))
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("content", ["", "# nothing\n", "abc", "zz" * 32, KEY + "\nshort\n", "\0" * 64, "é" * 64])
def test_a_file_that_holds_no_key_is_told_without_showing_it(tmp_path, content):
    """What is in the file may be a key with a slip in it, so the message does not repeat it."""
    file = tmp_path / "key"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"(Make one|A new key, in a file of its own): .*token_hex") as caught:
        keys_in(str(file))
    assert not content.strip("\0# \n") or content not in str(caught.value)


def test_a_key_that_others_can_read_is_refused(own):
    """The user's own key is theirs alone; the message says what to run."""
    own.parent.mkdir(parents=True)
    own.write_text(KEY)
    own.chmod(0o640)
    with pytest.raises(ConfigError, match=r"mode 640.*chmod 600"):
        keys_in()
    own.chmod(0o600)
    assert keys_in()[0].secret.hex() == KEY


def test_a_home_that_takes_no_key_is_an_error_with_a_way_out(own):
    """Where no key can be made, the message names the settings that help, and a trusted store does without."""
    own.parent.parent.mkdir()
    own.parent.write_text("a file where the folder would be")
    with pytest.raises(ConfigError, match=r"cannot be made.*PYFLOW_KEY_FILE.*PYFLOW_TRUST_STORE"):
        assert Trust().keys
    assert Trust(trusts_store=True).keys == ()
