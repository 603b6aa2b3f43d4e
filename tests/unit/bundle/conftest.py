"""Projects on disk: small real packages, imported here or run in a process of their own."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pyflow


def write_files(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def load(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Write files into a fresh folder, forget modules of their names, and import ``flow`` from there."""

    def load_files(files: Mapping[str, str], *, path: str = "", name: str = "flow") -> ModuleType:
        folder = write_files(tmp_path_factory.mktemp("project"), files)
        inside = [file.removeprefix(path).removeprefix("site-packages").lstrip("/") for file in files]
        tops = {file.split("/")[0].removesuffix(".py") for file in inside}
        for loaded in [*sys.modules]:
            if loaded.split(".")[0] in tops:
                monkeypatch.delitem(sys.modules, loaded)
        for entry in [*sys.path]:
            if "/project" in entry and str(folder.parent) in entry:
                sys.path.remove(entry)
        monkeypatch.syspath_prepend(str(folder / "site-packages"))
        monkeypatch.syspath_prepend(str(folder / path))
        importlib.invalidate_caches()
        module = importlib.import_module(name)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return load_files


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., Any]:
    """Write files, run one of them as a script in a fresh process, and give what it printed as JSON."""

    def run(files: Mapping[str, str], script: str = "flow.py", **env: str) -> Any:
        write_files(tmp_path, files)
        here = str(Path(pyflow.__file__).parent.parent)
        done = subprocess.run(
            [sys.executable, script],
            cwd=tmp_path,
            env={**os.environ, **env, "PYTHONPATH": here},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
