"""The one-shot worker: one task, or the items of one batch, in a process that starts for it and ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib import import_module

import pytest

from pyflow import pipeline, task
from pyflow.contract import ExitCode, Home, Invocation
from pyflow.errors import ConfigError
from pyflow.packing import pack
from pyflow.runtime import (
    RUN_LIMIT,
    RUN_VARIABLE,
    committed_outcome,
    indices_word,
    is_lost,
    left_outcome,
    open_home,
    run_variable,
    task_words,
)
from pyflow.runtime.request import invocations_asked
from pyflow.runtime.supervisor import exit_code_of


@task
def double(x):
    print("doubling", x, flush=True)
    return 2 * x


@task(retry_on=ValueError)
def fail(x):
    raise {0: ValueError, 1: KeyError}[x]("no luck")


@task(timeout=2)
def nap(x):
    print("napping", flush=True)
    subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({x})"])
    time.sleep(x)
    return x


@task
def sleep(x):
    print("sleeping", flush=True)
    try:
        time.sleep(x)
    finally:
        print("cleaned up", flush=True)


@task
def die(number):
    print("about to die", flush=True)
    os.kill(os.getpid(), number)


@task
def speak(x):
    """Every other one is killed, and has said something by then that its process has kept already."""
    print(f"{x} speaks", flush=True)
    if x % 2:
        time.sleep(0.6)
        print(f"{x} is killed", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


@task
def variables():
    return sorted(name for name in os.environ if name.startswith("PYFLOW_") and not name.startswith("PYFLOW_TEST_"))


@task
def read_token():
    return os.environ["SITE_TOKEN"]


@pipeline
def several():
    return [
        double.map([1, 2, 3]), fail.map([0, 1]), nap.map([0, 600]), sleep(600), die.map([signal.SIGKILL, signal.SIGSEGV]), variables(),
        read_token(), speak.map(range(5)),
    ]  # fmt: skip


class Place:
    """A run in a folder, and a way to start workers for it."""

    def __init__(self, folder, store=None):
        self.home = Home(store_url=store or str(folder / "store"), project="p", owner="o")
        self.content = open_home(self.home)
        self.packed = pack(several.trace(), self.content)
        self.id_by_name = {}
        for node in self.packed.graph.walk():
            self.id_by_name[node.name] = node.id

    def invocations(self, name, *items, attempt=1):
        node = self.id_by_name[name]
        return [
            Invocation(
                home=self.home,
                run_id="r1",
                graph_digest=self.packed.digest,
                graph_size=self.packed.size_bytes,
                node=node,
                indices=() if item is None else (item,),
                attempt=attempt,
                nonce=f"n{item}",
            )
            for item in items
        ]

    def start(self, invocations, **variables):
        environment = {**os.environ, **variables, RUN_VARIABLE: run_variable(invocations[0])}
        argv = [sys.executable, "-m", "pyflow.runtime", *task_words(invocations)]
        return subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def choose(self, invocations, answer):
        """The exit code, and what is printed, when so many of these are chosen."""
        environment = {**os.environ, RUN_VARIABLE: run_variable(invocations[0])}
        argv = [sys.executable, "-c", CHOOSING.format(answer), *task_words(invocations)]
        ended = subprocess.run(
            argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False
        )
        return ended.returncode, ended.stdout

    def run(self, name, *items):
        invocations = self.invocations(name, *items)
        process = self.start(invocations)
        printed, _ = process.communicate(timeout=60)
        return process.returncode, printed, [left_outcome(i, self.content) for i in invocations]

    def result(self, name, item):
        (invocation,) = self.invocations(name, item)
        record = self.content.blobs.committed(self.content.keys.commits("r1"), invocation.slot)
        return None if record is None else record.decode()

    def log(self, outcome):
        span = outcome.log
        return self.content.blobs.read_log(self.content.keys.log("r1", span.writer), span.start, span.end).decode()


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_a_result_is_committed_and_the_log_is_told_twice(place):
    """A task that returns ends with code 0; what it printed is in the store and on the worker's own output."""
    code, printed, (left,) = place.run("double", 1)
    assert (code, printed, left) == (0, "doubling 2\n", None)
    assert '"json":4' in place.result("double", 1)
    logs = place.content.blobs.logs(place.content.keys.run("r1") + "/logs")
    assert [place.content.blobs.read_log(info.key) for info in logs] == [b"doubling 2\n"]


