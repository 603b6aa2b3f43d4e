"""Stores with runs in them, and time that passes."""

from __future__ import annotations

import os
import time
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from servers import BUCKET

from pyflow import pipeline, task
from pyflow.api import open_workplace
from pyflow.config import Settings
from pyflow.store import ContentStore


@task
def large(n: int, mark: str) -> bytes:
    print("making", n, mark)
    return mark.encode() + bytes(n)


@task
def length(data: bytes) -> int:
    return len(data)


@pipeline
def measure(n: int, mark: str):
    return length(large(n, mark))


@pipeline
def again(data):
    return length(data)


@task
def words(n: int) -> list[bytes]:
    return [b"%d" % i + bytes(10_000) for i in range(n)]


@pipeline
def each_word(n: int):
    return length.map(words(n))


def run(pipe, *arguments, store=None):
    """A run that has ended, in process."""
    done = pipe.with_options(executor="inprocess", store=store, progress=False).submit(*arguments)
    assert done.status == "succeeded"
    return done


def content_of(store: str | None = None) -> ContentStore:
    """The content of a store, as this process's owner sees it."""
    return open_workplace(Settings(store=store)).content


def age(folder: Path, by: timedelta) -> None:
    """Let all that lies in a folder store be older."""
    then = time.time() - by.total_seconds()
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def digests(content: ContentStore) -> set[str]:
    """All blobs of the project."""
    found = {info.key.rpartition("/")[2] for info in content.blobs.list(content.keys.blobs())}
    return {name for name in found if not name.endswith(".chunks")}


@pytest.fixture(params=["folder", "moto"])
def place(request, tmp_path, monkeypatch) -> str:
    """A new store, in a folder and in a bucket."""
    if request.param == "folder":
        return str(tmp_path / "place")
    request.getfixturevalue("moto").enter(monkeypatch)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"
