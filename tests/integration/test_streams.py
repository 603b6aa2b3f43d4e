"""Runs in this process where standard output is something else: a program's own object, closed, full, or without a reader."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pyflow import load_run

FLOW = """
import os
import sys
from pyflow import pipeline, task

@task
def talk(x):
    print("from Python", x)
    sys.stderr.write(f"on standard error {x}\\n")
    os.system(f"echo from a child {x}")
    return x

@task
def shut(x):
    print("before", x)
    sys.stdout.close()
    return x

@pipeline
def flow():
    return talk(shut(talk(1)))

def run():
    result = flow.with_options(executor="inprocess", progress=False)()
    with open("result.txt", "w") as file:
        file.write(str(result))
"""
TEE = """
import sys
import flow

class Tee:
    def __init__(self, *files):
        self.files = files

    def write(self, text):
        for file in self.files:
            file.write(text)

    def flush(self):
        for file in self.files:
            file.flush()

sys.stdout = Tee(sys.stdout, open("tee.txt", "w"))
flow.run()
print("after")
"""
SAID = [f"{text} 1" for text in ("from Python", "on standard error", "from a child")]
ALL = [*SAID, "before 1", *SAID]


@pytest.fixture(autouse=True)
def _flow():
    Path("flow.py").write_text(FLOW)


def python(source, **streams):
    return subprocess.run([sys.executable, "-c", source], check=False, text=True, timeout=60, **streams)


def kept():
    """What the logs of the latest run have, after its result was checked."""
    assert Path("result.txt").read_text() == "1"
    return load_run("latest").logs().splitlines()


def test_an_object_that_writes_to_a_file_as_well_gets_all_of_it_once():
    """A program's own ``sys.stdout`` gets what tasks print, though it prints to the descriptor that tasks print to."""
    done = python(TEE, capture_output=True)
    assert (done.stdout.splitlines(), done.stderr) == ([*ALL, "after"], "")
    assert Path("tee.txt").read_text().splitlines() == [*ALL, "after"]
    assert kept() == ALL


WRAP = """
import json
import sys
import flow

class Lines:
    def write(self, text):
        for line in text.splitlines():
            sys.__stdout__.write(json.dumps({"said": line}) + "\\n")
        sys.__stdout__.flush()

sys.stdout = Lines()
flow.run()
"""


def test_an_object_that_changes_what_it_prints_is_not_fed_with_that():
    """One that makes JSON of each line, say, and prints it to the descriptor that tasks print to."""
    done = python(WRAP, capture_output=True)
    assert [json.loads(line)["said"] for line in done.stdout.splitlines()] == ALL
    assert kept() == ALL


def test_a_logger_of_a_task_writes_to_standard_error_later():
    """What a task has set up in this process goes on to write where it would have."""
    source = (
        "import logging, sys, flow\nfrom pyflow import pipeline, task\n"
        "setup = task(lambda: logging.basicConfig(level=logging.INFO), name='setup')\n"
        "pipeline(lambda: setup(), name='p').with_options(executor='inprocess', progress=False)()\n"
        "logging.info('later')"
    )
    done = python(source, capture_output=True)
    assert (done.stdout, done.stderr) == ("", "INFO:root:later\n")


@pytest.mark.parametrize("closed", ["1", "2", "1 and 2"])
def test_streams_may_be_closed(closed):
    """In a daemon there is nowhere to print to; the log has what tasks say."""
    close = " ".join(f"{number}>&-" for number in closed.split(" and "))
    command = f"exec {sys.executable} -c 'import flow; flow.run()' {close}"
    done = subprocess.run(["sh", "-c", command], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert kept() == ALL


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_standard_output_ends_no_task():
    """What cannot be shown is in the log, and the run goes on; the streams are the caller's own again afterwards."""
    with Path("/dev/full").open("w") as full:
        done = python("import flow, sys; flow.run(); sys.stderr.write('after')", stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "after")
    assert kept() == ALL


def test_a_reader_that_has_had_enough_ends_no_task():
    """As ``| head -1`` does while tasks go on printing."""
    source = "import flow, sys; sys.stdin.read(); flow.run(); sys.stderr.write('after')"
    process = subprocess.Popen(
        [sys.executable, "-c", source],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.close()
    process.stdout = None
    _, said = process.communicate("", timeout=60)
    assert (process.returncode, said) == (0, "after")
    assert kept() == ALL


def test_the_command_prints_the_result_alone():
    """``pyflow run`` shows on standard error what tasks print in its process, so that its standard output can be used."""
    command = [sys.executable, "-m", "pyflow.cli", "run", "--executor", "inprocess", "--no-progress", "flow.py"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (0, "1\n", ALL)