def test_what_is_committed_does_not_run_again(place):
    """A second worker for a slot that has a result says so, and runs nothing."""
    assert place.run("double", 0)[:2] == (0, "doubling 1\n")
    assert place.run("double", 0)[:2] == (0, "")


def test_errors_are_told_by_code_and_left_in_the_store(place):
    """An error of the task ends with 70 or, where another attempt would not help, 71."""
    code, _, (left,) = place.run("fail", 0)
    assert (code, left.exit_code, left.error.type) == (70, 70, "ValueError")
    assert not is_lost(left)
    code, _, (left,) = place.run("fail", 1)
    assert (code, left.exit_code, left.error.type) == (71, 71, "KeyError")


def test_a_limit_ends_the_task_and_its_children(place):
    """A task that takes too long ends with 124, with all that it has started, and its outcome says so."""
    code, printed, (left,) = place.run("nap", 1)
    assert (code, printed, left.exit_code) == (124, "napping\n", 124)
    assert left.error.message == "it ran longer than its timeout of 2 s."
    assert place.log(left) == "napping\n"


def test_a_batch_goes_on_after_an_item_that_did_not(place):
    """Items of a batch end one by one: one that is ended takes its place in a new process, and the rest run."""
    code, _, left = place.run("nap", 1, 0)
    assert [outcome and outcome.exit_code for outcome in left] == [124, None]
    assert code == 124
    assert '"json":0' in place.result("nap", 0)
    assert place.run("double", 0, 1, 2)[:2] == (0, "doubling 1\ndoubling 2\ndoubling 3\n")


@pytest.mark.parametrize(("item", "number"), [(0, signal.SIGKILL), (1, signal.SIGSEGV)])
def test_a_process_that_dies_has_an_outcome(place, item, number):
    """What killed a task is told by code and text, and its last words are kept."""
    code, printed, (left,) = place.run("die", item)
    assert code == left.exit_code == 128 + number
    assert is_lost(left)
    assert number.name in left.error.message
    assert place.log(left).startswith("about to die\n")
    assert printed.startswith("about to die\n")


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_worker_that_is_asked_to_end_does(place, is_cancelled):
    """SIGTERM lets the task clean up; the code tells a run that was cancelled from a machine that was needed."""
    invocations = place.invocations("sleep", None)
    process = place.start(invocations)
    assert process.stdout.readline() == "sleeping\n"
    if is_cancelled:
        place.content.blobs.create(place.content.keys.cancel("r1"), b"{}")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == "cleaned up\n"
    assert process.returncode == (ExitCode.CANCELLED if is_cancelled else 143)
    left = left_outcome(invocations[0], place.content)
    assert is_lost(left)
    assert left.exit_code == process.returncode
    assert place.log(left) == "sleeping\ncleaned up\n"


@pytest.mark.parametrize(
    ("began_s_ago", "exit_code", "said"),
    [(60, 124, "time limit of 60 s"), (20, 143, "SIGTERM"), (1000, 143, "SIGTERM")],
)
def test_a_worker_that_is_asked_to_end_at_the_end_of_its_run_says_so(place, began_s_ago, exit_code, said):
    """Whoever enforces the time limit of a run sends the same signal as one who needs the machine; the clock tells them apart."""
    invocations = place.invocations("sleep", None)
    process = place.start(invocations, **{RUN_LIMIT: f"{time.time() - began_s_ago:.0f}+60"})
    assert process.stdout.readline() == "sleeping\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    left = left_outcome(invocations[0], place.content)
    assert process.returncode == left.exit_code == exit_code
    assert said in left.error.message


