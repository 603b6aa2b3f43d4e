"""``pyflow verify``: what is wrong in a store, found by reading all of it. Nothing is unpickled, and nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from pyflow.contract import Outcome, parse_slot
from pyflow.errors import EnvironmentMismatchError, NotFoundError, PyflowError, StoreUnavailableError
from pyflow.jsontext import Json
from pyflow.packed import PackedGraph
from pyflow.runs import RunRecord, RunSummary, is_event
from pyflow.store import ContentStore, about, about_error
from pyflow.upkeep.flaws import Checked, Flaw
from pyflow.upkeep.verify_blobs import BlobVerifier

_NOT_WRITTEN_SO: Final = (PyflowError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading a record raises that somebody else has written."""


class Verifier:
    """Reads what lies in one project of a store, and tells what is wrong.

    Args:
        content: The store; the runs are those of its owner.

    Attributes:
        checked: How much has been looked at so far.
    """

    def __init__(self, content: ContentStore) -> None:
        self.checked = Checked()
        self._content = content
        self._blobs = BlobVerifier(content, self.checked)

    def everything(self) -> Iterator[Flaw]:
        """What is wrong with the owner's runs, and with all blobs of the project."""
        for run_id in self._content.blobs.folders(self._content.keys.runs()):
            yield from self.run(run_id)
        yield from self._blobs.rest()

    def run(self, run_id: str) -> Iterator[Flaw]:
        """What is wrong with one run, and with the blobs that it refers to."""
        self.checked.runs += 1
        key = self._content.keys.run_info(run_id)
        try:
            record = RunRecord.read(self._content, run_id)
        except NotFoundError:
            yield Flaw(
                "run", key, run_id, problem="there is no record: it was lost, or the run is being made or removed"
            )
            return
        except StoreUnavailableError:
            raise
        except PyflowError as error:
            yield Flaw("run", key, run_id, problem=str(error))
            return
        if why := record.objection(self._content):
            yield Flaw("run", key, run_id, problem=f"it is not believed: {why}")
        yield from self._summary(run_id)
        found = _Run(self._content, self._blobs, record)
        yield from found.graph()
        yield from found.commits()
        yield from found.events()
        self.checked.commits += found.commit_count
        self.checked.events += found.event_count

    def _summary(self, run_id: str) -> Iterator[Flaw]:
        key = self._content.keys.summary(run_id)
        try:
            if RunSummary.read(self._content, run_id) is None:
                return
            data = self._content.blobs.get(key)
        except StoreUnavailableError:
            raise
        except PyflowError as error:
            yield Flaw("summary", key, run_id, problem=str(error))
            return
        if why := self._content.trust.objection(about("summary", run_id), data):
            yield Flaw("summary", key, run_id, problem=f"it is not believed: {why}")


