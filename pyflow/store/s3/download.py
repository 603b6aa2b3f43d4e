"""An object on its way down: in ranges, several at once, into one buffer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pyflow.digest import CHUNK_SIZE
from pyflow.errors import IntegrityError
from pyflow.late import late
from pyflow.store.s3.body import fill, is_as_sealed
from pyflow.store.s3.client import CONCURRENCY, Client
from pyflow.store.s3.failure import BEYOND_END, MISSING, DamagedError, ReplacedError, code_of, reported
from pyflow.store.s3.requests import Requests

if TYPE_CHECKING:
    from concurrent import futures

    from botocore import exceptions
else:
    exceptions = late("botocore.exceptions")
    futures = late("concurrent.futures")

# What was flipped on the way is right the next time; what is stored so stays so.
_MOST_DAMAGED: Final = 5

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def download(requests: Requests, doing: str, where: dict[str, str], start: int, end: int | None) -> bytearray | None:
    """The bytes of an object from ``start`` to ``end``, or to its end; None when there is no such object.

    Args:
        requests: Who asks for them.
        doing: What for, for messages.
        where: Bucket and key.
        start: First byte.
        end: Behind the last byte; None: all there are.

    Raises:
        IntegrityError: It is a small object, all of it was asked for, and its bytes are not those that were written.
    """
    for _ in range(_MOST_DAMAGED):
        try:
            return requests.ask(doing, lambda s3: _Download(requests, doing, where).run(s3, start, end))
        except DamagedError:
            continue
    raise IntegrityError(
        f"{where['Key']!r} in the bucket {where['Bucket']!r} is damaged: it does not have the digest that it was written "
        "with, also when asked for again. Nothing of it was used. Restore it from a copy of the store, or run again what made it."
    )


class _Download:
    """One attempt at an object. When it is replaced meanwhile, somebody has to begin anew."""

    def __init__(self, requests: Requests, doing: str, where: dict[str, str]) -> None:
        self._requests = requests
        self._doing = doing
        self._where = where
        self._etag = ""

    def run(self, s3: Client, start: int, end: int | None) -> bytearray | None:
        first_end = start + CHUNK_SIZE if end is None else min(end, start + CHUNK_SIZE)
        try:
            first = self._get(s3, start, first_end)
        except exceptions.ClientError as error:
            if code_of(error) in MISSING:
                return None
            if code_of(error) in BEYOND_END:
                return bytearray()
            raise
        self._etag = first.get("ETag", "")
        size = _size_of(first)
        stop = size if end is None else min(end, size)
        buffer = bytearray(max(stop - start, 0))
        self._fill(first, memoryview(buffer), start, stop)
        if len(buffer) == size and not is_as_sealed(buffer, first.get("Metadata", {})):
            raise DamagedError("it came with other bytes than it was written with")
        return buffer

    def _fill(self, first: Any, buffer: memoryview, start: int, stop: int) -> None:
        """Read the first body here, and meanwhile the rest in threads."""
        if len(buffer) <= CHUNK_SIZE:
            fill(buffer, first["Body"])
            return
        threads = futures.ThreadPoolExecutor(max_workers=CONCURRENCY)
        try:
            going = [
                threads.submit(self._fetch, buffer[at - start : at - start + CHUNK_SIZE], at)
                for at in range(start + CHUNK_SIZE, stop, CHUNK_SIZE)
            ]
            try:
                fill(buffer[:CHUNK_SIZE], first["Body"])
            except reported():
                self._fetch(buffer[:CHUNK_SIZE], start)
            for one in going:
                one.result()
        finally:
            threads.shutdown(cancel_futures=True)

    def _fetch(self, target: memoryview, at: int) -> None:
        def fetch(s3: Client) -> bool:
            found = self._get(s3, at, at + len(target))
            if found.get("ETag", "") != self._etag:
                found["Body"].close()
                return False
            fill(target, found["Body"])
            return True

        if not self._requests.ask(self._doing, fetch):
            raise ReplacedError("it was replaced while it was read")

    def _get(self, s3: Client, start: int, end: int) -> Any:
        found = s3.get_object(**self._where, Range=f"bytes={start}-{end - 1}")
        if "ContentRange" not in found and start:
            # The store ignored the range, as it may, and sends it all.
            for _ in range(start // CHUNK_SIZE):
                found["Body"].read(CHUNK_SIZE)
            found["Body"].read(start % CHUNK_SIZE)
        return found


def _size_of(found: Any) -> int:
    """How many bytes the whole object has; a body cut short does not change what is said of the whole."""
    said = _CONTENT_RANGE.fullmatch(found.get("ContentRange", ""))
    return int(said[3]) if said else int(found["ContentLength"])
