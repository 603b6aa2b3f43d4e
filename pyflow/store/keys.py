"""Every key of a store is made here, from ids only.

Version 1 of the layout::

    v1/<project>/blobs/<first 2 of digest>/<digest>            a blob; above one chunk beside it <digest>.chunks
    v1/<project>/sweeps/<id>                                   a batch of blobs that ``pyflow gc`` is about to remove
    v1/<project>/runtimes/<digest>                             pyflow's own runtime, for clusters
    v1/<project>/deployments/<owner>/<name>                    what a cluster keeps, and so needs the blobs of
    v1/<project>/runs/<owner>/<run id>/run.json                what was started, by whom, where
    v1/<project>/runs/<owner>/<run id>/summary.json            how it ended
    v1/<project>/runs/<owner>/<run id>/references.json         which blobs it refers to, as ``pyflow gc`` has found out
    v1/<project>/runs/<owner>/<run id>/events/<writer>         log of events, JSON lines
    v1/<project>/runs/<owner>/<run id>/logs/<writer>           log of what tasks printed
    v1/<project>/runs/<owner>/<run id>/commits/…               the book of commits
    v1/<project>/runs/<owner>/<run id>/attempts/<attempt>      outcome of an attempt that committed nothing
    v1/<project>/runs/<owner>/<run id>/heartbeats/<attempt>    the last sign of life of an attempt
    v1/<project>/runs/<owner>/<run id>/marks/cancel            exists once somebody asked the run to end
    v1/<project>/runs/<owner>/<run id>/marks/<slot>            exists once a slot has failed for good, where nobody drives

A store keeps what marks it as one under ``pyflow-store.json``, beside ``v1``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pyflow.digest import is_digest
from pyflow.errors import StoreError

if TYPE_CHECKING:
    from typing_extensions import Self

LAYOUT_VERSION: Final = 1
LAYOUT: Final = f"v{LAYOUT_VERSION}"

CANCEL: Final = "cancel"
"""Among the marks of a run; slots begin with a digit."""
MARKER: Final = "pyflow-store.json"
"""The file at a store's root that says which layout it has; no key may name it."""

# A segment is safe as a file name, in a URL and as an S3 key, and can never climb ("..") or hide (".x").
_SEGMENT_PATTERN: Final = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}"
_SEGMENT: Final = re.compile(_SEGMENT_PATTERN)
_KEY: Final = re.compile(rf"{_SEGMENT_PATTERN}(?:/{_SEGMENT_PATTERN})*")

_SLOT: Final = re.compile(r"[A-Za-z0-9-][A-Za-z0-9.-]{0,123}")
_LATER_PLACES: Final = tuple("1234567")

# S3 takes keys of 1024 bytes (Amazon S3 User Guide, "Naming Amazon S3 objects"); the rest is for the bucket's prefix.
MAX_KEY_LENGTH: Final = 768


@lru_cache(maxsize=1024)
def check_segment(text: str, *, what: str) -> str:
    """The same text, when it may be one segment of a key.

    Raises:
        StoreError: It holds something other than letters, digits, ``.``, ``_`` and ``-``, starts with a
            dot, is empty or longer than 128 characters.
    """
    if not _SEGMENT.fullmatch(text):
        raise StoreError(
            f"The {what} {text[:200]!r} cannot be part of a key. It may hold letters, digits, '.', '_' and '-', "
            "must not start with a dot, and has 1 to 128 characters."
        )
    return text


def check_slot(slot: str) -> str:
    """The same text, when it may name a slot in a book of commits.

    Raises:
        StoreError: It holds something other than letters, digits, ``.`` and ``-``, or starts with a dot.
    """
    if not _SLOT.fullmatch(slot):
        raise StoreError(f"The slot {slot[:200]!r} cannot be part of a key. It may hold letters, digits, '.' and '-'.")
    return slot


def places_of(book: str, slot: str) -> list[str]:
    """The keys at which the record of a slot may lie, where each record is an object: ``7``, ``7_1``, ``7_2`` and so on.

    Each key can be written once. One that holds a record which nobody believes must not keep the true one out, so
    that goes to the next; with as many false ones as there are keys, somebody has to clean up.
    """
    key = f"{check_key(book)}/{check_slot(slot)}"
    return [key, *(f"{key}_{number}" for number in _LATER_PLACES)]


def slot_at(key: str) -> str | None:
    """The slot whose record may lie at a key; None when none can."""
    slot, underscore, number = key.rpartition("/")[2].partition("_")
    is_place = not underscore or number in _LATER_PLACES
    return slot if is_place and _SLOT.fullmatch(slot) else None


def check_key(key: str) -> str:
    """The same key, when all its segments are legal.

    Raises:
        StoreError: A segment is not legal, or the key is longer than 768 characters.
    """
    if len(key) > MAX_KEY_LENGTH:
        raise StoreError(f"The key {key[:200]!r}… has {len(key)} characters; it may have {MAX_KEY_LENGTH}.")
    if not _KEY.fullmatch(key):
        for segment in key.split("/"):
            check_segment(segment, what="key segment")
    if key == MARKER:
        raise StoreError(f"The key {MARKER!r} is the store's own.")
    return key


