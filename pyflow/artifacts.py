"""Values as artifacts: kept in the store under their digest, or inline where they are small.

An artifact is written down as JSON, in packed graphs and outcomes:

    {"json": 5}                                              the value itself
    {"kind": "pickle", "inline": "<base64>"}                 a payload of at most 8 KiB
    {"kind": "npy", "digest": "…", "size": 268435584}        a payload in the store
    {"kind": "sequence", "digest": "…", "size": …, "length": 3}   artifacts of the items of a list, one by one
"""

from __future__ import annotations

import json
import mmap
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from pyflow.digest import Buffer
from pyflow.errors import DefinitionError, IntegrityError, NotSerializableError
from pyflow.jsontext import Json, dump
from pyflow.late import late
from pyflow.payload import NOT_SMALL, Payload, decode, encode, encode_small
from pyflow.store import MARKER, ContentStore

if TYPE_CHECKING:
    import tempfile
else:
    tempfile = late("tempfile")

INLINE_LIMIT: Final = 8 * 1024
"""Payloads up to this size ride in the record that speaks of them (design: the store)."""

_HOLD_TEXT: Final = frozenset({"pickle", "function", "json", "text", "bytes"})
"""Kinds of payloads in which the value of a secret may stand as it is."""

# A list of inline items stays within one chunk, so that reading one item never costs more than that.
_SEQUENCE_LIMIT: Final = 16 * 1024 * 1024

_MOST_IN_MEMORY: Final = 1024 * 1024
"""Larger values that are loaded again and again are at hand in a file."""


class Artifact:
    """A result that is kept, by reference: as an argument of another pipeline it is not downloaded.

    Args:
        wire: The artifact as JSON.
        content: The store that holds it.
        label: What it is, for people: ``'fit[3]' of run 2026…``.
    """

    __slots__ = ("_content", "_label", "_wire")

    def __init__(self, wire: Json, content: ContentStore, label: str) -> None:
        self._wire = wire
        self._content = content
        self._label = label

    def __repr__(self) -> str:
        return f"<artifact of {self._label}, {size_of(self._wire)} bytes>"

    def _is_not_here(self, *_operands: object) -> NoReturn:
        raise DefinitionError(
            f"{self!r} stands for a value that is in the store, and is not here. Hand it to a task and use it there, "
            "or take the value itself: artifact.load(), run.result(...)."
        )

    __getitem__ = __iter__ = __lt__ = __le__ = __gt__ = __ge__ = _is_not_here

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)  # libraries ask for such things in good faith
        self._is_not_here()

    def __reduce__(self) -> NoReturn:
        raise NotSerializableError(
            f"{self!r} is an argument for pipelines and tasks, which get the value. It cannot travel inside of another object."
        )

    @property
    def size_bytes(self) -> int:
        """Of its payload."""
        return size_of(self._wire)

    def load(self) -> object:
        """The value, verified, a copy of one's own."""
        return load(self._wire, self._content)

    def wire_in(self, content: ContentStore) -> Json:
        """The artifact as JSON, when ``content`` holds it; it is copied there if need be."""
        here, there = content, self._content
        if (here.blobs.url, here.keys.project) == (there.blobs.url, there.keys.project):
            for digest in digests_in(self._wire):
                here.renew_blob(digest)
        else:
            for digest in digests_in(self._wire):
                here.put_blob([there.read_blob(digest, self._wire["size"])])
        return self._wire


def keep(value: object, content: ContentStore, *, what: str, part: str = "") -> Json:
    """The artifact of a value; its payload is in the store when this returns.

    Args:
        value: Any.
        content: Where it goes.
        what: What the value is a part of, for messages: ``the result of task 'fit'``.
        part: Which part of that it is: ``['model']``.

    Raises:
        NotSerializableError: The value, or a part of it that is named, cannot be turned into bytes.
        SecretError: The value of a secret stands in it.
        StoreError: The store did not take it.
    """
    return _keep_item(value, content, INLINE_LIMIT, what, part)


