"""A large object on its way up: in parts, several at once, each read straight from memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pyflow.digest import Buffer, chunks_of
from pyflow.errors import StoreError, add_note
from pyflow.late import late
from pyflow.store.s3.body import Parts
from pyflow.store.s3.client import CONCURRENCY, Client
from pyflow.store.s3.failure import MISSING
from pyflow.store.s3.requests import Requests

if TYPE_CHECKING:
    from concurrent import futures
else:
    futures = late("concurrent.futures")

# An upload has at most 10,000 parts (Amazon S3 User Guide, "Multipart upload limits"); above 160 GB they grow.
_MOST_PARTS: Final = 10_000

_GONE: Final = frozenset({"NoSuchUpload"})
NONCE: Final = "pyflow-nonce"
"""Metadata that tells one's own write from another's, when the answer to it was lost."""


def upload(requests: Requests, doing: str, where: dict[str, str], parts: Sequence[Buffer]) -> None:
    """Write an object in parts. It is there when all have come; nothing is left of it when one cannot.

    Args:
        requests: Who sends them.
        doing: What for, for messages.
        where: Bucket and key.
        parts: The bytes.
    """
    nonce = os.urandom(12).hex()
    begun = requests.ask(doing, lambda s3: s3.create_multipart_upload(**where, Metadata={NONCE: nonce}))
    this = {**where, "UploadId": begun["UploadId"]}
    try:
        sent = _send(requests, doing, this, parts)
        whole: dict[str, Any] = {**this, "MultipartUpload": {"Parts": sent}}
        done = requests.ask_or_none(doing, _GONE, lambda s3: s3.complete_multipart_upload(**whole))
        # "No such upload" may be said of one that is complete, when the answer was lost on the way.
        if done is None and _nonce(requests, doing, where) != nonce:
            raise StoreError(f"Cannot {doing}: somebody ended the upload before it was complete. Try again.")
    except BaseException as error:
        _abort(requests, doing, this, error)
        raise


def _send(requests: Requests, doing: str, this: dict[str, str], parts: Sequence[Buffer]) -> list[dict[str, Any]]:
    """Send all parts; what must be said of them to complete the upload."""

    def send(number: int, pieces: Sequence[Buffer]) -> dict[str, Any]:
        def put(s3: Client) -> dict[str, Any]:
            return s3.upload_part(**this, PartNumber=number, Body=Parts(pieces))

        return {"PartNumber": number, "ETag": requests.ask(doing, put)["ETag"]}

    threads = futures.ThreadPoolExecutor(max_workers=CONCURRENCY)
    try:
        going = [threads.submit(send, number, pieces) for number, pieces in enumerate(_cut(parts), 1)]
        return [one.result() for one in going]
    finally:
        threads.shutdown(cancel_futures=True)


def _cut(parts: Sequence[Buffer]) -> Iterator[list[memoryview]]:
    chunks = list(chunks_of(parts))
    together = -(-len(chunks) // _MOST_PARTS)
    left = iter(chunks)
    while some := list(islice(left, together)):
        yield [piece for chunk in some for piece in chunk]


def _nonce(requests: Requests, doing: str, where: dict[str, str]) -> str | None:
    found = requests.ask_or_none(doing, MISSING, lambda s3: s3.head_object(**where))
    return None if found is None else found.get("Metadata", {}).get(NONCE)


def _abort(requests: Requests, doing: str, this: dict[str, str], error: BaseException) -> None:
    try:
        requests.ask_or_none(doing, _GONE, lambda s3: s3.abort_multipart_upload(**this))
    except StoreError as another:
        add_note(error, f"What had been sent is still there as upload {this['UploadId']!r}: {another}")
