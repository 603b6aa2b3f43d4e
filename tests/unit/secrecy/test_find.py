"""Where a secret is looked up, and what is said when it is not there."""

from __future__ import annotations

import pytest

from pyflow import Secret
from pyflow.errors import ConfigError, DefinitionError
from pyflow.secrecy import SecretFinder, variable_of


def test_a_secret_has_a_variable():
    """Name and key, in capitals, with a line for all that no variable may hold."""
    assert variable_of("db", "password") == "DB_PASSWORD"
    assert variable_of("my-db.prod", None) == "MY_DB_PROD"


def test_the_folder_comes_before_the_environment(tmp_path):
    """A file as clusters mount it, one line break at its end left out; else the variable."""
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "password").write_text("from the folder\n\n")
    (tmp_path / "token").write_text("alone")
    wanted = {"A": ["db", "password"], "B": ["token", None], "C": ["other", "key"]}
    environment = {"DB_PASSWORD": "from the environment", "OTHER_KEY": "o", "A": "set already"}
    finder = SecretFinder(str(tmp_path))
    assert finder.values(wanted, environment) == {"A": "from the folder\n", "B": "alone", "C": "o"}
    assert SecretFinder().values({"A": ["db", "password"]}, environment) == {"A": "from the environment"}


def test_where_the_place_has_set_the_variable_it_is_taken(tmp_path):
    """Clusters put the value under a name made of the task's variable, which itself may be there for somebody else."""
    environment = {"PYFLOW_SECRET_A": "set by the cluster", "A": "pyflow's own", "DB_PASSWORD": "other"}
    assert SecretFinder().values({"A": ["db", "password"]}, environment) == {"A": "set by the cluster"}


def test_all_that_is_missing_is_told_at_once(tmp_path):
    """Each with the places where it was looked for, and no value of anything."""
    wanted = {"A": ["db", "password"], "B": ["token", None]}
    with pytest.raises(ConfigError) as caught:
        SecretFinder(str(tmp_path)).values(wanted, {"OTHER": "a value"})
    text = str(caught.value)
    for part in (
        "Secret('db', key='password')",
        str(tmp_path / "db" / "password"),
        "DB_PASSWORD",
        "Secret('token')",
        "TOKEN",
    ):
        assert part in text
    assert "a value" not in text
    with pytest.raises(ConfigError, match="the setting secrets names no folder"):
        SecretFinder().values(wanted, {})


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    """Bytes that are no text, and a folder in the place of a file."""
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    (tmp_path / "db" / "password").mkdir(parents=True)
    for wanted, why in ((["token", None], "not text"), (["db", "password"], "directory"), (["db", None], "directory")):
        with pytest.raises(ConfigError, match=why):
            SecretFinder(str(tmp_path)).values({"A": wanted}, {})


@pytest.mark.parametrize("key", ["", "..", ".", "a/b", "../../etc/passwd", "a b", "a\0", "x" * 254])
def test_a_key_leads_nowhere_else(key):
    """The key of a secret is one plain word."""
    with pytest.raises(DefinitionError, match="key of a secret"):
        Secret("db", key=key)
    assert Secret("db", key="tls.crt").key == "tls.crt"