class _Whose(NamedTuple):
    project: str
    owner: str


class Keys(_Whose):
    """The keys of one project and one owner in a store."""

    __slots__ = ()

    def __new__(cls, project: str, owner: str) -> Self:
        """The keys, when both names may be part of one."""
        return super().__new__(cls, check_segment(project, what="project"), check_segment(owner, what="owner"))

    def blob(self, digest: str) -> str:
        """Where the bytes with this digest lie."""
        if not is_digest(digest):
            raise StoreError(f"{digest[:200]!r} is not a digest: it must be 64 lower-case hexadecimal digits.")
        return f"{LAYOUT}/{self.project}/blobs/{digest[:2]}/{digest}"

    def chunks(self, digest: str) -> str:
        """Where the chunk digests of a blob of several chunks lie."""
        return self.blob(digest) + ".chunks"

    def project_prefix(self) -> str:
        """Prefix of all that belongs to the project, of whatever owner."""
        return f"{LAYOUT}/{self.project}"

    def blobs(self) -> str:
        """Prefix of all blobs of the project."""
        return f"{self.project_prefix()}/blobs"

    def sweeps(self) -> str:
        """Prefix of what collectors are about to remove."""
        return f"{self.project_prefix()}/sweeps"

    def sweep(self, sweep_id: str) -> str:
        """What one collector is about to remove."""
        return f"{self.sweeps()}/{check_segment(sweep_id, what='sweep id')}"

    def runtime(self, digest: str) -> str:
        """Where an archive of pyflow's own runtime lies for places that do not have it; runs of a cluster need it."""
        if not is_digest(digest):
            raise StoreError(f"{digest[:200]!r} is not a digest: it must be 64 lower-case hexadecimal digits.")
        return f"{LAYOUT}/{self.project}/runtimes/{digest}"

    def runs(self) -> str:
        """Prefix of all runs of this owner."""
        return f"{LAYOUT}/{self.project}/runs/{self.owner}"

    def run(self, run_id: str) -> str:
        """Prefix of all that belongs to a run."""
        return f"{self.runs()}/{check_segment(run_id, what='run id')}"

    def run_info(self, run_id: str) -> str:
        """The record of what was started."""
        return self.run(run_id) + "/run.json"

    def summary(self, run_id: str) -> str:
        """The record of how it ended."""
        return self.run(run_id) + "/summary.json"

    def references(self, run_id: str) -> str:
        """Which blobs the run refers to, as a collector has found out."""
        return self.run(run_id) + "/references.json"

    def events(self, run_id: str, writer: str) -> str:
        """The log of events of one writer."""
        return f"{self.run(run_id)}/events/{check_segment(writer, what='writer')}"

    def all_events(self, run_id: str) -> str:
        """Prefix of the logs of events of all writers."""
        return self.run(run_id) + "/events"

    def log(self, run_id: str, writer: str) -> str:
        """The log of what tasks printed in one worker."""
        return f"{self.run(run_id)}/logs/{check_segment(writer, what='writer')}"

    def attempt(self, run_id: str, slot: str, attempt: int, nonce: str) -> str:
        """The outcome of an attempt that committed nothing, where nobody waits at the other end of a pipe."""
        return f"{self.run(run_id)}/attempts/{attempt_name(slot, attempt, nonce)}"

    def heartbeat(self, run_id: str, slot: str, attempt: int, nonce: str) -> str:
        """When an attempt was last alive, and how much memory it had."""
        return f"{self.heartbeats(run_id)}/{attempt_name(slot, attempt, nonce)}"

    def heartbeats(self, run_id: str) -> str:
        """Prefix of the last signs of life of all attempts of a run."""
        return self.run(run_id) + "/heartbeats"

    def deployment(self, name: str) -> str:
        """What names the blobs that a pipeline needs which a cluster keeps."""
        return f"{self.project_prefix()}/deployments/{self.owner}/{check_segment(name, what='name of a deployment')}"

    def commits(self, run_id: str) -> str:
        """The book of commits."""
        return self.run(run_id) + "/commits"

    def marks(self, run_id: str) -> str:
        """Prefix of all that keeps pods from running: they find it out with one request."""
        return self.run(run_id) + "/marks"

    def cancel(self, run_id: str) -> str:
        """The mark that asks a run to end."""
        return f"{self.marks(run_id)}/{CANCEL}"

    def failed(self, run_id: str, slot: str) -> str:
        """The mark that a slot has failed for good: pods that start later find it."""
        return f"{self.marks(run_id)}/{check_segment(slot, what='slot')}"


def attempt_name(slot: str, attempt: int, nonce: str) -> str:
    """One attempt as one segment of a key."""
    return check_segment(f"{slot}.{attempt}.{nonce or '0'}", what="name of an attempt")
