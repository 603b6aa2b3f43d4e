"""Which blobs a run refers to, by all that is kept of it.

Whatever looks like a digest in a record counts, wherever it stands: a blob that is kept for nothing costs a little, one
that is missed costs a result. So fields that a later pyflow adds to records are seen as well. Lists of artifacts
(``sequence``) are blobs themselves, and are opened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from pyflow.errors import IntegrityError, NotFoundError, add_note
from pyflow.jsontext import Json
from pyflow.runs import RunRecord
from pyflow.store import ContentStore, Keys

_DIGEST: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_SEQUENCE: Final = b'"sequence"'


def owners(content: ContentStore) -> list[str]:
    """Whose runs there are in the project."""
    return list(content.blobs.folders(f"{content.keys.project_prefix()}/runs"))


def run_ids(content: ContentStore) -> list[str]:
    """All that has a folder among the runs of the owner, whether or not it has a record."""
    return list(content.blobs.folders(content.keys.runs()))


def of_owner(content: ContentStore, owner: str) -> ContentStore:
    """The same store and project, with another owner's keys."""
    return ContentStore(content.blobs, Keys(content.keys.project, owner))


def referred_by_run(content: ContentStore, run_id: str) -> frozenset[str]:
    """The digests of all blobs that a run refers to; what is missing already is not among what is opened.

    Raises:
        NotFoundError: There is no such run, or its graph is gone.
        IntegrityError: Something that names blobs is damaged, so that not all of them can be told.
    """
    record = RunRecord.read(content, run_id)
    graph = content.read_blob(record.graph_digest, record.graph_size)
    found = _References(content)
    found.add(bytes(graph))
    for text in texts_of_run(content, run_id):
        found.add(text)
    return frozenset(found.digests)


def referred_elsewhere(content: ContentStore) -> frozenset[str]:
    """The digests that something else in the project names, neither run nor blob: what is deployed, for example."""
    found = _References(content)
    project = content.keys.project_prefix()
    for folder in content.blobs.folders(project):
        if folder not in {"blobs", "runs", "sweeps"}:
            for info in content.blobs.list(f"{project}/{folder}"):
                found.add(content.blobs.get(info.key))
    return frozenset(found.digests)


def texts_of_run(content: ContentStore, run_id: str) -> Iterator[bytes]:
    """All records of a run: what was started, committed, noted; not what was printed."""
    blobs, keys = content.blobs, content.keys
    book, run = keys.commits(run_id), keys.run(run_id)
    for info in blobs.logs(f"{run}/events"):
        yield blobs.read_log(info.key)
    for _, record in blobs.records(book):
        yield record
    for key in others_of_run(content, run_id):
        try:
            yield blobs.get(key)
        except NotFoundError:
            continue  # removed meanwhile


def others_of_run(content: ContentStore, run_id: str) -> list[str]:
    """The keys of a run that belong neither to its book of commits nor to a log, and are not made of others."""
    run = content.keys.run(run_id)
    apart = (*(f"{run}/{folder}/" for folder in ("commits", "events", "logs")), content.keys.references(run_id))
    return [info.key for info in content.blobs.list(run) if not info.key.startswith(apart)]


class _References:
    """The digests in texts, and in the lists that texts name."""

    def __init__(self, content: ContentStore) -> None:
        self.digests: set[str] = set()
        self._content = content
        self._opened: set[str] = set()

    def add(self, text: bytes) -> None:
        self.digests.update(found.decode() for found in _DIGEST.findall(text))
        if _SEQUENCE in text:
            for wire in _sequences_in(_parsed(text)):
                self._open(wire)

    def _open(self, wire: Json) -> None:
        digest = wire["digest"]
        if digest in self._opened:
            return
        self._opened.add(digest)
        try:
            self.add(bytes(self._content.read_blob(digest, wire["size"])))
        except NotFoundError:
            return  # what it named cannot be found by anyone
        except IntegrityError as error:
            add_note(error, "It is a list of results, and what it refers to cannot be told.")
            raise


def _parsed(text: bytes) -> Json:
    """What a record says; of a log of events, each line that is whole."""
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if _is_json(line)]


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _sequences_in(value: Json) -> Iterator[Json]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if (
                one.get("kind") == "sequence"
                and isinstance(one.get("digest"), str)
                and isinstance(one.get("size"), int)
            ):
                yield one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
