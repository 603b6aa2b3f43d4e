"""Objects below a prefix of a bucket: whole, in ranges, created once, listed, deleted."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pyflow.digest import CHUNK_SIZE, Buffer
from pyflow.late import late
from pyflow.store.protocol import BlobInfo
from pyflow.store.s3.address import Address
from pyflow.store.s3.body import body_of, sealed, size_of
from pyflow.store.s3.client import CONCURRENCY, Client, Response, is_amazon
from pyflow.store.s3.download import download
from pyflow.store.s3.failure import EXISTS, MISSING
from pyflow.store.s3.requests import Requests
from pyflow.store.s3.upload import NONCE, upload

if TYPE_CHECKING:
    from concurrent import futures
else:
    futures = late("concurrent.futures")

# SeaweedFS remembers a folder for some minutes after the last object in it.
_KEEPS_EMPTY_FOLDERS: Final = "SeaweedFS"

# What DeleteObjects takes at most (Amazon S3 API Reference).
_MOST_DELETED: Final = 1000

# Some stores have no DeleteObjects, or ask for a checksum of theirs that clients do not send any more.
_DELETE_SINGLY: Final = frozenset(
    {"NotImplemented", "MethodNotAllowed", "InvalidRequest", "MissingContentMD5", "InvalidDigest", "MalformedXML"}
)


# Base64 of the sha256 of no bytes at all.
_DIGEST_OF_NOTHING: Final = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
_WRONG_BYTES: Final = frozenset(
    {"BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest", "XAmzContentChecksumMismatch", "InvalidRequest"}
)


class Bucket:
    """The objects of one store, by the store's own keys."""

    def __init__(self, address: Address, requests: Requests) -> None:
        self._name = address.bucket
        self._prefix = address.prefix
        self._requests = requests

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Write an object, or write it anew, whole or not at all."""
        doing, where = f"write {key!r}", self._where(key)
        if size_of(parts) > CHUNK_SIZE:
            upload(self._requests, doing, where, parts)
        else:
            body, seal = body_of(parts), sealed(parts)
            self._requests.ask(doing, lambda s3: s3.put_object(**where, Body=body, **seal))

    def create(self, key: str, data: Buffer, *, is_honoured: bool = True) -> bool:
        """Write an object unless there is one; True when this call did.

        Args:
            key: Where.
            data: What.
            is_honoured: Whether the store's yes means that there was none; else it is looked who wrote last.
        """
        nonce = os.urandom(12).hex()
        said_yes = self.offer(key, data, nonce=nonce)
        # "It exists" may be said of one's own write, when the answer to it was lost on the way.
        return (said_yes and is_honoured) or self.nonce(key) == nonce

    def offer(self, key: str, data: Buffer, *, nonce: str = "") -> bool:
        """Write an object unless there is one; False when there is one, which this very call may have written."""
        seal = sealed([data], {NONCE: nonce} if nonce else {})
        where = {**self._where(key), "IfNoneMatch": "*", **seal}
        done = self._requests.ask_or_none(
            f"create {key!r}", EXISTS, lambda s3: s3.put_object(**where, Body=body_of([data]))
        )
        return done is not None

    def refuses_wrong_bytes(self, key: str) -> bool:
        """Whether the store refuses a write whose bytes do not have the sha256 that was signed."""
        where = self._where(key)

        def put(s3: Client) -> Response:
            return s3.put_object(**where, Body=b"other bytes", ChecksumSHA256=_DIGEST_OF_NOTHING)

        done = self._requests.ask_or_none(f"write {key!r}", _WRONG_BYTES, put)
        return done is None

    def nonce(self, key: str) -> str | None:
        """The nonce that an object was written with; None without one, or without an object."""
        found = self._head(key)
        return None if found is None else found.get("Metadata", {}).get(NONCE)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytearray | None:
        """A part of an object; None when there is no such object.

        Raises:
            IntegrityError: It is a small one, and its bytes are not those that were written, also when asked for again.
        """
        if length == 0:
            return None if self._head(key) is None else bytearray()
        end = None if length is None else start + length
        return download(self._requests, f"read {key!r}", self._where(key), start, end)

    def info(self, key: str) -> BlobInfo | None:
        """Size and time of an object; None when there is none."""
        found = self._head(key)
        return None if found is None else BlobInfo(key, found["ContentLength"], found["LastModified"])

    def listed(self, prefix: str, *, after: str = "") -> Iterator[BlobInfo]:
        """The objects whose keys start with a prefix, in the order of their keys, from behind ``after`` on.

        AWS lists in that order. Others may go folder by folder (SeaweedFS does: ``a/b`` before ``a-b``), and
        mean by "after" what comes later in their own order; theirs is taken whole and sorted.
        """
        if self._requests.ask("look for the store's endpoint", is_amazon):
            yield from self.listed_flat(prefix, after=after)
        else:
            found = [info for info in self.listed_flat(prefix) if info.key > after]
            yield from sorted(found, key=lambda info: info.key)

    def listed_flat(self, prefix: str, *, after: str = "") -> Iterator[BlobInfo]:
        """The same, where no key below the prefix has another slash; else in the store's own order."""
        for page in self._pages(prefix, StartAfter=after and self._prefix + after):
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):
                    yield BlobInfo(found["Key"][len(self._prefix) :], found["Size"], found["LastModified"])

    def folders(self, prefix: str) -> list[str]:
        """What stands between the prefix and the next slash in all keys that start with it, sorted."""
        names: list[str] = []
        keeps_empty = False
        for page in self._pages(prefix, Delimiter="/"):
            names += [found["Prefix"][len(self._prefix) + len(prefix) : -1] for found in page.get("CommonPrefixes", ())]
            server = page["ResponseMetadata"].get("HTTPHeaders", {}).get("server", "")
            keeps_empty = keeps_empty or server.startswith(_KEEPS_EMPTY_FOLDERS)
        if keeps_empty and names:
            with futures.ThreadPoolExecutor(max_workers=CONCURRENCY) as threads:
                is_full = threads.map(lambda name: self._has_any(f"{prefix}{name}/"), names)
                names = [name for name, is_one in zip(names, is_full, strict=True) if is_one]
        return sorted(names)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; one that does not exist is no error."""
        for first in range(0, len(keys), _MOST_DELETED):
            self._delete(keys[first : first + _MOST_DELETED])

    def _where(self, key: str) -> dict[str, str]:
        return {"Bucket": self._name, "Key": self._prefix + key}

    def _head(self, key: str) -> Response | None:
        return self._requests.ask_or_none(f"look at {key!r}", MISSING, lambda s3: s3.head_object(**self._where(key)))

    def _pages(self, prefix: str, **parameters: str) -> Iterator[Response]:
        wanted: dict[str, Any] = {
            "Bucket": self._name,
            "Prefix": self._prefix + prefix,
            **{name: text for name, text in parameters.items() if text},
        }
        while True:
            page = self._requests.ask(f"list {prefix!r}", partial(_list, wanted))
            yield page
            if not page.get("IsTruncated"):
                return
            wanted["ContinuationToken"] = page["NextContinuationToken"]

    def _has_any(self, prefix: str) -> bool:
        wanted = {"Bucket": self._name, "Prefix": self._prefix + prefix, "MaxKeys": 1}
        return bool(self._requests.ask(f"list {prefix!r}", partial(_list, wanted)).get("Contents"))

    def _delete(self, keys: Sequence[str]) -> None:
        if len(keys) > 1:
            objects = [{"Key": self._prefix + key} for key in keys]
            done = self._requests.ask_or_none(
                f"delete {len(keys)} keys from {keys[0]!r} on",
                _DELETE_SINGLY,
                lambda s3: s3.delete_objects(Bucket=self._name, Delete={"Objects": objects, "Quiet": True}),
            )
            # What was refused is asked for again by itself: then its error is the request's own.
            keys = keys if done is None else [error["Key"][len(self._prefix) :] for error in done.get("Errors", ())]
        for key in keys:
            self._requests.ask(f"delete {key!r}", partial(_delete_one, self._where(key)))


def _list(wanted: dict[str, Any], s3: Client) -> Response:
    return s3.list_objects_v2(**wanted)


def _delete_one(where: dict[str, str], s3: Client) -> Response:
    return s3.delete_object(**where)
