"""The testbed's cluster as a user finds it who has applied what ``pyflow argo setup`` prints."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from pyflow import Volume
from pyflow.api import Pipeline
from pyflow.executors.argo import argo_settings, open_cluster, setup_objects
from pyflow.executors.argo.cluster import Cluster
from pyflow.images import travelling
from pyflow.store.trust import Trust
from pyflow.testing import Stage

IMAGE = "python:{}.{}-slim".format(*sys.version_info)
LAWS_IMAGE = "pyflow-laws:{}.{}".format(*sys.version_info)
"""The same with the packages that some laws use."""
TABLE = {"service_account": "pyflow", "s3_secret": "s3-credentials", "image": IMAGE}
TESTBED = Path(__file__).parents[2] / "shared" / "testbed"

needs_argo = [
    pytest.mark.argo,
    pytest.mark.skipif("ARGO_SERVER" not in os.environ, reason="no cluster with Argo: see CONTRIBUTING.md"),
]

only_when_all = pytest.mark.skipif(
    "PYFLOW_TEST_ARGO_ALL" not in os.environ, reason="takes long: PYFLOW_TEST_ARGO_ALL=1 tries it"
)


@cache
def prepared() -> dict[str, Any]:
    """The table of settings for the cluster, after the objects that runs need were applied and the image was loaded."""
    found = Trust().keys
    # Each process that tests has a key of its own, so each has a Secret of its own.
    key_secret = f"pyflow-key-{found[0].id}"
    table = {**TABLE, "namespace": os.environ["PYFLOW_TEST_NAMESPACE"], "key_secret": key_secret}
    keys = [key.secret.hex() for key in found]
    objects = yaml.safe_dump_all(setup_objects(argo_settings(table, os.environ), keys))
    subprocess.run(["kubectl", "apply", "-f", "-"], input=objects, text=True, check=True, capture_output=True)
    if TESTBED.is_dir():
        subprocess.run([TESTBED / "load-image", IMAGE], check=True, capture_output=True, timeout=120)
    return table


@cache
def build_laws_image() -> str:
    """The image of Python with the packages that some laws use, built; its name."""
    packages = [f"{name}=={version(name)}" for name in ("numpy", "pandas", "pyarrow")]
    lines = f"FROM {IMAGE}\nRUN pip install --no-cache-dir --root-user-action=ignore {' '.join(packages)}\n"
    build = ["docker", "build", "--network", "host", "-q", "-t", LAWS_IMAGE, "-"]
    subprocess.run(build, input=lines, text=True, check=True, capture_output=True, timeout=400)
    return LAWS_IMAGE


@cache
def prepared_for_laws() -> dict[str, Any]:
    """The same for tasks that are defined in pyflow's own tests, and use arrays and frames."""
    build_laws_image()
    if TESTBED.is_dir():
        subprocess.run([TESTBED / "load-image", LAWS_IMAGE], check=True, capture_output=True, timeout=200)
    travelling._LEFT_OUT_OF_PYFLOW = re.compile(r"(?:^|/)__pycache__/|\.pyc$|^pyflow/(?:cli|ui)/")
    travelling.runtime_archive.cache_clear()
    return {**prepared(), "image": LAWS_IMAGE}


def new_store() -> str:
    """A store of its own in the testbed's bucket."""
    return f"{os.environ['PYFLOW_TEST_S3']}/{uuid.uuid4().hex[:12]}"


def pyproject(folder: Path) -> None:
    """The settings as a project keeps them, for what is started in this folder."""
    lines = [f'{name} = "{value}"' for name, value in prepared_for_laws().items()]
    (folder / "pyproject.toml").write_text("[tool.pyflow.argo]\n" + "\n".join(lines) + "\n", encoding="utf-8")


def project(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, **table: Any) -> ModuleType:
    """A file of an author's with pipelines, imported, and the settings of a project beside it, whose default is the cluster."""
    (folder / "flows.py").write_text(textwrap.dedent(source), encoding="utf-8")
    settings = {name: value for name, value in {**prepared(), **table}.items() if value is not None}
    # What is JSON here is TOML as well.
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    head = f'[tool.pyflow]\nexecutor = "argo"\nstore = "{new_store()}"\nprogress = false\n[tool.pyflow.argo]\n'
    (folder / "pyproject.toml").write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "flows", raising=False)
    return importlib.import_module("flows")


def cluster(**table: Any) -> Cluster:
    """The way to the cluster that the variables name."""
    return open_cluster(argo_settings({**prepared(), **table}, os.environ))


def pyflow(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """The command, with its output."""
    command = [sys.executable, "-m", "pyflow.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200, **more)


def kubectl(*words: str, **more: Any) -> str:
    """What the administrator's command prints."""
    command = ["kubectl", "-n", prepared()["namespace"], *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, **more).stdout


def until(is_so: Callable[[], Any], within_s: float = 120) -> Any:
    """Wait until something is true; what it is then."""
    end = time.monotonic() + within_s
    while not (found := is_so()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.5)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgoStage(Stage):
    """A cluster under trial: pods see the shared folder under the caller's path."""

    def on(self, pipeline: Pipeline[Any, Any], **options: Any) -> Pipeline[Any, Any]:
        """The pipeline, set to run here."""
        defaults = {"volumes": {str(self.shared): Volume.host(str(self.shared), read_only=False)}}
        defaults |= pipeline.definition.defaults or {}
        base = Stage.on(self, pipeline, **options)
        return base.with_options(defaults=defaults, argo=prepared_for_laws())