def keep_payload(payload: Payload, content: ContentStore, *, what: str, inline_limit: int = INLINE_LIMIT) -> Json:
    """The artifact of bytes that are already encoded.

    Raises:
        SecretError: The value of a secret stands in it.
    """
    if payload.kind in _HOLD_TEXT:
        # Behind the second part come buffers of arrays, and files.
        content.guard.check(payload.parts[:2], what)
    if payload.size <= inline_limit:
        return {"kind": payload.kind, "inline": b64encode(b"".join(payload.parts)).decode()}
    digest = content.put_blob(payload.parts)
    return {"kind": payload.kind, "digest": digest.hex, "size": digest.size_bytes}


def load(artifact: Json, content: ContentStore, *, scratch: Path | None = None) -> object:
    """A value of one's own from an artifact; nothing is unpickled before its bytes are verified.

    Args:
        artifact: What ``keep`` or ``keep_items`` gave.
        content: The store that holds it.
        scratch: Folder for files that the value consists of.

    Raises:
        IntegrityError: The bytes are not the ones that were kept.
        EnvironmentMismatchError: Another Python minor made them.
    """
    if "json" in artifact:
        return artifact["json"]
    if artifact.get("kind") == "sequence":
        return [load(item, content, scratch=scratch) for item in load_items(artifact, content)]
    return decode(_payload_of(artifact, content), scratch=scratch)


def loader(artifact: Json, content: ContentStore) -> Callable[[], object]:
    """A function that loads a value of one's own, each time anew; it is read from the store, and verified, once.

    What is large is kept in a file without a name, and mapped: each value has for itself only the pages that it changes.

    Raises:
        IntegrityError: The bytes are not the ones that were kept.
    """
    data = _payload_of(artifact, content)
    if len(data) <= _MOST_IN_MEMORY:
        kept = bytes(data)
        return lambda: decode(memoryview(kept))
    file = tempfile.TemporaryFile()
    file.write(data)
    file.flush()
    return lambda: decode(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)))


def size_of(artifact: Json) -> int:
    """Bytes of the payload; of the JSON text for values that have none."""
    if "json" in artifact:
        return len(dump(artifact["json"]))
    if "inline" in artifact:
        return len(artifact["inline"]) * 3 // 4
    return int(artifact["size"])


def keep_items(values: Iterable[object], content: ContentStore, *, what: str) -> Json:
    """The artifact of a list whose items can be loaded one by one."""
    items = list(values)
    limit = min(INLINE_LIMIT, _SEQUENCE_LIMIT // max(len(items), 1))
    refs = [_keep_item(item, content, limit, f"item {i} of {what}") for i, item in enumerate(items)]
    data = dump(refs).encode()
    if len(data) <= INLINE_LIMIT:
        return {"kind": "sequence", "items": refs, "length": len(refs)}
    digest = content.put_blob([data])
    return {"kind": "sequence", "digest": digest.hex, "size": digest.size_bytes, "length": len(refs)}


def load_items(artifact: Json, content: ContentStore) -> Sequence[Json]:
    """The artifacts of the items of a sequence."""
    if "items" in artifact:
        refs: list[Json] = artifact["items"]
    else:
        refs = json.loads(bytes(content.read_blob(artifact["digest"], artifact["size"])))
    if len(refs) != artifact["length"]:
        raise IntegrityError(f"A sequence of {artifact['length']} items in {content.blobs.url} holds {len(refs)}.")
    return refs


def digests_in(artifact: Json) -> list[str]:
    """The blobs that an artifact names directly."""
    return [artifact["digest"]] if "digest" in artifact else []


def _keep_item(item: object, content: ContentStore, limit: int, what: str, part: str = "") -> Json:
    small = encode_small(item)
    if small is not NOT_SMALL:
        if isinstance(small, str):
            content.guard.check_text(small, what)
        return {"json": small}
    return keep_payload(encode(item, what=what, part=part, leaves_out=MARKER), content, what=what, inline_limit=limit)


def _payload_of(artifact: Json, content: ContentStore) -> memoryview:
    if "inline" in artifact:
        # A bytearray, because the value may keep the buffer and must be able to write to it.
        data: Buffer = bytearray(b64decode(artifact["inline"], validate=True))
        return memoryview(data)
    return content.read_blob(artifact["digest"], artifact["size"])
