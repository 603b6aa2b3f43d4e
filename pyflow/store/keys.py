"""Every key of a store is made here, from ids only. The layout is version 1.

    v1/<project>/blobs/<first 2 of digest>/<digest>            a blob; above one chunk beside it <digest>.chunks
    v1/<project>/runs/<owner>/<run id>/run.json                what was started, by whom, where
    v1/<project>/runs/<owner>/<run id>/events/<writer>         log of events, JSON lines
    v1/<project>/runs/<owner>/<run id>/logs/<writer>           log of what tasks printed
    v1/<project>/runs/<owner>/<run id>/commits/…               the book of commits
    v1/<project>/runs/<owner>/<run id>/cancel                  exists once somebody asked the run to end
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pyflow.digest import is_digest
from pyflow.errors import StoreError

LAYOUT: Final = "v1"

# A segment is safe as a file name, in a URL and as an S3 key, and can never climb ("..") or hide (".x").
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


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


def check_key(key: str) -> str:
    """The same key, when all its segments are legal."""
    for segment in key.split("/"):
        check_segment(segment, what="key segment")
    return key


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one project and one owner in a store."""

    project: str
    owner: str

    def __post_init__(self) -> None:
        check_segment(self.project, what="project")
        check_segment(self.owner, what="owner")

    def blob(self, digest: str) -> str:
        """Where the bytes with this digest lie."""
        if not is_digest(digest):
            raise StoreError(f"{digest[:200]!r} is not a digest: it must be 64 lower-case hexadecimal digits.")
        return f"{LAYOUT}/{self.project}/blobs/{digest[:2]}/{digest}"

    def chunks(self, digest: str) -> str:
        """Where the chunk digests of a blob of several chunks lie."""
        return self.blob(digest) + ".chunks"

    def runs(self) -> str:
        """Prefix of all runs of this owner."""
        return f"{LAYOUT}/{self.project}/runs/{self.owner}"

    def run(self, run_id: str) -> str:
        """Prefix of all that belongs to a run."""
        return f"{self.runs()}/{check_segment(run_id, what='run id')}"

    def run_info(self, run_id: str) -> str:
        """The record of what was started."""
        return self.run(run_id) + "/run.json"

    def events(self, run_id: str, writer: str) -> str:
        """The log of events of one writer."""
        return f"{self.run(run_id)}/events/{check_segment(writer, what='writer')}"

    def log(self, run_id: str, writer: str) -> str:
        """The log of what tasks printed in one worker."""
        return f"{self.run(run_id)}/logs/{check_segment(writer, what='writer')}"

    def commits(self, run_id: str) -> str:
        """The book of commits."""
        return self.run(run_id) + "/commits"

    def cancel(self, run_id: str) -> str:
        """The marker that asks a run to end."""
        return self.run(run_id) + "/cancel"
