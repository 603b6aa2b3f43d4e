"""``gc``: what nothing refers to goes, all else stays, whoever writes meanwhile and whenever the collector dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from unit.upkeep.conftest import again, age, content_of, digests, each_word, measure, run

from pyflow import failpoints, load_run
from pyflow.digest import CHUNK_SIZE
from pyflow.errors import ConfigError, IntegrityError, NotFoundError, PyflowError
from pyflow.store import RENEW_AFTER, SWEEP_LASTS, ContentStore, Keys, condemn, open_blobs
from pyflow.upkeep import Collector, Retention, Verifier, copy_run, referred_by_run, remembered

WEEKS = timedelta(days=30)


def test_what_a_kept_run_needs_stays(place):
    """After a collection all results of all kept runs can still be read; garbage is gone."""
    first, second = run(measure, 20_000, "a", store=place), run(each_word, 3, store=place)
    content = content_of(place)
    garbage = content.put_blob([b"nobody wants this" * 1000]).hex
    collected = Collector(content, grace=None).collect()
    assert (collected.blobs, collected.size_bytes, collected.run_count) == (1, 17_000, 2)
    assert garbage not in digests(content)
    assert load_run(first.id, place).result("large") == b"a" + bytes(20_000)
    assert load_run(second.id, place).result() == [10_001] * 3
    assert run(measure, 20_000, "a", store=place).result() == 20_001


def test_a_look_removes_nothing(place):
    """Without being told to, gc only says what it would remove: the same that it then removes."""
    run(measure, 20_000, "a", store=place)
    content = content_of(place)
    content.put_blob([b"garbage"])
    before = digests(content)
    looked = Collector(content, grace=None).look(Retention(keep_last=0))
    assert digests(content) == before
    collected = Collector(content, grace=None).collect(Retention(keep_last=0))
    assert (looked.blobs, looked.size_bytes, looked.runs) == (collected.blobs, collected.size_bytes, collected.runs)
    assert collected.blobs == len(before)
    assert digests(content) == set()


def test_what_is_young_stays(tmp_path):
    """Within the grace period nothing goes, for somebody may be about to refer to it."""
    content = content_of()
    content.put_blob([b"garbage"])
    collected = Collector(content).collect()
    assert (collected.blobs, collected.young) == (0, 1)
    age(tmp_path / ".pyflow", WEEKS)
    assert Collector(content).collect().blobs == 1


def test_a_grace_that_writers_cannot_count_on_is_refused():
    """A grace below what writers rely on is an error that says so."""
    with pytest.raises(ConfigError, match=r"1h, and must be 48h.*--no-grace"):
        Collector(content_of(), grace=timedelta(hours=1))


def test_an_argument_of_another_run_stays():
    """The result of a run that goes is kept while another run took it as its argument."""
    first = run(measure, 50_000, "a")
    second = run(again, first.artifact("large"))
    collected = Collector(content_of(), grace=None).collect(Retention(run_ids=[first.id]))
    assert collected.runs == [first.id]
    with pytest.raises(NotFoundError):
        load_run(first.id)
    content = content_of()
    assert load_run(second.id).result() == 50_001
    assert referred_by_run(content, second.id) >= digests(content) - {""}


def test_lists_of_results_are_followed():
    """The items of a list that a map goes over are blobs of their own, and stay with it."""
    done = run(each_word, 40)
    content = content_of()
    needed = referred_by_run(content, done.id)
    assert len(needed & digests(content)) >= 40
    assert Collector(content, grace=None).collect().blobs == 0


def test_what_is_named_elsewhere_in_the_project_stays():
    """A digest in a record that is no run's, such as that of something deployed, keeps its blob."""
    content = content_of()
    digest = content.put_blob([b"deployed"]).hex
    content.blobs.put(f"{content.keys.project_prefix()}/deployed/nightly", [f'{{"graph": "{digest}"}}'.encode()])
    assert Collector(content, grace=None).collect().blobs == 0
    assert digests(content) == {digest}


