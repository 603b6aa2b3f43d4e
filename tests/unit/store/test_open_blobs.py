"""A URL or path becomes a store, or an error that says what would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pyflow.errors import StoreError
from pyflow.store import open_blobs


@pytest.mark.parametrize(
    "url", ["here", "./here", Path("here"), "file:{cwd}/here", "file://{cwd}/here", "FILE://localhost{cwd}/here"]
)
def test_folders_are_named_in_several_ways(tmp_path, url):
    """A path and all forms of a file URL lead to one store, wherever the process goes afterwards."""
    url = url.format(cwd=tmp_path) if isinstance(url, str) else url
    assert open_blobs(url).url == f"file://{tmp_path}/here"


def test_the_home_folder_is_known(monkeypatch):
    """``~`` means the home folder."""
    monkeypatch.setenv("HOME", "/home/ann")
    assert open_blobs("~/store").url == "file:///home/ann/store"


def test_stores_in_memory_have_names():
    """One name, one store; another name, another."""
    open_blobs("memory://one").put("v1/a", [b"x"])
    assert open_blobs("memory://one").get("v1/a") == b"x"
    assert open_blobs("memory://two").info("v1/a") is None
    assert open_blobs("memory://one").url == "memory://one"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3:///team", "does not name a bucket"),
        ("s3:/bucket", "does not name a bucket"),
        ("s3://b/team", "does not name a bucket"),
        ("s3://bucket/my team", "'my team' cannot be part of a key"),
        ("s3://bucket/../other", "cannot be part of a key"),
        ("s3://bucket/a?versionId=3", "cannot be part of a key"),
        ("gs://bucket/team", "'gs' is not one of the kinds file, s3, memory"),
        ("https://example.org/store", "'https' is not one of the kinds file, s3, memory"),
        ("file://server/share", "Write three slashes"),
        ("file://relative", "Write three slashes"),
        ("memory://", "cannot be part of a key"),
        ("memory://../x", "cannot be part of a key"),
        ("", "not the path of a folder"),
        ("a\0b", "not the path of a folder"),
    ],
)
def test_what_is_no_store_is_told(url, message):
    """An unknown or wrong URL is an error before anything is written."""
    with pytest.raises(StoreError, match=message):
        open_blobs(url)


def test_importing_the_store_is_light():
    """Neither ctypes nor anything heavier is loaded until it is needed."""
    # What is there before counts for nothing: coverage, where it watches, loads much of this itself.
    code = "import sys; before = set(sys.modules); import pyflow.store, pyflow.store.folder; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "pyflow.store.folder" in loaded
    assert not {"ctypes", "concurrent.futures", "urllib.parse", "tempfile", "boto3", "numpy"} & set(loaded)
