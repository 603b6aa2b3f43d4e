"""Secrets reach the task that asks for them, and nothing that is stored."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pyflow import Secret, configure, load_run, pipeline, task
from pyflow.config import reset
from pyflow.errors import ExecutorError, SecretError, TaskError

# In two parts, for this file travels with its tasks.
VALUE = "s3cr3t" + "-välue/1"
TOKEN = "token-of" + "-the-caller"


@pytest.fixture(params=["inprocess", "local"])
def here(request):
    return {"executor": request.param, "progress": False}


@pytest.fixture
def folder(tmp_path):
    """The folder of secrets, named by the settings."""
    (tmp_path / "secrets" / "db").mkdir(parents=True)
    (tmp_path / "secrets" / "db" / "password").write_text(VALUE + "\n")
    configure(secrets="secrets")
    yield tmp_path / "secrets"
    reset()


def assert_nowhere(value: str) -> None:
    """No file of the store holds a value: not as it is, and not inside of what stands there in base64."""
    files = [file for file in Path(".pyflow").rglob("*") if file.is_file()]
    assert files
    spellings = {value.encode(), json.dumps(value)[1:-1].encode()}
    for file in files:
        data = file.read_bytes()
        inline = [base64.b64decode(found) for found in re.findall(rb'"inline": ?"([^"]*)"', data)]
        for spelling in spellings:
            assert not any(spelling in part for part in [data, *inline]), file


@task(env={"PASSWORD": Secret("db", key="password"), "PLAIN": "text"})
def log_in(user):
    password = os.environ["PASSWORD"]
    print("as it is:", password, "in base64:", base64.b64encode(f"{user}:{password}".encode()).decode())
    print("in two", end=" ", flush=True)
    print(password[:5], end="", flush=True)
    print(password[5:], flush=True)
    subprocess.run([sys.executable, "-c", "import os; print('child', os.environ['PASSWORD'])"], check=True)
    return len(password), os.environ["PLAIN"]


@task
def look():
    return os.environ.get("PASSWORD"), os.environ.get("PLAIN")


@pipeline
def use():
    return log_in("ann"), look()


def test_a_task_has_its_secret_and_nobody_else_does(here, folder):
    """The variable is there while the task runs, and gone for the next; what it printed shows stars."""
    run = use.with_options(**here).submit()
    assert run.result() == ((len(VALUE), "text"), (None, None))
    log = run.logs("log_in")
    assert "as it is: " + "*" * len(VALUE.encode()) + " in base64: " in log
    assert "in two " + "*" * len(VALUE.encode()) + "\n" in log
    assert "child " + "*" * len(VALUE.encode()) in log
    assert base64.b64encode(f"ann:{VALUE}".encode()).decode()[8:-4] not in log
    assert_nowhere(VALUE)
    assert "PASSWORD" not in os.environ


def test_a_secret_may_lie_in_the_environment(here, monkeypatch):
    """Without a folder it is the variable of its name and key."""
    monkeypatch.setenv("DB_PASSWORD", VALUE)
    run = use.with_options(**here).submit()
    assert run.result()[0] == (len(VALUE), "text")
    assert_nowhere(VALUE)


def test_a_secret_that_is_missing_is_told_before_anything_runs(here, tmp_path):
    """The error names the task, the secret and where it was looked for."""
    configure(secrets="elsewhere")
    try:
        with pytest.raises(ExecutorError) as caught:
            use.with_options(**here)()
    finally:
        reset()
    for part in (
        "'log_in'",
        "Secret('db', key='password')",
        str(tmp_path / "elsewhere" / "db" / "password"),
        "DB_PASSWORD",
    ):
        assert part in str(caught.value)
    assert not list(Path(".pyflow").glob("v1/*/runs/*"))


@task(env={"PASSWORD": Secret("db", key="password")})
def show_off(how):
    password = os.environ["PASSWORD"]
    if how == "raise":
        raise ValueError(f"cannot log in with {password}")
    if how == "die":
        print("last words:", password, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return {"return": password, "inside": {"deep": ["x" * 2000, password]}, "bytes": password.encode()}[how]


@pipeline
def careless(how):
    return show_off(how)


@pytest.mark.parametrize("how", ["return", "inside", "bytes"])
def test_a_result_that_holds_a_secret_is_refused(here, folder, how):
    """The task fails, and the error names the variable."""
    run = careless.with_options(**here).submit(how)
    with pytest.raises(
        SecretError, match=r"result of task 'show_off' \(defined at .*\) holds the value of the variable PASSWORD"
    ):
        run.result()
    assert_nowhere(VALUE)


def test_an_error_that_holds_a_secret_keeps_its_text_without_it(here, folder):
    """Message and traceback show stars, and the pickle of the error is not kept."""
    run = careless.with_options(**here).submit("raise")
    with pytest.raises(TaskError, match=r"ValueError: cannot log in with \*\*\*"):
        run.result()
    assert_nowhere(VALUE)


def test_the_last_words_of_a_dead_worker_are_masked(folder):
    """What the caller finds in the spool of a worker that was killed goes the same way."""
    run = careless.with_options(executor="local", progress=False).submit("die")
    assert run.wait(30) == "failed"
    assert run.logs("show_off") == "last words: " + "*" * len(VALUE.encode()) + "\n"
    assert_nowhere(VALUE)


def test_local_code_that_holds_a_secret_is_refused_with_its_file(monkeypatch):
    """Modules travel as they are, so what is written into one is found there."""
    monkeypatch.setenv("SOME_PASSWORD", "travels with its tasks.")
    with pytest.raises(SecretError, match=r"file .*test_secrets\.py, which the tasks import, .*SOME_PASSWORD"):
        use.with_options(executor="inprocess", progress=False).submit()


def captured():
    token = os.environ["API_TOKEN"]

    @task
    def call(n):
        return token, n

    return call(1)


@task
def take(value):
    return 1


CARELESS = {
    "a closure": (captured, r"function of task 'call' holds the value of the variable API_TOKEN"),
    "an argument": (
        lambda: take(TOKEN),
        r"Argument .value. of take\(\), called at .*, holds the value of the variable API_TOKEN",
    ),
    "an argument, inside": (lambda: take({"deep": [TOKEN]}), "API_TOKEN"),
    "an item": (lambda: take.map(["a", TOKEN]), "API_TOKEN"),
    "an option": (lambda: take.with_options(env={"X": TOKEN})(1), r"graph of pipeline .*API_TOKEN"),
    "a label": (lambda: take.with_options(labels={"x": TOKEN})(1), "API_TOKEN"),
}


@pytest.mark.parametrize("how", CARELESS)
def test_what_would_travel_with_a_secret_is_refused_by_name(monkeypatch, how):
    """Nothing is run and nothing of it is stored; who means no secret can say so."""
    monkeypatch.setenv("API_TOKEN", TOKEN)
    body, words = CARELESS[how]
    flow = pipeline(name="careless")(body).with_options(executor="inprocess", progress=False)
    with pytest.raises(SecretError, match=words) as caught:
        flow()
    assert TOKEN not in str(caught.value)
    assert not list(Path(".pyflow").glob("v1/*/runs/*"))
    assert not any(TOKEN.encode() in file.read_bytes() for file in Path(".pyflow").rglob("*") if file.is_file())
    monkeypatch.setenv("PYFLOW_ALLOW_SECRETS", "API_TOKEN")
    flow()


def test_an_allowed_variable_is_allowed_in_workers_too(here, monkeypatch):
    """The setting reaches where results are made."""
    monkeypatch.setenv("API_TOKEN", TOKEN)

    @task
    def give():
        return os.environ["API_TOKEN"]

    @pipeline
    def flow():
        return give()

    with pytest.raises(SecretError, match="result of task 'give'"):
        flow.with_options(**here)()
    configure(allow_secrets="API_TOKEN")
    try:
        assert flow.with_options(**here)() == TOKEN
    finally:
        reset()


def test_the_call_in_a_listing_is_masked(here, monkeypatch):
    """The arguments that ``pyflow show`` prints are a record as well."""
    monkeypatch.setenv("API_TOKEN", TOKEN)

    @pipeline
    def flow(token):
        return take(len(token))

    run = flow.with_options(**here).submit(TOKEN)
    run.wait()
    assert "***" in load_run(run.id).record.arguments
    assert_nowhere(TOKEN)