def test_other_owners_and_projects_are_not_touched():
    """Runs of somebody else keep their blobs and never go; blobs of another project are not looked at."""
    mine = content_of()
    theirs = ContentStore(mine.blobs, Keys(mine.keys.project, "somebody"))
    other = ContentStore(mine.blobs, Keys("another-project", mine.keys.owner))
    run(measure, 20_000, "a")
    for info in list(mine.blobs.list(mine.keys.runs())):
        if "/logs/" not in info.key and "/events/" not in info.key and "/commits/" not in info.key:
            mine.blobs.put(info.key.replace(f"/{mine.keys.owner}/", "/somebody/"), [mine.blobs.get(info.key)])
    other.put_blob([b"other"])
    collected = Collector(mine, grace=None).collect(Retention(keep_last=0))
    assert len(collected.runs) == 1
    assert list(theirs.blobs.folders(theirs.keys.runs())) == collected.runs
    assert digests(other) != set()
    assert digests(mine) != set()


# Writers meanwhile


def test_a_found_blob_that_is_old_is_made_young(tmp_path):
    """Who finds a blob that a collector could remove writes it anew, so it stays while it is about to be referred to."""
    content = content_of()
    digest = content.put_blob([b"found"])
    age(tmp_path / ".pyflow", RENEW_AFTER - timedelta(hours=1))
    before = content.blobs.info(content.keys.blob(digest.hex))
    content.put_blob([b"found"])
    assert content.blobs.info(content.keys.blob(digest.hex)) == before
    age(tmp_path / ".pyflow", WEEKS)
    content.put_blob([b"found"])
    found = content.blobs.info(content.keys.blob(digest.hex))
    assert datetime.now(timezone.utc) - found.modified_at < timedelta(minutes=1)
    assert Collector(content).collect().blobs == 0


def test_an_argument_is_made_young(tmp_path):
    """A result that is taken as an argument is as good as new, also when its run goes at once."""
    first = run(measure, 50_000, "a")
    artifact = first.artifact("large")
    age(tmp_path / ".pyflow", WEEKS)
    traced = again.trace(artifact)
    assert traced is not None
    second = run(again, artifact)
    Collector(content_of()).collect(Retention(run_ids=[first.id]))
    assert load_run(second.id).result() == 50_001


def test_an_argument_that_is_gone_is_told_before_the_run():
    """A result whose blob was collected cannot be taken as an argument; the error says so."""
    first = run(measure, 50_000, "a")
    artifact = first.artifact("large")
    Collector(content_of(), grace=None).collect(Retention(run_ids=[first.id]))
    with pytest.raises(NotFoundError, match="was removed"):
        run(again, artifact)


@pytest.mark.parametrize("point", ["gc.condemned", "gc.deleted"])
def test_a_blob_renewed_between_a_look_and_its_removal_stays(tmp_path, point):
    """Whoever renews a condemned blob waits until the collector has let go of it, and finds it there then."""
    content = content_of()
    digest = content.put_blob([b"wanted again"]).hex
    age(tmp_path / ".pyflow", WEEKS)
    gate = tmp_path / "gate"
    failpoints.arm(f"{point}:1:wait={gate}")
    try:
        collector = threading.Thread(target=Collector(content).collect)
        collector.start()
        while not Path(f"{gate}.waiting").exists():
            pass
        others = ContentStore(open_blobs(content.blobs.url), content.keys)
        writer = threading.Thread(target=others.put_blob, args=([b"wanted again"],))
        writer.start()
        writer.join(0.3)
        assert writer.is_alive() or point == "gc.deleted"
        gate.touch()
        collector.join()
        writer.join()
    finally:
        failpoints.arm("")
    assert digest in digests(content)
    assert content.read_blob(digest, 12) == b"wanted again"


