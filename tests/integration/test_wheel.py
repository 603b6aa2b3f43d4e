"""What is installed from the package index is enough: the runtime image is built of it, without a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from pyflow.images import has_engine, list_runtime_images, open_engine, runtime_archive

CHECKOUT = Path(__file__).parents[2]
SCRIPT = """
import sys

import pyflow
from pyflow import pipeline, task

@task
def where():
    return pyflow.__file__

@pipeline
def flow():
    return where()

if __name__ == "__main__":
    print(pyflow.__file__)
    print(flow.with_options(executor="docker", store=sys.argv[1], progress=False)())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that a release would publish."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [find_uv_bin(), "build", "--wheel", "--quiet", "--out-dir", str(folder), str(CHECKOUT)]
    subprocess.run(command, check=True, timeout=300)
    (found,) = folder.glob("*.whl")
    return found


def test_a_wheel_carries_the_runtime_image_and_no_tests(wheel):
    """Its Dockerfile and the marker of its types are in it; nothing else is at the top than pyflow and what describes it."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {"pyflow/images/runtime_image/Dockerfile", "pyflow/py.typed"} <= set(names)
    tops = {name.split("/")[0] for name in names}
    assert len(tops) == 2
    assert {top for top in tops if not top.endswith(".dist-info")} == {"pyflow"}


@pytest.mark.docker
@pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")
def test_an_installed_wheel_runs_a_pipeline_in_containers(wheel, tmp_path):
    """It builds an image of the runtime in the wheel, and runs in one."""
    installed, script = tmp_path / "installed", tmp_path / "flow.py"
    command = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--target", str(installed), str(wheel)]
    subprocess.run([*command, "--python", sys.executable], check=True, timeout=300)
    script.write_text(SCRIPT)
    settings: dict[str, Any] = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(installed)}, "timeout": 300}
    words = ["-m", "pyflow.cli", "image", "build", "--tag", "pyflow-test-wheel:1"]
    built = subprocess.run([sys.executable, *words], check=False, capture_output=True, text=True, **settings)
    assert (built.returncode, built.stdout) == (0, "pyflow-test-wheel:1\n"), built.stderr
    words = [str(script), str(tmp_path / "store")]
    ran = subprocess.run([sys.executable, *words], check=False, capture_output=True, text=True, **settings)
    assert ran.returncode == 0, ran.stderr
    here, there = ran.stdout.splitlines()
    assert here == str(installed / "pyflow" / "__init__.py")
    assert there.endswith("/pyflow/__init__.py")
    assert there != here
    engine = open_engine()
    try:
        found = {image.tag: image.runtime for image in list_runtime_images(engine)}
        assert found["pyflow-test-wheel:1"] == runtime_archive().digest
    finally:
        engine.api.remove_image("pyflow-test-wheel:1", force=True)
        engine.close()