def test_the_worker_keeps_its_own_variables_to_itself(place):
    """A task does not see which run it belongs to: a pipeline that it starts is none of that."""
    assert place.run("variables", None)[0] == 0
    assert '"preview":"[]"' in place.result("variables", None)


def test_a_graph_that_is_gone_is_told(place):
    """Without its graph an attempt ends with 72, not with a traceback of ours."""
    place.content.blobs.delete([place.content.keys.blob(place.packed.digest)])
    code, _, (left,) = place.run("double", 0)
    assert (code, left.exit_code) == (72, 72)


CHOOSING = """
import os, signal, sys, time
from pathlib import Path
from pyflow.runtime import RUN_VARIABLE
from pyflow.runtime.request import invocations_asked
from pyflow.runtime.supervisor import run_once

def children():
    threads = Path("/proc/self/task").iterdir()
    return [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]

def killed(answer):
    os.kill(*children(), signal.SIGKILL)
    return answer

def choose():
    time.sleep(0.5)
    print("chosen", flush=True)
    return {}

invocations = invocations_asked(sys.argv[1:], os.environ.pop(RUN_VARIABLE))
begun = []
open_before = len(os.listdir("/proc/self/fd"))
try:
    outcomes = run_once(invocations, choose=choose, on_begun=lambda invocation, _writer: begun.append(invocation.slot))
    print(begun, [(outcome.slot, outcome.is_committed) for outcome in outcomes])
except ZeroDivisionError as error:
    print(repr(error))
print(children(), len(os.listdir("/proc/self/fd")) - open_before)
"""
"""Runs what ``choose`` answers, which takes longer than the process for it needs to get ready; prints what is left of all that."""


@pytest.mark.parametrize("chosen", [[0, 1, 2], [0, 2], [1], []])
def test_nothing_runs_before_it_is_chosen_or_without(place, chosen):
    """A process gets ready meanwhile, and whatever it finds in the store, it waits for the word."""
    invocations = place.invocations("double", 0, 1, 2)
    code, printed = place.choose(invocations, str(chosen))
    slots = [invocations[position].slot for position in chosen]
    told = f"{slots} {[(slot, True) for slot in slots]}"
    assert printed.splitlines() == ["chosen", *(f"doubling {position + 1}" for position in chosen), told, "[] 0"]
    assert code == 0
    commits = place.content.commits("r1", place.packed.digest)
    assert [i.slot for i in invocations if commits.committed(i.slot) is not None] == slots


def test_nothing_runs_when_it_cannot_be_found_out_what_to_run(place):
    """The error is that of whoever wanted to know."""
    invocations = place.invocations("double", 0)
    code, printed = place.choose(invocations, "1 / 0")
    assert code == 0
    assert printed.splitlines() == ["chosen", "ZeroDivisionError('division by zero')", "[] 0"]
    assert place.content.commits("r1", place.packed.digest).committed(invocations[0].slot) is None


def test_a_process_that_dies_while_it_gets_ready_has_begun_and_ended(place):
    """Whoever counts what runs is told of both, and the next of its share runs in another process."""
    invocations = place.invocations("double", 0, 1, 2)
    code, printed = place.choose(invocations, "killed([1, 2])")
    first, second = (invocation.slot for invocation in invocations[1:])
    told = f"{[first, second]} {[(first, False), (second, True)]}"
    assert printed.splitlines() == ["chosen", "doubling 3", told, "[] 0"]
    assert code == 0
    assert is_lost(left_outcome(invocations[1], place.content))


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_all_that_a_share_prints_is_kept_through_deaths(tmp_path, moto, monkeypatch, where):
    """Each process of a share begins a log; what a dead one has left is added to its own, and nobody's is written over."""
    moto.enter(monkeypatch)
    bucket = import_module("servers").BUCKET  # workers import this module as well, and find no servers
    place = Place(tmp_path, store=f"s3://{bucket}/deaths" if where == "bucket" else None)
    invocations = place.invocations("speak", *range(5))
    process = place.start(invocations)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL
    ended = [left_outcome(one, place.content) or committed_outcome(one, place.content) for one in invocations]
    said = [place.log(one) for one in ended]
    assert said == ["0 speaks\n", "1 speaks\n1 is killed\n", "2 speaks\n", "3 speaks\n3 is killed\n", "4 speaks\n"]
    logs = place.content.blobs.logs(place.content.keys.run("r1") + "/logs")
    assert sum(log.size_bytes for log in logs) == len("".join(said))


