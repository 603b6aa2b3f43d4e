"""``import pyflow`` is light: every worker, pod and notebook pays for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = {
    "IPython", "asyncio", "boto3", "botocore", "click", "docker", "hera", "httpx", "httpx2", "lightkube", "multiprocessing", "numpy",
    "pandas", "pathspec", "pyarrow", "pydantic", "requests", "rich", "tomli", "tomllib", "uv", "yaml",
}  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a statement loads in a fresh interpreter, beyond those of its start."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    # A coverage run hooks itself into every interpreter, with imports of its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_import_pyflow_is_light() -> None:
    """``import pyflow`` loads no cluster library, no array library and no display."""
    assert loaded_by("import pyflow") & HEAVY == set()


def test_all_public_names_are_light() -> None:
    """Neither does taking every public name out of it."""
    assert loaded_by("from pyflow import *") & HEAVY == set()


@pytest.mark.parametrize("package", ["pyflow.runtime.__main__", "pyflow.store", "pyflow.payload", "pyflow.scheduling"])
def test_what_a_worker_imports_is_light(package: str) -> None:
    """A worker's own parts load none of it either, until a task brings it."""
    if subprocess.run([sys.executable, "-c", f"import {package}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{package} is not built yet")
    assert loaded_by(f"import {package}") & HEAVY == set()


@pytest.mark.parametrize("package", ["pyflow", "pyflow.api", "pyflow.bundle", "pyflow.environments", "pyflow.runtime"])
def test_late_names_are_there(package: str) -> None:
    """What a package loads late is what it offers, each name stands for itself, and no file of the package takes its place."""
    code = (
        f"import {package} as package, types\n"
        "for name in package.__all__:\n"
        f"    exec(f'from {package} import {{name}} as value')\n"
        "    modules = {'errors', 'pod_container', 'reasons', 'sharing'}\n"
        "    assert isinstance(value, types.ModuleType) == (name in modules), name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_task_waits_for_little() -> None:
    """The one-shot worker loads nothing that finds, resolves or stages; what a task needs of that comes when it is needed."""
    # On some Pythons cloudpickle itself loads one of these.
    code = "import sys, cloudpickle; before = set(sys.modules); import pyflow.runtime.__main__; print(*set(sys.modules) - before)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    late = {
        "pyflow.bundle.discovery", "pyflow.environments.building", "pyflow.runtime.staging", "pyflow.runtime.worker",
        "pyflow.environments", "pyflow.graph", "pyflow.tracing", "subprocess", "zipfile", "tarfile", "email",
    }  # fmt: skip
    assert loaded & late == set()


def test_a_task_waits_for_no_dataclass() -> None:
    """To make one takes a millisecond, and a named tuple a fifth of that: in a container, each of them is waited for anew."""
    code = (
        "import sys, pyflow.runtime.__main__, pyflow.store.folder\n"
        "for name, module in list(sys.modules.items()):\n"
        "    for value in vars(module).values() if name.startswith('pyflow') else ():\n"
        "        if isinstance(value, type) and '__dataclass_fields__' in vars(value):\n"
        "            print(value)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
