r"""Who wrote a record: signatures made with a key that does not lie in the store.

A digest tells damage, not who wrote the bytes: whoever may write to a bucket can replace a record together with all
that it names. So a record that leads to unpickling carries a signature, HMAC-SHA256 over what it is about and its bytes::

    "pyflow-1" \0 kind \0 run \0 … \0 body              what is signed; none of the words in front holds a \0
    {…,"sig":"<id of the key>.<signature>"}             the record: its body with one more member at the end

What it is about is not written down in the record but known to whoever reads it, so that a true record in another's
place does not fit there either.
"""

from __future__ import annotations

import os
from binascii import b2a_base64
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pyflow.errors import ConfigError
from pyflow.jsontext import Json, dump
from pyflow.late import late
from pyflow.store.key_file import Key, key_file_of, keys_in

if TYPE_CHECKING:
    import hmac
else:
    hmac = late("hmac")

VARIABLE: Final = "PYFLOW_TRUST_STORE"
_YES: Final = frozenset({"1", "true", "yes"})

_MEMBER: Final = b',"sig":"'
_ID_LENGTH: Final = 8
_SIGNATURE_LENGTH: Final = 43
"""Of 32 bytes in base64 without padding."""
_LENGTH: Final = len(_MEMBER) + _ID_LENGTH + 1 + _SIGNATURE_LENGTH + 2


class Trust:
    """What one process believes of what it finds in a store.

    Args:
        key_file: The file with the keys; empty: see ``key_file.keys_in``.
        trusts_store: Whether all that is found is believed, because nobody else can write there; None: as
            ``PYFLOW_TRUST_STORE`` says.
    """

    def __init__(self, key_file: str = "", *, trusts_store: bool | None = None) -> None:
        self._key_file = key_file
        if trusts_store is None:
            trusts_store = os.environ.get(VARIABLE, "").lower() in _YES
        self.trusts_store = trusts_store
        self._keys: tuple[Key, ...] | None = None

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys; none only where the store is trusted and there is none.

        Raises:
            ConfigError: There is no key, and none can be made.
        """
        if self._keys is None:
            try:
                self._keys = keys_in(self._key_file)
            except ConfigError:
                if not self.trusts_store:
                    raise
                self._keys = ()
        return self._keys

    @property
    def key_file(self) -> str:
        """Where the keys are read from."""
        return key_file_of(self._key_file)

    def seal(self, about: bytes, body: bytes) -> bytes:
        """The record: a JSON object, signed with the first key.

        Args:
            about: What it is about, see ``about``.
            body: One JSON object that has members.
        """
        if not self.keys:
            return body
        key = self.keys[0]
        return b'%b%b%b.%b"}' % (body[:-1], _MEMBER, key.id.encode(), _signature(key, about, body))

    def opened(self, about: bytes, record: bytes) -> bytes | None:
        """The body of a record that is believed; None when it is not."""
        body, signature = _apart(record)
        if self.trusts_store or (signature and self._fits(about, body, signature)):
            return body
        return None

    def objection(self, about: bytes, record: bytes) -> str:
        """Why a record is not believed, in words; empty when it is."""
        body, signature = _apart(record)
        if self.trusts_store or (signature and self._fits(about, body, signature)):
            return ""
        if not signature:
            return "it is not signed: somebody without the key wrote it, or a pyflow from before records were signed"
        if signature.partition(b".")[0] not in {key.id.encode() for key in self.keys}:
            named = signature.partition(b".")[0].decode("ascii", "replace")
            return f"it was signed with the key {named!r}, which is not in the key file here ({self._names()})"
        return "its signature does not fit: it was changed, or belongs to another run, task or program"

    def seal_json(self, about: bytes, value: dict[str, Json]) -> dict[str, Json]:
        """The same for a part of a record that stands alone: an object with its signature as a member more."""
        if not self.keys:
            return value
        key = self.keys[0]
        return {**value, "sig": f"{key.id}.{_signature(key, about, dump(value).encode()).decode()}"}

    def opened_json(self, about: bytes, value: dict[str, Json]) -> dict[str, Json] | None:
        """What was sealed by ``seal_json``, when it is believed."""
        body = {name: part for name, part in value.items() if name != "sig"}
        signature = str(value.get("sig", "")).encode()
        if self.trusts_store or (signature and self._fits(about, dump(body).encode(), signature)):
            return body
        return None

    def _fits(self, about: bytes, body: bytes, signature: bytes) -> bool:
        key_id, _, said = signature.partition(b".")
        for key in self.keys:
            if key.id.encode() == key_id and hmac.compare_digest(_signature(key, about, body), said):
                return True
        return False

    def _names(self) -> str:
        return ", ".join(key.id for key in self.keys)


def about(kind: str, *words: str) -> bytes:
    """What a record is about, in the form in which it is signed.

    Args:
        kind: ``commit``, ``run``, ``summary``, ``error`` or ``references``.
        words: Ids and digests; none holds a NUL.
    """
    return "\0".join(("pyflow-1", kind, *words, "")).encode()


def about_error(run_id: str, graph_digest: str, slot: str) -> bytes:
    """What the pickle of a task's error is signed as: events, which are not signed, carry it."""
    return about("error", run_id, graph_digest, slot)


def advice(store_url: str) -> str:
    """What may help somebody whose record is not believed."""
    return (
        f"Nothing of it was used. If you know who wrote it, add their key to your key file (pyflow doctor says where it is); if nobody "
        f"but you and those whom you trust can write to {store_url}, say so by trust_store or PYFLOW_TRUST_STORE=1."
    )


# ``base64.urlsafe_b64encode`` in one call; a fan-in checks as many signatures as it has results.
_FOR_URLS: Final = bytes.maketrans(b"+/", b"-_")


@lru_cache(maxsize=8)
def _begun_with(key: Key) -> hmac.HMAC:
    """A signature over nothing yet. To copy it takes a sixth of the time that ``hmac.digest`` takes to begin."""
    return hmac.new(key.secret, digestmod="sha256")


def _signature(key: Key, about: bytes, body: bytes) -> bytes:
    made = _begun_with(key).copy()
    made.update(about + body)
    return b2a_base64(made.digest(), newline=False).translate(_FOR_URLS)[:_SIGNATURE_LENGTH]


def _apart(record: bytes) -> tuple[bytes, bytes]:
    """Body and signature of a record; the signature is empty when there is none."""
    if record[-_LENGTH : len(_MEMBER) - _LENGTH] != _MEMBER or record[-2:] != b'"}':
        return record, b""
    return record[:-_LENGTH] + b"}", record[len(_MEMBER) - _LENGTH : -2]
