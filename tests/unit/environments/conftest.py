"""A cache of packages of each test's own, and small environments made by hand."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from pyflow.environments.archive import write_archive
from pyflow.store import ContentStore, Keys
from pyflow.store.memory import MemoryBlobs


@pytest.fixture
def content():
    """A store in memory."""
    return ContentStore(MemoryBlobs(os.urandom(6).hex()), Keys("project", "owner"))


@pytest.fixture
def make_tree(tmp_path):
    """Makes a folder of files from names and bytes."""

    def make(files: dict[str, bytes], name: str = "tree") -> Path:
        folder = tmp_path / name
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder

    return make


@pytest.fixture
def keep(tmp_path, content, make_tree):
    """Packs files as an environment in the store, and answers what a task's options say of it."""

    def keep_files(files: dict[str, bytes], **changes):
        tree = make_tree(files, name=f"made-{len(list(tmp_path.iterdir()))}")
        archive = tmp_path / f"archive-{hashlib.sha256(repr(sorted(files)).encode()).hexdigest()[:8]}"
        with archive.open("wb") as file:
            contents = write_archive(tree, file)
        digest = content.put_blob([archive.read_bytes()])
        return {
            "digest": digest.hex,
            "size": digest.size_bytes,
            "unpacked": contents.size_bytes,
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "platform": f"{sys.platform}/amd64",
            **changes,
        }

    return keep_files
