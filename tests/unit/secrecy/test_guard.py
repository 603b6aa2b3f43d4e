"""What is kept out of the store, by the name of the variable that has it."""

from __future__ import annotations

import json
import pickle

import pytest

from pyflow.errors import SecretError
from pyflow.secrecy import Guard

ENVIRONMENT = {
    "API_TOKEN": "s3cr3t-value",
    "DB_PASSWORD": 'with "quotes" and ümläut\\',
    "AWS_SECRET_ACCESS_KEY": "abc/def+ghi",
    "SHORT_KEY": "abc",
    "HOME": "/home/ann-with-a-long-name",
    "KEYBOARD_LAYOUT": "us-international",
    "SSH_KEY_PATH": "/home/ann/.ssh/id",
    "PYFLOW_KEY_FILE": "/run/pyflow/key",
    "TOKENIZERS_PARALLELISM": "false-and-more",
}


@pytest.mark.parametrize("name", ["API_TOKEN", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY"])
@pytest.mark.parametrize("how", ["pickle", "json", "ascii", "text", "view"])
def test_a_value_is_found_however_it_stands_there(name, how):
    """In a pickle, in JSON of both kinds, as text, and behind a view of memory."""
    value = {"inner": ["x" * 500, ENVIRONMENT[name]]}
    data = {
        "pickle": pickle.dumps(value, 5),
        "json": json.dumps(value, ensure_ascii=False).encode(),
        "ascii": json.dumps(value).encode(),
        "text": ENVIRONMENT[name].encode(),
        "view": memoryview(bytearray(pickle.dumps(value, 5))),
    }[how]
    with pytest.raises(SecretError) as caught:
        Guard(ENVIRONMENT).check([b"header", data], "the result of task 'fit'")
    assert f"The result of task 'fit' holds the value of the variable {name}" in str(caught.value)
    assert f"allow_secrets={name!r}" in str(caught.value)
    assert ENVIRONMENT[name] not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["SHORT_KEY", "HOME", "KEYBOARD_LAYOUT", "SSH_KEY_PATH", "PYFLOW_KEY_FILE", "TOKENIZERS_PARALLELISM"]
)
def test_what_is_no_secret_may_be_stored(name):
    """Names that do not look secret, or that say where one lies; values that stand anywhere."""
    Guard(ENVIRONMENT).check([ENVIRONMENT[name].encode()], "a value")
    Guard(ENVIRONMENT).check_text(ENVIRONMENT[name], "a value")


def test_a_variable_can_be_allowed():
    """By name, several, or all."""
    for allowed in ("API_TOKEN", "OTHER, API_TOKEN", "*"):
        Guard(ENVIRONMENT, allowed).check([b"s3cr3t-value"], "a value")
    with pytest.raises(SecretError):
        Guard(ENVIRONMENT, "OTHER").check([b"s3cr3t-value"], "a value")
    with pytest.raises(SecretError):
        Guard(ENVIRONMENT).check_text("before s3cr3t-value behind", "a value")


def test_a_secret_that_a_task_was_given_is_guarded_whatever_its_name():
    """The values of ``Secret`` are known as such."""
    guard = Guard({})
    guard.check([b"looked up"], "a value")
    guard.learn({"DSN": "looked up"})
    with pytest.raises(SecretError, match="variable DSN"):
        guard.check([b"it was looked up here"], "a value")


def test_texts_for_people_are_masked():
    """Messages and previews show stars."""
    assert Guard(ENVIRONMENT).masked("login with s3cr3t-value failed") == "login with *** failed"
    assert Guard({}).masked("login failed") == "login failed"
