"""The executor docker on a real engine: what a container sees, how it ends, and that none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from secrets import token_hex

import pytest
from integration import container_places
from integration.docker_tasks import create, double, fail, greedy, read, slow, split, surroundings, text_of

from pyflow import Secret, Volume, configure, container, errors, pipeline, task
from pyflow.config import reset
from pyflow.images import (
    ensure_runtime_image,
    has_engine,
    list_runtime_images,
    open_engine,
    runtime_archive,
    runtime_tag,
    this_minor,
)

pytestmark = [pytest.mark.docker, pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")]

ENGINE = open_engine() if has_engine() else None


@pytest.fixture(autouse=True)
def _as_before():
    """What a test has configured ends with it."""
    yield
    reset()


@pytest.fixture
def on(tmp_path):
    """Sets a pipeline to run in containers, with a store of this test's own."""
    return lambda flow, **more: flow.with_options(
        **{"executor": "docker", "store": str(tmp_path / "store"), "progress": False, **more}
    )


def containers_of(run_id):
    return ENGINE.api.containers(all=True, filters={"label": f"pyflow.run={run_id}"})


def wait_for(look, timeout_s=120):
    end = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.1)
    return found


def test_a_container_is_closed_in(on):
    """A task runs as the caller or nobody, without capabilities, on a read-only root, with scratch, home and its own variables."""

    @pipeline
    def flow():
        return surroundings.with_options(env={"COLOUR": "red"})()

    seen = on(flow)()
    assert seen["uid"] == os.getuid()
    assert seen["capabilities"] == 0
    assert seen["no_new_privileges"].strip() == "1"
    assert seen["writable"] == []
    assert seen["scratch"] is True
    assert seen["socket"] is False
    assert seen["variables"] == ["PYFLOW_KEY_FILE"]
    assert seen["value"] == "red"


def test_containers_beside_python_on_every_executor(tmp_path):
    """Files go from container to container and to Python tasks, by differing paths, folders too, the same everywhere."""

    @pipeline
    def flow():
        made = create("you")
        parts = split(made)
        return read(made), text_of(made), parts.folder, text_of(parts["list"])

    for executor in ("docker", "local", "inprocess"):
        chosen = flow.with_options(executor=executor, store=str(tmp_path / executor), progress=False)
        first, second, folder, listed = chosen()
        assert (first, second, listed) == ("Hello you\n", "Hello you\n", "sub\n")
        assert (folder / "sub" / "copy").read_text() == "Hello you\n"


@pytest.mark.parametrize("executor", ["docker", "local"])
def test_files_of_containers_lie_where_they_belong(on, executor):
    """Files of one name, one file twice, folders in folders, results in inputs, links: each is what its author means."""
    run = on(container_places.places, executor=executor).submit()
    found = run.result()
    assert {**found, "within": set(found["within"].split())} == container_places.EXPECTED
    assert run.logs("last_words") == "begun\nend"


def test_standard_output_arrives_to_the_letter_or_not_at_all(on):
    """Long lines, no line end and odd characters arrive; what is no UTF-8 fails the task."""
    text = "x" * 100_000 + "\\r\\0\\nä"

    @container(image="busybox:1.36", stdout=True)
    def says(words):
        return ["printf", words]

    @pipeline
    def flow(words):
        return says(words)

    assert on(flow)(text) == "x" * 100_000 + "\r\0\nä"
    with pytest.raises(errors.DefinitionError, match="no text in UTF-8, or"):
        on(flow)("a\\377")


def test_a_program_starts_where_its_image_says(on):
    """As with ``docker run``."""
    lines = b"FROM busybox:1.36\nWORKDIR /app\nRUN echo hello > data.txt\n"
    subprocess.run(
        ["docker", "build", "-q", "-t", "pyflow-test-workdir", "-"], input=lines, check=True, capture_output=True
    )

    @container(image="pyflow-test-workdir", stdout=True)
    def shows():
        return ["cat", "data.txt"]

    @pipeline
    def flow():
        return shows()

    assert on(flow)() == "hello\n"


def test_a_program_that_an_image_lacks_is_told(on):
    """The container never ran, so that there is nothing to try again."""
    with pytest.raises(errors.LostTaskError, match=r"has no such program"):
        on(container_places.lacking)()


@pytest.mark.parametrize("flow", [container_places.leading_out, container_places.leading_above])
def test_links_of_a_container_never_lead_to_files_of_this_machine(on, tmp_path, flow):
    """What a container left is looked for in the container, whatever lies under that path on this side."""
    (tmp_path / "secret.txt").write_text("of this machine")
    target = tmp_path / "secret.txt" if flow is container_places.leading_out else tmp_path
    with pytest.raises(errors.TaskError, match="left nothing of what it is to keep"):
        on(flow)(str(target))