def test_words_and_variable_say_which_invocations():
    """What the launcher writes is what the worker reads."""
    home = Home(store_url="s3://b/p", project="p", owner="o")
    first = Invocation(home=home, run_id="r", graph_digest="d" * 64, graph_size=5, node=3, indices=(1, 0), nonce="ab")
    second = Invocation(home=home, run_id="r", graph_digest="d" * 64, graph_size=5, node=3, indices=(1, 1), attempt=2)
    assert indices_word(()) == "-"
    assert invocations_asked(task_words([first, second]), run_variable(first)) == [first, second]


def test_what_the_caller_allows_is_allowed_in_a_container(place, monkeypatch):
    """A variable whose value the caller allows to be stored is allowed where the task runs, though no setting of his is there."""
    monkeypatch.setenv("SITE_TOKEN", "a-public-token")
    code, _, (left,) = place.run("read_token", None)
    assert (code, place.result("read_token", None)) == (71, None)
    assert "SITE_TOKEN" in left.error.message
    place.home = place.home._replace(allow_secrets="OTHER,SITE_TOKEN")
    code, _, _ = place.run("read_token", None)
    assert code == 0
    assert '"a-public-token"' in place.result("read_token", None)


@pytest.mark.parametrize(
    ("words", "variable", "what"),
    [
        ([], "{}", "by itself"),
        (["task", "1", "-", "1"], "{}", "by itself"),
        (["task", "1", "-", "1", "n"], None, "is not set"),
        (["task", "1", "-", "1", "n"], "{}", "not what pyflow writes"),
        (["task", "1", "-", "1", "n"], "[]", "not what pyflow writes"),
        (["task", "1", "x", "1", "n"], None, "is not set"),
    ],
)
def test_other_words_are_refused(words, variable, what):
    """A command line that pyflow did not write says what the worker is for."""
    with pytest.raises(ConfigError, match=what):
        invocations_asked(words, variable)


def test_the_code_of_a_batch_is_the_one_that_calls_for_another_attempt():
    """Of several ends, one that may be mended by another attempt decides."""

    class Ended:
        def __init__(self, code):
            self.exit_code, self.is_committed = code, code == 0

    assert exit_code_of([Ended(0), Ended(0)]) == 0
    assert exit_code_of([Ended(71), Ended(0), Ended(70)]) == 70
    assert exit_code_of([Ended(71), Ended(137)]) == 137
    assert exit_code_of([Ended(0), Ended(71)]) == 71


def test_an_outcome_that_somebody_else_wrote_is_not_believed(place):
    """What lies in the store under an attempt's key counts only when it was signed for that attempt."""
    place.run("fail", 0)
    (invocation,) = place.invocations("fail", 0)
    key = place.content.keys.attempt("r1", invocation.slot, 1, invocation.nonce)
    record = place.content.blobs.get(key)
    place.content.blobs.put(key, [record.replace(b"no luck", b"a trick")])
    assert left_outcome(invocation, place.content) is None
    other = place.content.keys.attempt("r1", invocation.slot, 1, "elsewhere")
    place.content.blobs.put(other, [record])
    assert left_outcome(invocation._replace(nonce="elsewhere"), place.content) is None
