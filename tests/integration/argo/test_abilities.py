"""What a run on a real cluster can do beside running: packages of its own, a clock, a doctor, a notebook that looks at it."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from argo_world import cluster, needs_argo, only_when_all, project, pyflow, until
from integration import container_places
from nbclient import NotebookClient

from pyflow import errors
from pyflow.api import list_runs
from pyflow.executors.argo.versions import OLDEST, reads_arguments_from_file, version_of

pytestmark = [*needs_argo, pytest.mark.timeout(400)]

LEAK = """
    from pyflow import Secret, container, pipeline

    @container(image="busybox:1.36", env={"WORD": Secret("s3-credentials", key="accesskey")})
    def tells():
        return ["sh", "-c", "echo begun; sleep 8; printf %s $WORD | cut -c1-4 | tr -d '\\\\n'; printf %s $WORD | cut -c5-; echo ended $WORD; exit 3"]

    @pipeline
    def telling():
        return tells()
"""

FLOW = """
    import os
    from pathlib import Path
    from pyflow import container, pipeline, task

    @container(image="busybox:1.36", stdout=True)
    def said(*words):
        return ["printf", "%s|", *words]

    @task(outputs=3)
    def same(*words):
        return words

    @task
    def confined():
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        writable = [folder for folder in ("/", "/usr", "/tmp", os.environ["HOME"]) if os.access(folder, os.W_OK)]
        token = Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
        return os.getuid(), int(status["CapEff"], 16), status["NoNewPrivs"].strip(), writable, token

    LOOK = '''
        id -u
        awk '/^CapEff:/ {print $2}' /proc/self/status
        awk '/^NoNewPrivs:/ {print $2}' /proc/self/status
        awk '$2 == "/" {print substr($4, 1, 3)}' /proc/mounts
        test -e /var/run/secrets/kubernetes.io && echo token
        touch /tmp/made && echo made
    '''

    @container(image="busybox:1.36", stdout=True)
    def confined_program():
        return ["sh", "-c", LOOK]

    @pipeline
    def saying(*words):
        return said(*words, *same(*words)), confined(), confined_program()

    @task(memory="64Mi", memory_on_oom="512Mi")
    def hungry():
        return len(bytearray(200 << 20))

    @pipeline
    def eating():
        return hungry()

    @task(packages=["iniconfig==2.0.0"])
    def version():
        import iniconfig
        from importlib.metadata import version
        return version("iniconfig"), list(iniconfig.IniConfig("x", data="[a]"))[0].name

    @task
    def without():
        try:
            import iniconfig
        except ImportError:
            return "not there"

    @task
    def double(x):
        return 2 * x

    @pipeline
    def packed():
        return version(), without()

    @pipeline(name="by-the-clock")
    def timed(x: int, note: str = ""):
        return double(x), note
"""


@pytest.fixture
def flows(tmp_path, monkeypatch):
    return project(tmp_path, monkeypatch, FLOW)


def test_pods_are_confined_and_read_no_text_of_an_author(flows):
    """No root, no rights, no token, one writable folder, for Python and any program alike; and a command's words arrive as they are, known before or made by a task."""
    if not reads_arguments_from_file(version_of(cluster().version()) or OLDEST):
        pytest.skip("this Argo does not read a command's words from a file, and a run says so")
    hostile = "{{workflow.name}} {{=1+1}} $(HOME) $$(HOME) ${HOME} `id` 'q' \"d\" --flag @file é\n2"
    words = [hostile, "--flag", ""]
    text, (user, rights, no_new, writable, has_token), program = flows.saying(*words)
    assert text.split("|") == [*words, *words, ""]
    assert (user, rights, no_new, set(writable), has_token) == (1000, 0, "1", {"/tmp"}, False)
    assert program.split() == ["1000", "0" * 16, "1", "ro,", "made"]


def test_memory_grows_after_an_oom_kill(flows):
    """The kernel kills it at 64 MiB; the next attempts have twice as much each."""
    run = flows.eating.submit()
    assert run.wait(300) == "succeeded"
    assert run.result() == 200 << 20
    found = [attempt.status for attempt in run.nodes["hungry"].slots["0"].attempts]
    assert found[0] == "lost"
    assert found[-1] == "succeeded"


def test_packages_come_along(flows):
    """A task in a stock image has the packages that it names, resolved here, and another task has none of them."""
    assert flows.packed() == (("2.0.0", "a"), "not there")


@only_when_all
def test_the_clock_starts_runs(flows):
    """A schedule fires, and the run is listed and has its value like any other; texts among what it is given arrive unchanged."""
    tags = "{{workflow.name}} {{workflow.bogus}} {{=1+1}} $(HOME)"
    kept = flows.timed.deploy(schedule="* * * * *", values={"x": 21, "note": tags})
    try:
        run = until(list_runs, 150)[-1]
        assert run.wait(200) == "succeeded"
    finally:
        kept.remove()
    assert run.result() == (42, tags)


def test_the_doctor_tries_it_with_a_pod(flows):
    """All that a run needs is looked at, the last of it by a run, and the command ends well."""
    done = pyflow("doctor", "--executor", "argo")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert all(line.startswith("✓") for line in lines), done.stdout
    assert "a task ran in a pod, its result came back signed" in lines[-1]


def test_a_notebook_shows_a_manifest_as_json(flows, tmp_path):
    """``compile`` on the last line of a cell gives a tree to open and close, and asks the cluster for nothing."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import flows\nflows.timed.compile(21)")])
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (output,) = book.cells[0].outputs
    assert output.data["application/json"]["kind"] == "Workflow"
    assert "'kind': 'Workflow'" in output.data["text/plain"]


def test_files_of_containers_lie_where_they_belong(tmp_path, monkeypatch):
    """Files of one name, one file twice, folders in folders, results in inputs, links: each is what its author means, as in Docker."""
    flows = project(tmp_path, monkeypatch, Path(container_places.__file__).read_text(encoding="utf-8"))
    # Among so many pods Argo's own program, which starts each container, ends one with code 2 now and then, whatever ran in it.
    run = flows.places.with_options(defaults={"retries": 2}).submit()
    found = run.result()
    assert {**found, "within": set(found["within"].split())} == container_places.EXPECTED
    assert run.logs("last_words") == "begun\nend"
    with pytest.raises(errors.LostTaskError, match=r"the image 'busybox:1\.36' has no program 'no-such-program'"):
        flows.lacking()
    with pytest.raises(errors.TaskError, match="exited with code 64"):
        flows.silent()
    # Links lead to what the container has, and not to what lies beside it: credentials, and the key that results are signed with.
    with pytest.raises(errors.IntegrityError, match="as a link to '/proc/self/environ', which nobody can read"):
        flows.leading_out("/proc/self/environ")
    with pytest.raises(errors.IntegrityError, match=r"as a link to '/pyflow-key/secret\.txt'"):
        flows.leading_above("/pyflow-key")


def test_secrets_of_a_container_are_hidden_in_what_it_prints(tmp_path, monkeypatch):
    """In its log, which is seen while it runs, and in its error, also where a value comes in two pieces."""
    run = project(tmp_path, monkeypatch, LEAK).telling.submit()
    until(lambda: run.logs() == "begun\n")
    assert run.status == "running"
    word = os.environ["AWS_ACCESS_KEY_ID"]
    with pytest.raises(errors.TaskError, match="exited with code 3") as caught:
        run.result()
    assert "ended ***" in str(caught.value)
    for told in (str(caught.value), run.logs()):
        assert word not in told
        assert "*" * len(word) in told
