"""Which runs may go: by age, by count, never one that may go on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from unit.upkeep.conftest import content_of, measure, run

from pyflow.runs import RunRecord
from pyflow.upkeep import Retention, may_go

NOW = datetime.now(timezone.utc)


def started(run_id: str, *, days_ago: float, pipeline: str = "p", host: str = "elsewhere", pid: int = 1) -> None:
    """A run that was started and has not ended, as another machine left it."""
    done = run(measure, 1, "x")
    content = content_of()
    record = replace(
        done.record,
        run_id=run_id,
        pipeline=pipeline,
        host=host,
        pid=pid,
        pid_started="never",
        started_at=(NOW - timedelta(days=days_ago)).timestamp(),
    )
    record.write(content)


def ended(run_id: str, **options) -> None:
    """The same, with an end."""
    started(run_id, **options)
    content = content_of()
    ended_run = next(iter(content.blobs.folders(content.keys.runs())))
    content.blobs.put(content.keys.summary(run_id), [content.blobs.get(content.keys.summary(ended_run))])


def going(retention: Retention, *, now: datetime = NOW) -> list[str]:
    found, _ = may_go(content_of(), retention, now=now)
    return sorted(run_id for run_id in found if run_id.startswith("r"))


def test_age_and_count():
    """Old runs go, or all but the last of each pipeline; with both rules only those that both let go."""
    for n in range(4):
        ended(f"r{n}", days_ago=10 * n)
    ended("rother", days_ago=50, pipeline="other")
    assert going(Retention()) == []
    assert going(Retention(older_than=timedelta(days=15))) == ["r2", "r3", "rother"]
    assert going(Retention(keep_last=1)) == ["r1", "r2", "r3"]
    assert going(Retention(older_than=timedelta(days=25), keep_last=1)) == ["r3"]
    assert going(Retention(run_ids=["r0"])) == ["r0"]


def test_a_run_that_may_go_on_stays():
    """A run of another machine without an end stays, until it has said nothing for a week; one whose caller died goes."""
    started("relsewhere", days_ago=90)
    content = content_of()
    here = RunRecord.read(content, next(iter(content.blobs.folders(content.keys.runs())))).host
    started("rdead", days_ago=90, host=here, pid=2**22 - 3)
    going_now, kept = may_go(content, Retention(older_than=timedelta(days=30)), now=NOW)
    assert going_now == ["rdead"]
    assert [(one.run_id, "elsewhere" in one.why) for one in kept] == [("relsewhere", True)]
    assert "relsewhere" in going(Retention(older_than=timedelta(days=30)), now=NOW + timedelta(days=8))


def test_an_unknown_run_is_told():
    """A run that does not exist is among those that stay, with the reason."""
    assert [one.why for one in may_go(content_of(), Retention(run_ids=["nope"]), now=NOW)[1]] == [
        "there is no such run"
    ]
