"""What a runtime image is built from, and when one fits."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace

import pytest
from click.testing import CliRunner

from pyflow.cli import cli
from pyflow.images import build_context, compiled_in_image, runtime_archive, runtime_tag, travelling


def changed(monkeypatch, name, data):
    """The core's digest, with one file of the runtime changed."""
    found = runtime_archive()
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(found.data)) as read, zipfile.ZipFile(buffer, "w") as made:
        assert name in read.namelist()
        for member in read.namelist():
            made.writestr(member, data if member == name else read.read(member))
    monkeypatch.setattr(travelling, "runtime_archive", lambda: replace(found, data=buffer.getvalue()))
    travelling.core_digest.cache_clear()
    try:
        return travelling.core_digest()
    finally:
        monkeypatch.undo()
        travelling.core_digest.cache_clear()


@pytest.mark.parametrize(
    ("name", "is_core"),
    [
        ("pyflow/packed.py", True),
        ("pyflow/images/carried/pyflow_start.py", True),
        ("pyflow-dependencies/cloudpickle/cloudpickle.py", True),
        ("pyflow-dependencies/botocore/client.py", False),
    ],
)
def test_an_image_fits_whoever_has_the_same_pyflow(monkeypatch, name, is_core):
    """What is written here and read there must be the same; how the store is asked need not be."""
    assert (changed(monkeypatch, name, b"# another one\n") != travelling.core_digest()) is is_core


def test_a_folder_is_written_for_other_builders(tmp_path):
    """The same files as Docker's engine gets, and the name under which runs look for the image."""
    folder = tmp_path / "new" / "context"
    told = CliRunner().invoke(cli, ["image", "context", str(folder), "--base", "registry.example/gdal:3.9"])
    assert (told.exit_code, told.stdout) == (0, f"{runtime_tag()}\n")
    written = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert written == dict(build_context(base="registry.example/gdal:3.9"))
    dockerfile = written["Dockerfile"].decode()
    assert set(re.findall(r"^ARG PYFLOW_BASE=(.*)$", dockerfile, re.MULTILINE)) == {"registry.example/gdal:3.9"}
    assert f"ARG PYFLOW_COMPILED_AT={compiled_in_image()}\n" in dockerfile
    assert f"ARG PYFLOW_RUNTIME={runtime_archive().digest}\n" in dockerfile
    assert not re.findall(r"^ARG \w+$", dockerfile, re.MULTILINE)  # whoever builds need say nothing
    assert written["pyflow/pyflow/packed.py"] == zipfile.ZipFile(io.BytesIO(runtime_archive().data)).read(
        "pyflow/packed.py"
    )


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_there_is_left_alone(tmp_path, kind):
    """A folder with something in it is not written to, nor is a file replaced."""
    there = tmp_path / "there"
    if kind == "file":
        there.write_text("mine")
    else:
        there.mkdir()
        (there / "mine").touch()
    told = CliRunner().invoke(cli, ["image", "context", str(there)])
    assert told.exit_code == 2
    assert "is no empty folder" in told.stderr
    assert not (there / "Dockerfile").exists()


def test_a_registry_that_only_the_cluster_has_names_the_image(tmp_path, monkeypatch):
    """Who builds for pods says the registry once."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pyflow.argo]\nregistry = "registry.example/team/"\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(cli, ["image", "context", "context"])
    assert told.stdout == f"registry.example/team/{runtime_tag()}\n"
