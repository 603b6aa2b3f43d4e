"""The command as people start it: processes of its own, signals, exit codes, and what is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

from pyflow.api import list_runs

PYFLOW = [sys.executable, "-m", "pyflow.cli"]

FLOW = """
import os
import signal
import time
from pathlib import Path

import helper
from pyflow import pipeline, task


class Model:
    def __init__(self, rate):
        self.rate = rate

    def __repr__(self):
        return f"Model({self.rate})"


@task
def fit(rate):
    print("fitting", rate)
    return Model(helper.double(rate))


@task
def quick(i):
    return i


@task
def slow(i):
    if Path("stubborn").exists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(f"slow-{i}").write_text(str(os.getpid()))
    print("slow", i, flush=True)
    time.sleep(600)


@task
def die():
    os.kill(os.getpid(), 9)


@task
def note(outcome):
    Path("ended").write_text(outcome.status)


@pipeline
def train(rate: float):
    return fit(rate)


@pipeline(on_exit=note)
def wait(n: int = 2):
    return quick.map(range(3)), slow.map(range(n))


@pipeline
def dead():
    return die()
"""


@pytest.fixture(autouse=True)
def _project():
    Path("flow.py").write_text(FLOW)
    Path("helper.py").write_text("def double(x): return x * 2\n")


def pyflow(*words, **options):
    """Run the command to its end."""
    return subprocess.run(
        [*PYFLOW, *words], capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL, **options
    )


@pytest.fixture
def waiting():
    """Starts a pipeline that does not end by itself, and waits until its slow tasks run."""
    started = []

    def start(*words):
        process = subprocess.Popen(
            [*PYFLOW, "run", *words, "flow.py:wait"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        for name in ("slow-0", "slow-1"):
            wait_for(lambda name=name: Path(name).exists() and Path(name).read_text())
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(is_so, patience_s=60.0):
    """Look until something is so."""
    end = time.monotonic() + patience_s
    while not (found := is_so()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


def is_gone(pid):
    """Whether a process has ended; one that nobody has waited for has, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def workers():
    """The processes in which slow tasks ran."""
    return [int(path.read_text()) for path in Path().glob("slow-*")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "words", [("ls", "--json"), ("graph", "flow.py:wait"), ("--help",), ("run", "flow.py:wait", "--help")]
)
def test_output_that_cannot_be_written_is_told(words):
    """On a disk that is full a command ends with a sentence, and not with a traceback of its own."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*PYFLOW, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert (
        done.stderr.splitlines()[-1] == "Error: what this command prints could not be written: No space left on device."
    )
    assert "Traceback" not in done.stderr


def test_classes_and_local_modules_of_the_file():
    """Objects of the file's classes come back, here and in another command, with the modules it imports."""
    done = pyflow("run", "flow.py:train", "--rate", "2", "--no-progress")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Model(4.0)\n", "")
    Path("flow.py").rename("moved.py")
    Path("helper.py").unlink()
    assert pyflow("result", "latest").stdout == "Model(4.0)\n"
    assert pyflow("logs", "latest").stdout == "fitting 2.0\n"


def test_a_worker_that_dies():
    """The signal that ended a worker is named, and the command ends with 1."""
    done = pyflow("run", "flow.py:dead", "--no-progress")
    assert done.returncode == 1
    assert "SIGKILL" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_stops_cleanly(waiting):
    """Ctrl-C ends the run as cancelled with its exit handler, says what is kept, and leaves no process."""
    process = waiting()
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "Stopped." in said
    assert "are kept: pyflow show" in said
    assert "Traceback" not in said
    assert Path("ended").read_text() == "cancelled"
    assert all(is_gone(pid) for pid in workers())
    assert json.loads(pyflow("show", "latest", "--json").stdout)["status"] == "cancelled"
    assert pyflow("result", "latest", "quick").stdout == "[0, 1, 2]\n"


def test_a_caller_that_is_asked_to_end_stops_cleanly(waiting):
    """SIGTERM, by which batch systems and containers end what runs in them, does as Ctrl-C does, and then ends the process."""
    process = waiting()
    process.terminate()
    _, said = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGTERM, said
    assert re.search(r"was stopped. What had finished is kept: pyflow show ", said)
    assert Path("ended").read_text() == "cancelled"
    assert all(is_gone(pid) for pid in workers())
    assert json.loads(pyflow("show", "latest", "--json").stdout)["status"] == "cancelled"