def test_a_sweep_of_a_dead_collector_ends(tmp_path):
    """What a killed collector named is held up for a quarter of an hour at most, and its sweep goes the next time."""
    content = content_of()
    digest = content.put_blob([b"named"]).hex
    condemn(content.blobs, content.keys, "dead", [digest])
    age(tmp_path / ".pyflow", max(SWEEP_LASTS, RENEW_AFTER) + timedelta(minutes=1))
    content.put_blob([b"named"])
    Collector(content).collect()
    assert list(content.blobs.list(content.keys.sweeps())) == []


DYING = """
import sys
from datetime import timedelta
from pyflow.store import ContentStore, Keys, open_blobs
from pyflow.upkeep import Collector, Retention
url, project, owner = sys.argv[1:]
Collector(ContentStore(open_blobs(url), Keys(project, owner)), grace=None).collect(Retention(keep_last=1))
"""


@pytest.mark.parametrize("point", failpoints.COLLECTION)
def test_a_collector_may_be_killed(point):
    """Killed at any step, it leaves every kept run whole, and the next one does the rest."""
    runs = [run(measure, 20_000 + n, "a") for n in range(3)]
    content = content_of()
    content.put_blob([b"garbage"])
    command = [sys.executable, "-c", DYING, content.blobs.url, content.keys.project, content.keys.owner]
    environment = {**os.environ, failpoints.VARIABLE: f"{point}:1:kill"}
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    assert load_run(runs[2].id).result("large") == b"a" + bytes(20_002)
    collected = Collector(content, grace=None).collect(Retention(keep_last=1))
    assert collected.run_count == 1
    assert load_run(runs[2].id).result("large") == b"a" + bytes(20_002)
    assert digests(content) == referred_by_run(content, runs[2].id) & digests(content)
    assert list(content.blobs.folders(content.keys.runs())) == [runs[2].id]


def test_beside_a_running_run_nothing_is_lost(tmp_path):
    """Collections go on while runs make the same large results again and again: no result is ever missing."""
    stop = threading.Event()
    failed: list[BaseException] = []
    # A blob grows old in days, so never while a collection is under way that began when it was young.
    days_pass = threading.Lock()

    def collect() -> None:
        content = content_of()
        while not stop.is_set():
            try:
                with days_pass:
                    Collector(content).collect(Retention(keep_last=2))
            except PyflowError as error:
                failed.append(error)
            time.sleep(0.001)  # for whoever waits for the lock

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        for n in range(12):
            with days_pass:
                for info in content_of().blobs.list(content_of().keys.blobs()):
                    os.utime(tmp_path / ".pyflow" / info.key, (0, 0))
            assert run(measure, 20_000 + n % 3, "a").result() == 20_001 + n % 3
    finally:
        stop.set()
        thread.join()
    assert failed == []


# What is broken or unfinished


def test_what_cannot_be_understood_stops_a_collection(tmp_path):
    """While it cannot be told what a run refers to, nothing goes; the error says how to go on."""
    done = run(measure, 20_000, "a")
    content = content_of()
    content.put_blob([b"garbage"])
    graph = content.keys.blob(done.record.graph_digest)
    content.blobs.put(graph, [b"damaged"])
    with pytest.raises(IntegrityError) as told:
        Collector(content, grace=None).collect()
    assert f"pyflow gc --remove {done.id}" in "".join(told.value.__notes__)
    assert len(digests(content)) >= 2
    Collector(content, grace=None).collect(Retention(run_ids=[done.id]))
    assert digests(content) == set()


def test_what_a_dead_writer_left_aside_goes(tmp_path):
    """A file that a killed writer left behind is removed once it is old; a younger one stays."""
    content = content_of()
    content.put_blob([b"x"])
    aside = tmp_path / ".pyflow" / ".tmp"
    (aside / "1-dead").write_bytes(b"half")
    age(aside, WEEKS)
    (aside / "2-alive").write_bytes(b"half")
    assert Collector(content).look().unfinished == 1
    assert Collector(content).collect().unfinished == 1
    assert [path.name for path in aside.iterdir()] == ["2-alive"]


