"""A site whose registry has the runtime image: pods of it fetch nothing, and one of another pyflow is told."""

from __future__ import annotations

import io
import subprocess
import uuid
from collections.abc import Iterator

import pytest
from argo_world import TESTBED, kubectl, needs_argo, project, pyflow

from pyflow import errors
from pyflow.images import build_runtime_image, default_base, has_engine, open_engine, runtime_tag

pytestmark = [
    *needs_argo,
    pytest.mark.docker,
    pytest.mark.skipif(not has_engine(), reason="no Docker engine answers, which builds the image"),
    pytest.mark.skipif(not TESTBED.is_dir(), reason="nothing hands images to this cluster"),
    pytest.mark.timeout(400),
]

FLOWS = """
    import os
    import sys
    from pathlib import Path

    from pyflow import container, pipeline, task

    @task
    def numbers(n):
        import sitelib  # what the image's own PYTHONPATH leads to

        return [sitelib.FIRST + k for k in range(n)]

    @task
    def square(x):
        return x * x

    @task
    def where():
        return [entry for entry in sys.path if "pyflow-runtime" in entry], os.environ.get("PYTHONPATH")

    @task(image="{bare}")
    def elsewhere(xs):
        return sum(xs), Path("/opt/pyflow").exists()

    @container(image="busybox:1.36", inputs={{"words": "/data/words.txt"}}, outputs={{"copy": "/work/copy.txt"}})
    def copy(words):
        return ["cp", "/data/words.txt", "/work/copy.txt"]

    @task
    def written() -> Path:
        Path("words.txt").write_text("as they are")
        return Path("words.txt")

    @task
    def read(file: Path):
        return file.read_text()

    @pipeline
    def flow(n):
        return elsewhere(square.map(numbers(n))), read(copy(written())), where()
"""


def build_on_a_base_with_packages(tag: str) -> None:
    """The runtime image on a base of a site's, which finds packages of its own by ``PYTHONPATH``."""
    base = f"pyflow-test-base:{uuid.uuid4().hex[:8]}"
    lines = f"FROM {default_base()}\nRUN mkdir /site && echo 'FIRST = 7' > /site/sitelib.py\nENV PYTHONPATH=/site\n"
    engine = open_engine()
    try:
        for line in engine.api.build(fileobj=io.BytesIO(lines.encode()), tag=base, rm=True, decode=True):
            assert "error" not in line, line
        build_runtime_image(engine, tag, base=base)
        engine.api.remove_image(base, noprune=True)
    finally:
        engine.close()


@pytest.fixture
def site() -> Iterator[str]:
    """The prefix of a registry from which the cluster has had the runtime image."""
    prefix = f"registry.example/pyflow-test-{uuid.uuid4().hex[:8]}"
    tag = runtime_tag(registry=prefix)
    build_on_a_base_with_packages(tag)
    subprocess.run([TESTBED / "load-image", tag], check=True, capture_output=True, timeout=200)
    yield prefix
    subprocess.run(["docker", "rmi", tag], check=True, capture_output=True, timeout=60)


def test_pods_of_a_runtime_image_fetch_nothing_and_give_the_same(tmp_path, monkeypatch, site):
    """Python tasks, container tasks and maps; a task with an image of its own gets the archive; packages of the base are found."""
    flows = project(tmp_path, monkeypatch, FLOWS.format(bare=default_base()), image=None, registry=site)
    (total, has_folder), text, (places, python_path) = flows.flow(3)
    assert (total, has_folder) == (49 + 64 + 81, False)
    assert text == "as they are"
    assert [place.startswith("/pyflow-runtime-") for place in places] == [True]
    assert python_path == "/site"
    fetching = [t["name"] for t in flows.flow.compile(3)["spec"]["templates"] if t.get("inputs", {}).get("artifacts")]
    assert len(fetching) == 1  # of the task that has an image of its own


def test_an_image_of_another_pyflow_is_told(tmp_path, monkeypatch, site):
    """The pod ends before anything of the author's runs, is not tried again, and the error says what to do; the doctor says it, too."""
    monkeypatch.setattr("pyflow.images.compiled.core_digest", lambda: "0" * 64)
    flows = project(tmp_path, monkeypatch, FLOWS.format(bare=default_base()), image=None, registry=site)
    run = flows.flow.with_options(defaults={"retries": 2}).submit(2)
    with pytest.raises(
        errors.LostTaskError, match=r"no runtime image of this pyflow.*'pyflow image push' put one there"
    ):
        run.result()
    pods = kubectl("get", "pods", "-o", "name", "-l", f"workflows.argoproj.io/workflow={run.record.place['workflow']}")
    assert not [name for name in pods.split() if name.endswith("(1)")]


def test_doctor_tries_the_runtime_image(tmp_path, monkeypatch, site):
    """With the image that the registry has all is well."""
    project(tmp_path, monkeypatch, FLOWS.format(bare=default_base()), image=None, registry=site)
    told = pyflow("doctor", "--executor", "argo", cwd=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