HANDLED = """
import signal
import sys
from flow import wait

def handle(number, frame):
    print("handled", flush=True)
    raise SystemExit(7)

signal.signal(signal.SIGTERM, handle)
if __name__ == "__main__":
    wait()
"""


def test_a_handler_of_the_callers_own_is_left_alone():
    """Who handles SIGTERM goes on to, and the run ends with what that raises."""
    Path("handled.py").write_text(HANDLED)
    process = subprocess.Popen(
        [sys.executable, "handled.py"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: all(Path(name).exists() and Path(name).read_text() for name in ("slow-0", "slow-1")))
    process.terminate()
    out, said = process.communicate(timeout=120)
    assert (process.returncode, out) == (7, "handled\n"), said
    wait_for(lambda: all(is_gone(pid) for pid in workers()))


LAST = """
import atexit
import flow

atexit.register(print, "said at exit", flush=True)

if __name__ == "__main__":
    run = flow.wait.submit()
    print(run.id, flush=True)
"""


def test_ctrl_c_while_a_script_waits_for_its_run_at_its_end():
    """A script whose last line submits a run waits for that; Ctrl-C stops it cleanly then, and ends the script as always."""
    Path("last.py").write_text(LAST)
    process = subprocess.Popen(
        [sys.executable, "last.py"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr.readline().startswith("Waiting for run ")
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT, said
    run, last = out.splitlines()
    assert last == "said at exit"
    assert f"Run {run} was stopped. What had finished is kept: pyflow show {run}" in said
    assert "Traceback" not in said
    assert Path("ended").read_text() == "cancelled"
    assert all(is_gone(pid) for pid in workers())


SEVERAL = """
import threading
import time
import flow

def later():
    threading.main_thread().join()
    time.sleep(0.5)
    print(flow.train.submit(1.5).id, flush=True)

if __name__ == "__main__":
    for _ in range(WAITING):
        print(flow.wait.with_options(parallelism=1).submit(1).id, flush=True)
    threading.Thread(target=later).start()
"""


def test_ctrl_c_at_the_end_of_a_script_stops_all_of_its_runs():
    """However many of them there are."""
    Path("several.py").write_text(SEVERAL.replace("WAITING", "3").replace("threading.Thread(target=later).start()", ""))
    process = subprocess.Popen(
        [sys.executable, "several.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr.readline().startswith("Waiting for run ")
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT, said
    assert len(out.split()) == 3
    assert [run.status for run in list_runs()] == ["cancelled"] * 3
    assert all(f"Run {run} was stopped." in said for run in out.split())


def test_a_run_may_begin_when_the_main_thread_has_ended():
    """A thread that goes on then may submit one, and Python waits for it."""
    Path("late.py").write_text(SEVERAL.replace("WAITING", "0"))
    done = subprocess.run([sys.executable, "late.py"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert [(run.id, run.status) for run in list_runs()] == [(done.stdout.strip(), "succeeded")]


@pytest.mark.parametrize("closing", ["2>&-", "2> >(true)"])
def test_a_script_waits_for_its_run_though_nobody_hears_it(closing):
    """Standard error may be closed, or read by nobody."""
    Path("naps.py").write_text(
        "import time\nfrom pyflow import pipeline, task\nnap = task(lambda: time.sleep(2.5), name='nap')\n"
        "if __name__ == '__main__':\n    pipeline(lambda: nap(), name='naps').submit()\n"
    )
    subprocess.run(["bash", "-c", f"{sys.executable} naps.py {closing}"], check=True, timeout=60)
    assert [run.status for run in list_runs()] == ["succeeded"]


BESIDE = """
import multiprocessing
import threading
import time
import flow

def side():
    time.sleep(0.5)
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    process.start()
    time.sleep(0.2)
    process.terminate()
    process.join(30)
    print(process.exitcode, flush=True)

if __name__ == "__main__":
    threading.Thread(target=side).start()
    flow.pipeline(lambda: flow.task(time.sleep, name="nap")(3), name="naps")()
"""


def test_a_child_that_is_forked_beside_a_run_ends_when_it_is_told_to():
    """It has no run to stop, so SIGTERM ends it as any process."""
    Path("beside.py").write_text(BESIDE)
    done = subprocess.run([sys.executable, "beside.py"], capture_output=True, text=True, check=False, timeout=90)
    assert done.stdout == f"{-signal.SIGTERM}\n", done.stderr


def test_a_caller_that_is_asked_to_end_twice_ends_at_once(waiting):
    """By the signal, and without waiting for tasks that do not listen."""
    Path("stubborn").touch()
    process = waiting()
    process.terminate()
    wait_for(lambda: any(event["event"] == "cancel-requested" for event in list_runs()[0].events()))
    process.terminate()
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGTERM
    wait_for(lambda: all(is_gone(pid) for pid in workers()))


FORKED = """
import os
import time
import flow

if __name__ == "__main__":
    run = flow.train.submit(1.5)
    if os.fork() == 0:
        raise SystemExit  # of the run's thread it has nothing
    os.wait()
    print(run.result())
"""


def test_a_fork_waits_for_no_run_of_its_parent():
    """The thread that carries a run out stays with the process that started it."""
    Path("forked.py").write_text(FORKED)
    done = subprocess.run([sys.executable, "forked.py"], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "Model(3.0)\n", done.stderr


def test_ctrl_c_twice_ends_at_once(waiting):
    """A second Ctrl-C waits for nothing, and still leaves no process, though the tasks do not listen."""
    Path("stubborn").touch()
    process = waiting()
    os.killpg(process.pid, signal.SIGINT)
    wait_for(lambda: any(event["event"] == "cancel-requested" for event in list_runs()[0].events()))
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    # On a slow machine the second may come while Python itself ends, which a shell calls 130 as well.
    assert process.returncode in {130, -signal.SIGINT}, said
    assert "Traceback" not in said
    wait_for(lambda: all(is_gone(pid) for pid in workers()))
    assert json.loads(pyflow("show", "latest", "--json").stdout)["status"] == "cancelled"


def test_a_caller_that_was_killed(waiting):
    """After kill -9 of the caller its run is lost: the next command says so, and that no exit handler ran."""
    process = waiting()
    process.kill()
    process.wait()
    text = pyflow("show", "latest").stdout
    assert "lost" in text.splitlines()[0]
    assert "ended before the run did. What had finished is kept." in text
    assert "exit handler 'note' did not run" in text
    assert "lost" in pyflow("ls").stdout
    assert pyflow("result", "latest", "quick").stdout == "[0, 1, 2]\n"
    done = pyflow("result", "latest")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "was lost: the process that ran it (" in done.stderr
    assert "exit handler 'note' did not run. What had finished is kept: pyflow show " in done.stderr
    wait_for(lambda: all(is_gone(pid) for pid in workers()))
    assert not Path("ended").exists()


def test_cancel_from_another_process(waiting):
    """`pyflow cancel` ends a run that another process drives."""
    process = waiting()
    assert "running for" in pyflow("show", "latest").stdout
    done = pyflow("cancel", "latest")
    assert (done.returncode, "has ended: cancelled" in done.stdout) == (0, True), done.stdout + str(
        process.communicate(timeout=120)
    )
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "was cancelled" in said


def test_logs_that_follow(waiting):
    """`pyflow logs --follow` prints what comes until the run ends."""
    process = waiting()
    follower = subprocess.Popen([*PYFLOW, "logs", "latest", "--follow"], stdout=subprocess.PIPE, text=True)
    assert follower.stdout.readline() == "slow 0\n"
    os.killpg(process.pid, signal.SIGINT)
    follower.communicate(timeout=120)
    assert follower.returncode == 0


def test_check():
    """A module that cannot travel is named with the line that needs it."""
    done = pyflow("check", "flow.py")
    assert (done.returncode, "can be imported elsewhere, with flow, helper" in done.stdout) == (0, True)
    Path(".pyflowignore").write_text("helper.py\n")
    done = pyflow("check", "flow.py")
    assert done.returncode == 1
    assert "'helper'" in done.stdout
    assert "flow.py:7" in done.stdout
    wire = json.loads(pyflow("check", "flow.py", "--json").stdout)
    assert {fault["module"] for fault in wire["missing"]} == {"helper"}


def test_check_for_a_cluster():
    """Where the settings name one, what is installed here is not there; an image that may have it is left alone."""
    Path("drawn.py").write_text(
        "import hypothesis\nfrom pyflow import task\n\n@task\ndef drawn(x):\n    return hypothesis.__version__\n"
    )
    assert pyflow("check", "drawn.py").returncode == 0
    table = '[tool.pyflow]\nexecutor = "argo"\nstore = "s3://team/runs"\n[tool.pyflow.argo]\nimage = "{}"\n'
    Path("pyproject.toml").write_text(table.format("python:3.12-slim"))
    done = pyflow("check", "drawn.py")
    assert done.returncode == 1
    assert "drawn() needs the module 'hypothesis'" in done.stdout
    assert "Its image 'python:3.12-slim' has Python and nothing else" in done.stdout
    Path("pyproject.toml").write_text(table.format("team/science:3"))
    assert pyflow("check", "drawn.py").returncode == 0


UNEVEN = """
import importlib
from pyflow import pipeline, task

@task
def ok(x):
    return x

@pipeline
def broken():
    return 1 / 0

@pipeline
def fine(x: int, n: int = 3):
    @task
    def inner(x):
        return np.mean(x), importlib.import_module(x)
    return [inner(ok(x)) for _ in range(n)]
"""


def test_check_goes_on_behind_a_body_that_raises():
    """It is a fault of its own, and the tasks of the other pipelines are still looked at."""
    Path("uneven.py").write_text(UNEVEN)
    done = pyflow("check", "uneven.py")
    assert done.returncode == 1
    assert "the body of pipeline 'broken' raises" in done.stdout
    assert "uneven.py:11): ZeroDivisionError: division by zero" in done.stdout
    assert "inner() would fail" in done.stdout
    assert "the name 'np' is not defined" in done.stdout
    assert "uneven.py:17 a module is imported by a name that is only known when the code runs" in done.stderr
    wire = json.loads(pyflow("check", "uneven.py", "--json").stdout)
    assert (wire["ok"], wire["tasks"]) == (False, ["inner", "ok"])


def test_graph_takes_the_defaults_that_there_are():
    """Only parameters that must be given are left open."""
    Path("uneven.py").write_text(UNEVEN)
    drawn = pyflow("graph", "uneven.py:fine").stdout
    assert drawn.count("inner") == 6


def test_doctor():
    """Each part is tried; what is wrong comes with what would mend it, and with 1."""
    done = pyflow("doctor")
    assert done.returncode == 0, done.stdout
    assert [line.split()[1] for line in done.stdout.splitlines()] == [
        "python", "settings", "key", "store", "disk", "machine", "workers",
    ]  # fmt: skip
    done = pyflow("doctor", "--json", env={**os.environ, "PYFLOW_STORR": "x"})
    wire = json.loads(done.stdout)
    assert (done.returncode, wire["ok"]) == (1, False)
    assert "Did you mean PYFLOW_STORE?" in next(check["detail"] for check in wire["checks"] if not check["ok"])


def test_a_reader_that_has_enough():
    """`pyflow ls | head` is no error."""
    for _ in range(2):
        pyflow("run", "flow.py:train", "--rate", "1", "--no-progress")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*PYFLOW, "ls"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_live_table_in_a_terminal():
    """In a terminal a table is drawn over itself and stays at the end, no wider than the terminal."""
    child = pexpect.spawn(
        PYFLOW[0], [*PYFLOW[1:], "run", "flow.py:train", "--rate", "1"], dimensions=(24, 60), encoding="utf-8", timeout=60,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"},
    )  # fmt: skip
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert "✓ fit" in child.before
    assert "succeeded in" in child.before
    assert child.before.rstrip().endswith("Model(2.0)")
    assert re.search(r"\x1b\[\d*m", child.before) is None
    assert max(len(line.replace("\x1b[K", "").replace("\x1b[J", "")) for line in child.before.splitlines()) <= 64


def test_progress_does_not_land_in_the_log_of_a_task():
    """In process, progress is written beside what tasks print, not into it."""
    done = pyflow("run", "--executor", "inprocess", "flow.py:train", "--rate", "1")
    assert "fit succeeded" in done.stderr
    assert pyflow("logs", "latest").stdout == "fitting 1.0\n"


def test_help_is_quick_to_load():
    """`pyflow --help` loads neither what commands need nor any large library."""
    code = (
        "import sys; from pyflow.cli import cli; from click.testing import CliRunner; CliRunner().invoke(cli, ['--help']);"
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pyflow.api", "pyflow.store", "cloudpickle", "rich", "boto3", "numpy", "hera"} & set(loaded)