class _Run:
    """One run whose record could be read."""

    def __init__(self, content: ContentStore, blobs: BlobVerifier, record: RunRecord) -> None:
        self.commit_count = 0
        self.event_count = 0
        self._content = content
        self._blobs = blobs
        self._record = record
        self._name_by_node: dict[int, str] = {}
        self._believed: set[str] = set()
        self._succeeded: set[str] = set()
        self._book = content.keys.commits(record.run_id)
        self._commits = content.commits(record.run_id, record.graph_digest)

    def graph(self) -> Iterator[Flaw]:
        """The packed graph, and all it is made of."""
        record = self._record
        try:
            data = bytes(self._content.read_blob(record.graph_digest, record.graph_size))
            wire = json.loads(data)
            graph = PackedGraph.from_bytes(data)
            nodes = list(graph.walk_all())
        except StoreUnavailableError:
            raise
        except EnvironmentMismatchError:
            return  # a newer pyflow wrote it, and can verify it
        except _NOT_WRITTEN_SO as error:
            yield Flaw("graph", record.graph_digest, record.run_id, problem=str(error))
            return
        self._name_by_node = {node.id: node.name for node in nodes}
        yield from self._blobs.artifacts(wire, run_id=record.run_id, node="")

    def commits(self) -> Iterator[Flaw]:
        """Each record of the book: who wrote it, what it says, and what it names."""
        run_id, believed = self._record.run_id, self._believed
        for slot, record in self._content.blobs.records(self._book):
            self.commit_count += 1
            node = self._node(slot)
            why = self._commits.objection(slot, record)
            if why:
                yield Flaw("commit", f"{self._book}, slot {slot}", run_id, node, f"it is not believed: {why}")
            elif slot not in believed:
                believed.add(slot)
                yield from self._outcome(slot, record, node)
        for where in self._content.blobs.damaged(self._book):
            # Nothing that was committed is in it: a writer was killed, or the disk was full.
            yield Flaw("commit", where, run_id, problem="a record is not whole", is_harmless=True)

    def events(self) -> Iterator[Flaw]:
        """Each line of each log of events, the errors in them, and what they say of logs and commits."""
        size_by_log = {
            info.key: info.size_bytes
            for info in self._content.blobs.logs(self._content.keys.log(self._record.run_id, "x").rpartition("/")[0])
        }
        for info in self._content.blobs.logs(self._content.keys.all_events(self._record.run_id)):
            data = self._content.blobs.read_log(info.key)
            for number, line in enumerate(data.split(b"\n"), 1):
                if line:
                    self.event_count += 1
                    yield from self._event(info.key, number, line, size_by_log)
        for slot in sorted(self._succeeded - self._believed):
            problem = "it is missing, and an event says that the task succeeded"
            yield Flaw("commit", f"{self._book}, slot {slot}", self._record.run_id, self._node(slot), problem)

    def _outcome(self, slot: str, record: bytes, node: str) -> Iterator[Flaw]:
        key = f"{self._book}, slot {slot}"
        try:
            wire = json.loads(record)
            wire.pop("sig", None)
            outcome = Outcome.from_wire(wire)
        except EnvironmentMismatchError:
            return  # a newer pyflow wrote it
        except _NOT_WRITTEN_SO as error:
            yield Flaw("commit", key, self._record.run_id, node, f"it is no outcome: {error}")
            return
        if outcome.slot != slot:
            yield Flaw("commit", key, self._record.run_id, node, f"it is that of slot {outcome.slot!r}")
        yield from self._blobs.artifacts([outcome.result, outcome.facts], run_id=self._record.run_id, node=node)

    def _event(self, key: str, number: int, line: bytes, size_by_log: dict[str, int]) -> Iterator[Flaw]:
        where, run_id = f"{key}, line {number}", self._record.run_id
        try:
            event: Any = json.loads(line)
        except (ValueError, RecursionError):
            # A crash cuts a line off; readers leave it out.
            yield Flaw("event", where, run_id, problem="it is not whole", is_harmless=True)
            return
        if not is_event(event):
            yield Flaw("event", where, run_id, problem="it is no event")
            return
        slot = str(event.get("slot", ""))
        node = self._node(slot)
        if event["event"] == "ended" and event["status"] == "succeeded":
            self._succeeded.add(slot)
        error = event.get("error")
        pickled = error.get("pickled") if isinstance(error, dict) else None
        if isinstance(pickled, dict):
            sealed_as = about_error(run_id, self._record.graph_digest, slot)
            if self._content.trust.opened_json(sealed_as, pickled) is None:
                yield Flaw("event", where, run_id, node, "the error in it is not signed as it must be")
            yield from self._blobs.artifacts(pickled, run_id=run_id, node=node)
        yield from self._log_of(event, where, node, size_by_log)

    def _log_of(self, event: dict[str, Json], where: str, node: str, size_by_log: dict[str, int]) -> Iterator[Flaw]:
        match event.get("log"):
            case [str(writer), int(start), int(end)]:
                try:
                    size = size_by_log.get(self._content.keys.log(self._record.run_id, writer), 0)
                except PyflowError as error:
                    yield Flaw("event", where, self._record.run_id, node, str(error))
                    return
                if not 0 <= start <= end <= size:
                    problem = f"it names the bytes {start} to {end} of the log {writer!r}, which has {size}"
                    yield Flaw("log", where, self._record.run_id, node, problem)
            case None:
                return
            case other:
                yield Flaw("event", where, self._record.run_id, node, f"it names a log as {str(other)[:100]}")

    def _node(self, slot: str) -> str:
        """A node with the indices of its slot, as far as the slot can be understood."""
        try:
            node, indices = parse_slot(slot)
        except ValueError:
            return ""
        return self._name_by_node.get(node, "") + "".join(f"[{index}]" for index in indices)