def test_an_abandoned_upload_is_ended(moto, monkeypatch):
    """Parts of a large blob that were never put together are removed, so that nobody pays for them."""
    moto.enter(monkeypatch)
    url = f"s3://pyflow-tests/uploads-{os.getpid()}"
    content = content_of(url)
    content.put_blob([b"x"])
    s3, key = moto.client(), url.removeprefix("s3://pyflow-tests/") + "/v1/left"
    s3.create_multipart_upload(Bucket="pyflow-tests", Key=key)
    s3.create_multipart_upload(Bucket="pyflow-tests", Key="elsewhere")
    assert Collector(content, grace=None).collect().unfinished == 1
    left = [upload["Key"] for upload in s3.list_multipart_uploads(Bucket="pyflow-tests").get("Uploads", ())]
    assert key not in left
    assert "elsewhere" in left


def test_blobs_of_several_chunks_go_whole():
    """With a large blob goes the list of its chunks."""
    content = content_of()
    content.put_blob([bytes(CHUNK_SIZE + 1)])
    assert Collector(content, grace=None).collect().blobs == 1
    assert list(content.blobs.list(content.keys.blobs())) == []


# What was found out is kept


def test_a_second_collection_takes_what_the_first_has_found(place, monkeypatch):
    """The records of a run that has ended are read once; what stays and what goes is the same, also from a copy of the run."""
    run(each_word, 3, store=place)
    content = content_of(place)
    first = Collector(content, grace=None).collect()
    kept = digests(content)
    garbage = content.put_blob([b"garbage"]).hex
    monkeypatch.setattr(remembered, "referred_by_run", None)  # whoever reads the records now, fails
    second = Collector(content, grace=None).collect()
    assert (first.run_count, second.run_count, second.blobs) == (1, 1, 1)
    assert garbage not in digests(content)
    assert digests(content) == kept


def test_a_look_keeps_nothing(place):
    """Without being told to, gc writes nothing."""
    done = run(measure, 10, "a", store=place)
    content = content_of(place)
    Collector(content, grace=None).look()
    assert content.blobs.info(content.keys.references(done.id)) is None


def test_a_run_that_goes_on_is_read_anew(place):
    """A commit that is added to a run that had ended, as a retry on a cluster does, is seen by the next collection."""
    done = run(measure, 10, "a", store=place)
    content = content_of(place)
    Collector(content, grace=None).collect()
    late = content.put_blob([b"late" * 100]).hex
    content.blobs.commit(content.keys.commits(done.id), "9", b'{"digest":"%s"}' % late.encode())
    assert Collector(content, grace=None).collect().blobs == 0
    assert late in digests(content)


@pytest.mark.parametrize("how", ["flipped", "forged", "another run's", "no json"])
def test_what_is_kept_of_references_is_believed_only_when_it_is_signed(place, how):
    """Whoever writes into the store cannot make a collector remove what a run refers to; what is damaged is found out anew."""
    done, other = run(measure, 20_000, "a", store=place), run(measure, 10, "b", store=place)
    content = content_of(place)
    Collector(content, grace=None).collect()
    before, key = digests(content), content.keys.references(done.id)
    kept = content.blobs.get(key)
    body = json.loads(kept)
    content.blobs.put(key, [{
        "flipped": kept.replace(body["digests"][0].encode(), b"0" * 64),
        "forged": json.dumps({**body, "digests": [], "sig": ""}).encode(),
        "another run's": content.blobs.get(content.keys.references(other.id)),
        "no json": b"\xff",
    }[how]])  # fmt: skip
    assert Collector(content, grace=None).collect().blobs == 0
    assert digests(content) == before


def test_copies_leave_it_behind(tmp_path):
    """What a collector has kept is of one store, and does not travel with a run."""
    done = run(measure, 10, "a")
    here, there = content_of(), content_of(str(tmp_path / "there"))
    Collector(here, grace=None).collect()
    copy_run(here, there, done.id)
    assert here.blobs.info(here.keys.references(done.id)) is not None
    assert there.blobs.info(there.keys.references(done.id)) is None
    assert list(Verifier(here).everything()) == []
