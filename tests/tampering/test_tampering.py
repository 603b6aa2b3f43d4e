"""Every object of a store is tampered with: nothing false is believed, and nothing is unpickled that nobody signed."""

from __future__ import annotations

import os
import uuid

import pytest
from canary import Cage
from servers import BUCKET
from tampering.flow import bad, good
from tampering.trials import Place, Tally, table, try_all

from pyflow.api import open_workplace
from pyflow.config import Settings
from pyflow.runtime import open_home
from pyflow.store.s3.blobs import S3Blobs

LEAST = 2_000
_tallies: dict[str, Tally] = {}


def make_runs(store: str) -> dict[str, str]:
    """Three runs in a store: one to be read, one that failed, and an older one."""
    options = {"executor": "inprocess", "store": store, "progress": False}
    older = good.with_options(**options).submit("older")
    made = good.with_options(**options).submit("salt")
    failed = bad.with_options(**options).submit("salt")
    assert [run.wait() for run in (older, made, failed)] == ["succeeded", "succeeded", "failed"]
    return {"older": older.id, "good": made.id, "bad": failed.id}


def is_tried(key: str) -> bool:
    """Logs are text that nobody loads; the rest is tried."""
    return "/logs/" not in key and not key.endswith(".gitignore") and "pyflow-store.json" not in key


def check(tally: Tally, name: str, capsys) -> None:
    _tallies[name] = tally
    assert tally.wrong == [], "\n".join(tally.wrong[:20])
    assert tally.refused.total() > tally.true.total()
    with capsys.disabled():
        print("\n" + table({name: tally}))


def test_a_folder(tmp_path, capsys):
    """Each file of a folder, with many bits flipped."""
    store = tmp_path / "store"
    runs = make_runs(str(store))
    home = open_workplace(Settings(store=str(store))).home
    files = sorted(
        str(file.relative_to(store)) for file in store.rglob("*") if file.is_file() and ".tmp" not in file.parts
    )
    place = Place(
        lambda: open_home(home),
        [key for key in files if is_tried(key)],
        lambda key: (store / key).read_bytes(),
        lambda key, data: (store / key).write_bytes(data) and None,
    )
    check(try_all(place, runs, Cage(tmp_path), tmp_path / "results", flips=80, verify_every=4), "folder", capsys)


def test_a_bucket(seaweed, monkeypatch, tmp_path, capsys):
    """Each object of a bucket on a real server."""
    seaweed.enter(monkeypatch)
    prefix = uuid.uuid4().hex
    store = f"s3://{BUCKET}/{prefix}"
    runs = make_runs(store)
    home = open_workplace(Settings(store=store)).home
    client = seaweed.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
    keys = [found["Key"][len(prefix) + 1 :] for page in pages for found in page["Contents"]]
    place = Place(
        lambda: open_home(home, S3Blobs(store)),
        [key for key in keys if is_tried(key)],
        lambda key: client.get_object(Bucket=BUCKET, Key=f"{prefix}/{key}")["Body"].read(),
        lambda key, data: client.put_object(Bucket=BUCKET, Key=f"{prefix}/{key}", Body=data) and None,
    )
    flips = int(os.environ.get("PYFLOW_TEST_FLIPS", "6"))
    check(try_all(place, runs, Cage(tmp_path), tmp_path / "results", flips=flips, verify_every=12), "bucket", capsys)


def test_enough_was_tried():
    """Both together are the promised number of objects."""
    if len(_tallies) < 2:
        pytest.skip("not both stores were tried")
    assert sum(tally.tried.total() for tally in _tallies.values()) >= LEAST
