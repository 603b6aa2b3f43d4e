"""The testbed's cluster as a user finds it who has applied what ``pyflow argo setup`` prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from pyflow import Volume
from pyflow.api import Pipeline
from pyflow.executors.argo import argo_settings, setup_objects
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
def prepared_for_laws() -> dict[str, Any]:
    """The same for tasks that are defined in pyflow's own tests, and use arrays and frames."""
    packages = [f"{name}=={version(name)}" for name in ("numpy", "pandas", "pyarrow")]
    lines = f"FROM {IMAGE}\nRUN pip install --no-cache-dir --root-user-action=ignore {' '.join(packages)}\n"
    build = ["docker", "build", "--network", "host", "-q", "-t", LAWS_IMAGE, "-"]
    subprocess.run(build, input=lines, text=True, check=True, capture_output=True, timeout=400)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgoStage(Stage):
    """A cluster under trial: pods see the shared folder under the caller's path."""

    def on(self, pipeline: Pipeline[Any, Any], **options: Any) -> Pipeline[Any, Any]:
        """The pipeline, set to run here."""
        defaults = {"volumes": {str(self.shared): Volume.host(str(self.shared), read_only=False)}}
        defaults |= pipeline.definition.defaults or {}
        base = Stage.on(self, pipeline, **options)
        return base.with_options(defaults=defaults, argo=prepared_for_laws())