def test_the_last_words_of_a_container_are_in_its_error(on):
    """Also what came just after something else, and what no line end follows."""

    @container(image="busybox:1.36")
    def words():
        return ["sh", "-c", "echo begun; sleep 0.1; printf 'the disk is full' >&2; exit 1"]

    @pipeline
    def flow():
        return words()

    with pytest.raises(errors.TaskError, match=r"It printed last:\n  begun\n  the disk is full\nIt was a container"):
        on(flow)()


def test_a_failed_container_tells_why(on):
    """The exit code and the last words of a container are in its error, and its log is kept."""

    @pipeline
    def flow():
        return fail()

    run = on(flow).submit()
    with pytest.raises(errors.TaskError, match="exited with code 3") as caught:
        run.result()
    assert "this is why" in str(caught.value)
    assert run.logs("fail") == "this is why\n"
    assert containers_of(run.id) == []


def test_batches_logs_and_nothing_left(on):
    """A batch is one container, its items have outcomes of their own, and afterwards no container is left."""

    @pipeline
    def flow():
        return double.with_options(batch=4).map(range(4))

    run = on(flow).submit()
    assert run.result() == [0, 2, 4, 6]
    assert run.logs("double") == "".join(f"doubling {n}\n" for n in range(4))
    assert len({event["worker"] for event in run.events() if event["event"] == "started"}) == 1
    assert containers_of(run.id) == []


def test_items_of_a_batch_are_told_as_they_end(on, tmp_path):
    """The first item of a container is told, and what waits for it runs, while the second one still does."""

    @task
    def wait_for_file(name, folder):
        until = time.monotonic() + 60
        while name and not Path(folder, name).exists():
            if time.monotonic() > until:
                raise TimeoutError
            time.sleep(0.05)
        return name

    @task
    def mark(name, folder):
        Path(folder, name or "go").write_text("")
        return name

    @pipeline
    def flow(folder):
        held = wait_for_file.with_options(batch=2).map(["", "go"], folder=folder)
        return mark.map(held, folder=folder)

    shared = tmp_path / "store" / "shared"
    shared.mkdir(parents=True)
    assert on(flow, parallelism=2)(str(shared)) == ["", "go"]


def test_a_node_is_told_to_run_when_its_container_does(on):
    """It is pending until then; one whose container cannot be made was never told to run."""

    @pipeline
    def flow():
        return fail.with_options(gpus=1)(), double(1)

    run = on(flow).submit()
    with pytest.raises(errors.LostTaskError, match="no GPUs"):
        run.result()
    ran = {event["slot"] for event in run.events() if event["event"] == "started"}
    assert ran.isdisjoint(event["slot"] for event in run.events() if event.get("status") == "lost")


def test_time_and_memory_are_limits(on):
    """A task over its time or its memory ends with an error of its own type, which names the limit."""

    @pipeline
    def too_slow():
        return slow()

    @pipeline
    def too_large():
        return greedy()

    with pytest.raises(errors.TaskTimeoutError, match="its timeout of 1 s"):
        on(too_slow)()
    with pytest.raises(errors.OutOfMemoryError, match=r"its limit of 64 MiB, and had \d+ MiB when last looked at"):
        on(too_large)()


def test_secrets_do_not_stand_in_the_container(on, monkeypatch):
    """The value of a secret reaches the task, and neither the description of the container nor the log."""
    password = token_hex(8)
    monkeypatch.setenv("DB_PASSWORD", password)
    folder = Path("shared").absolute()
    folder.mkdir()

    @task(env={"TOKEN": Secret("db", key="password")})
    def use(folder):
        print("it is", os.environ["TOKEN"], flush=True)
        Path(folder, "ready").write_text("")
        while not Path(folder, "go").exists():
            time.sleep(0.05)
        return len(os.environ["TOKEN"])

    @pipeline
    def flow():
        return use.with_options(volumes={"/shared": Volume.host(str(folder), read_only=False)})("/shared")

    run = on(flow).submit()
    wait_for((folder / "ready").exists)
    (found,) = containers_of(run.id)
    assert password not in str(ENGINE.api.inspect_container(found["Id"]))
    (folder / "go").write_text("")
    assert run.result() == len(password)
    assert run.logs("use") == f"it is {'*' * 16}\n"


def test_volumes_are_read_only_unless_asked(on):
    """A named volume is the folder that the settings name, and a task may write to it only when it says so."""

    @task
    def try_to_write(path):
        try:
            Path(path, "new").write_text("x")
        except OSError:
            return False
        return True

    @pipeline
    def flow():
        return (
            try_to_write.with_options(volumes={"/mnt/vol": Volume.named("data")})("/mnt/vol"),
            try_to_write.with_options(volumes={"/mnt/vol": Volume.named("data", read_only=False)})("/mnt/vol"),
            try_to_write.with_options(volumes={"/mnt/empty": Volume.scratch("1Gi")})("/mnt/empty"),
        )

    with pytest.raises(errors.ExecutorError, match=r"Docker has no volume 'data'.*\[tool.pyflow.volumes\]"):
        on(flow)()
    Path("data").mkdir()
    configure(volumes={"data": "data"})
    assert on(flow)() == (False, True, True)


