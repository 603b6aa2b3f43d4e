"""Are the blobs of a store those that were kept? Each is read once, a chunk at a time."""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any, Final

from pyflow.digest import CHUNK_SIZE, DIGEST_BYTES, is_digest, sha256_hex
from pyflow.errors import EnvironmentMismatchError, IntegrityError, NotFoundError, PyflowError
from pyflow.jsontext import Json
from pyflow.payload import KINDS, read_header
from pyflow.store import ContentStore
from pyflow.upkeep.flaws import Checked, Flaw

_MOST_DEPTH: Final = 200


class BlobVerifier:
    """Reads blobs, and remembers what it has found of each."""

    def __init__(self, content: ContentStore, checked: Checked) -> None:
        self._content = content
        self._checked = checked
        self._problem_by_digest: dict[str, str] = {}
        self._size_by_digest: dict[str, int] = {}

    def artifacts(self, value: Json, *, run_id: str, node: str, depth: int = 0) -> Iterator[Flaw]:
        """What is wrong with the artifacts that stand somewhere in a record.

        Args:
            value: Plain JSON, whoever wrote it.
            run_id: The run that refers to them.
            node: The node, when there is one.
            depth: How many lists of artifacts lie around it.
        """
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if isinstance(one, list):
                waiting.extend(one)
            elif isinstance(one, dict):
                problem, key = self._artifact(one)
                if problem:
                    yield Flaw("blob", key, run_id, node, problem)
                elif one.get("kind") == "sequence" and "digest" in one and depth < _MOST_DEPTH:
                    items = json.loads(bytes(self._content.read_blob(one["digest"], one["size"])))
                    yield from self.artifacts(items, run_id=run_id, node=node, depth=depth + 1)
                waiting.extend(part for name, part in one.items() if name != "json")

    def rest(self) -> Iterator[Flaw]:
        """What is wrong with the blobs that no artifact has led to, and with what lies between them."""
        blobs, prefix = self._content.blobs, self._content.keys.blobs()
        chunk_lists = []
        for info in blobs.list(prefix):
            name = info.key.rpartition("/")[2]
            digest, dot, ending = name.partition(".")
            if not is_digest(digest) or info.key.rpartition(".chunks")[0 if dot else 2] != self._content.keys.blob(
                digest
            ):
                yield Flaw("blob", info.key, problem="no blob is called so: it is not of pyflow's making")
            elif ending == "chunks":
                chunk_lists.append(digest)
            elif problem := self._blob(digest, info.size_bytes):
                yield Flaw("blob", info.key, problem=problem)
        for digest in chunk_lists:
            if self._size_by_digest.get(digest, 0) <= CHUNK_SIZE:
                # It is written before its blob; a crash in between leaves it alone.
                yield Flaw("chunks", self._content.keys.chunks(digest), problem="its blob is missing", is_harmless=True)

    def _artifact(self, wire: dict[str, Any]) -> tuple[str, str]:
        """What is wrong with one artifact, and where it lies."""
        kind = wire.get("kind")
        if "inline" in wire and kind in KINDS:
            try:
                return _problem_of_payload(b64decode(wire["inline"], validate=True), str(kind)), "in the record itself"
            except (binascii.Error, ValueError, TypeError) as error:
                return f"it is not base64: {error}", "in the record itself"
        digest, size = wire.get("digest"), wire.get("size")
        if not (isinstance(digest, str) and is_digest(digest) and type(size) is int):
            return "", ""
        key = self._content.keys.blob(digest)
        problem = self._blob(digest, size)
        if not problem and self._size_by_digest.get(digest) != size:
            problem = f"it must have {size} bytes and has {self._size_by_digest.get(digest)}"
        if not problem and kind in KINDS and size <= CHUNK_SIZE:
            problem = _problem_of_payload(self._content.read_blob(digest, size), str(kind))
        return problem, key

    def _blob(self, digest: str, size_bytes: int) -> str:
        """What is wrong with a blob; nothing when its bytes are those with this digest."""
        if digest not in self._problem_by_digest:
            try:
                self._problem_by_digest[digest] = self._look(digest, size_bytes)
            except NotFoundError:
                self._problem_by_digest[digest] = "it is missing"
            except IntegrityError as error:
                self._problem_by_digest[digest] = str(error)
        return self._problem_by_digest[digest]

    def _look(self, digest: str, size_bytes: int) -> str:
        info = self._content.blobs.info(self._content.keys.blob(digest))
        if info is None:
            return "it is missing"
        self._checked.blobs += 1
        self._checked.size_bytes += info.size_bytes
        self._size_by_digest[digest] = info.size_bytes
        if info.size_bytes != size_bytes:
            return f"it must have {size_bytes} bytes and has {info.size_bytes}"
        if info.size_bytes <= CHUNK_SIZE:
            self._content.read_blob(digest, info.size_bytes)
            return ""
        return self._look_at_chunks(digest, info.size_bytes)

    def _look_at_chunks(self, digest: str, size_bytes: int) -> str:
        blobs, key = self._content.blobs, self._content.keys.blob(digest)
        try:
            digests = blobs.get(self._content.keys.chunks(digest))
        except NotFoundError:
            return "its list of chunk digests is missing"
        if sha256_hex(digests) != digest or len(digests) != DIGEST_BYTES * -(-size_bytes // CHUNK_SIZE):
            return "its list of chunk digests is damaged, or it has another length"
        bad = [
            index
            for index in range(len(digests) // DIGEST_BYTES)
            if sha256_hex(blobs.read(key, index * CHUNK_SIZE, CHUNK_SIZE))
            != digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES].hex()
        ]
        return f"it is damaged in chunk {', '.join(map(str, bad))} of {CHUNK_SIZE >> 20} MiB" if bad else ""


def _problem_of_payload(data: bytes | memoryview, kind: str) -> str:
    try:
        header = read_header(data)
    except EnvironmentMismatchError:
        return ""  # another Python made it, which is nothing wrong
    except PyflowError as error:
        return str(error)
    return "" if header.kind == kind else f"it is of the kind {header.kind!r}, and must be of the kind {kind!r}"