def test_files_may_lie_in_scratch_volumes(on):
    """At ``/tmp``, and around inputs and outputs."""
    sized = Volume.scratch("1Gi")

    @task(volumes={"/tmp": sized})
    def made():
        Path("/tmp/made.txt").write_text("made")
        return Path("/tmp/made.txt")

    @container(
        image="busybox:1.36",
        inputs={"text": "/work/in/text.txt"},
        outputs={"out": "/work/out/text.txt"},
        volumes={"/tmp": sized, "/work": sized},
    )
    def passed_on(text: Path):
        return ["sh", "-c", "cat /work/in/text.txt > /tmp/text.txt && cp /tmp/text.txt /work/out"]

    @pipeline
    def flow():
        return text_of(passed_on(made()))

    assert on(flow)() == "made"


def test_an_image_of_ones_own(on):
    """Any image with the right Python will do; one without is refused before the run starts."""

    @pipeline
    def flow():
        return double.with_options(image=f"python:{this_minor()}-slim")(4)

    assert on(flow)() == 8
    for image, what in (("busybox:1.36", "has no Python"), ("no-such-image-of-ours:1", "could not be pulled")):

        @pipeline
        def other():
            return double.with_options(image=image)(4)  # noqa: B023  called at once

        with pytest.raises(errors.ExecutorError, match=what):
            on(other)()


def test_without_an_engine_nothing_starts(on, monkeypatch, tmp_path):
    """Where no engine answers, a run is refused with what may help, also for container tasks on local."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    @pipeline
    def flow():
        return double(1)

    @pipeline
    def contained():
        return create("x")

    with pytest.raises(errors.ExecutorError, match=r"No Docker engine answers at unix://.*Start Docker"):
        on(flow)()
    with pytest.raises(
        errors.ExecutorError, match=r"Container tasks need a Docker engine on executor 'local', too: 'create'"
    ):
        contained.with_options(executor="local", store=str(tmp_path / "store"))()


SCRIPT = """
    import sys, time
    from pyflow import pipeline, task

    @task
    def wait():
        print("waiting", flush=True)
        time.sleep(600)

    @pipeline
    def flow():
        return wait()

    if __name__ == "__main__":
        flow.with_options(executor="docker", store=sys.argv[1], progress=False)()
"""


def start_script(tmp_path):
    file = tmp_path / "waiting.py"
    file.write_text(textwrap.dedent(SCRIPT))
    process = subprocess.Popen([sys.executable, str(file), str(tmp_path / "store")], start_new_session=True)
    store = tmp_path / "store"
    run_id = wait_for(lambda: [path.name for path in store.glob("v1/*/runs/*/*") if path.is_dir()])[0]
    wait_for(lambda: [c for c in containers_of(run_id) if c["State"] == "running"])
    wait_for(lambda: list(store.glob("v1/*/runs/*/*/logs/*")))
    return process, run_id


def test_ctrl_c_leaves_no_container(tmp_path):
    """Ctrl-C ends the containers of a run, and removes them."""
    process, run_id = start_script(tmp_path)
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert containers_of(run_id) == []


def test_what_a_killed_caller_leaves_the_next_run_removes(tmp_path, on):
    """Containers of a caller that was killed are found by their label, and removed."""
    process, run_id = start_script(tmp_path)
    process.kill()
    process.wait(60)
    assert len(containers_of(run_id)) == 1

    @pipeline
    def flow():
        return double(1)

    assert on(flow)() == 2
    assert containers_of(run_id) == []


def test_a_container_that_is_killed_is_a_lost_task(on, tmp_path):
    """Whoever kills or removes a container loses that attempt; a retry gives the result, once."""

    @task(retries=1, backoff=0)
    def wait_once(folder):
        marker = Path(folder, "been")
        if marker.exists():
            return "second"
        marker.write_text("")
        print("first", flush=True)
        time.sleep(600)
        return "first"

    for how in ("kill", "remove"):
        folder = tmp_path / how
        folder.mkdir()
        mounted = wait_once.with_options(volumes={"/shared": Volume.host(str(folder), read_only=False)})
        run = on(pipeline(name="flow")(lambda mounted=mounted: mounted("/shared"))).submit()
        wait_for((folder / "been").exists)
        (found,) = containers_of(run.id)
        if how == "kill":
            ENGINE.api.kill(found["Id"])
        else:
            ENGINE.api.remove_container(found["Id"], force=True)
        assert run.result() == "second"
        assert containers_of(run.id) == []


def test_the_runtime_image_is_named_for_version_and_python():
    """There is one tag for this version of pyflow and minor of Python, and it says which runtime is in it."""
    assert runtime_tag().endswith(f"-py{this_minor()}")
    assert runtime_tag(registry="registry.example/team/").startswith("registry.example/team/pyflow-runtime:")
    usual = ensure_runtime_image(ENGINE)
    found = {image.tag: (image.id, image.runtime) for image in list_runtime_images(ENGINE)}
    assert found[runtime_tag()] == (usual, runtime_archive().digest)
