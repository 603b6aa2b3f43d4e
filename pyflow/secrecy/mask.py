"""Hides the values of secrets in what tasks print, however the pieces fall in which it comes.

Stars of the same length take their place, so that positions in a log stay what they are. A value is found as it is, in base64 (also inside
of something longer), as URLs and as JSON write it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from pyflow.late import late
from pyflow.secrecy.guard import spellings_in_json

if TYPE_CHECKING:
    from urllib import parse
else:
    parse = late("urllib.parse")

LEAST_LENGTH: Final = 6
"""Shorter values stand anywhere, and a log full of stars tells nothing."""


class Masker:
    """Hides values in one stream of bytes."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._known: set[str] = set()
        self._spellings: list[bytes] = []
        self._pattern: re.Pattern[bytes] | None = None
        self.learn(values)

    def learn(self, values: Iterable[str]) -> None:
        """Hide these as well, from now on."""
        new = {value for value in values if len(value) >= LEAST_LENGTH} - self._known
        if new:
            self._known |= new
            found = {spelling for value in self._known for spelling in spellings_of(value)}
            # The longest first: of two that begin alike, the shorter one would leave the rest to be read.
            self._spellings = sorted(found, key=len, reverse=True)
            self._pattern = re.compile(b"|".join(map(re.escape, self._spellings)))

    def hide(self, data: bytes) -> bytes:
        """The bytes with all values hidden."""
        if self._pattern is None:
            return data
        return self._pattern.sub(lambda match: b"*" * len(match[0]), data)

    def hide_text(self, text: str) -> str:
        """The same for a text."""
        if self._pattern is None:
            return text
        return self.hide(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def ready(self, data: bytes) -> int:
        """How many of the bytes can be hidden and shown now: behind them a value may have begun.

        Args:
            data: What has come so far, from where nothing is open.
        """
        if self._pattern is None:
            return len(data)
        end = self._open_from(data)
        for match in self._pattern.finditer(data):
            if match.start() < end < match.end():
                return match.start()
        return end

    def _open_from(self, data: bytes) -> int:
        """Where the first value begins that may go on behind the end."""
        longest = len(self._spellings[0])
        for at in range(max(0, len(data) - longest + 1), len(data)):
            rest = data[at:]
            if any(len(spelling) > len(rest) and spelling.startswith(rest) for spelling in self._spellings):
                return at
        return len(data)


def spellings_of(value: str) -> set[bytes]:
    """How a value may stand in what is printed."""
    raw = value.encode("utf-8", "surrogateescape")
    quoted = {parse.quote(raw, safe=""), parse.quote(raw), parse.quote_plus(raw)}
    lower = {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text) for text in quoted}
    texts = {text.encode() for text in quoted | lower}
    texts |= {text.encode("utf-8", "surrogateescape") for text in spellings_in_json(value)}
    return texts | {raw} | _in_base64(raw)


def _in_base64(raw: bytes) -> set[bytes]:
    """The value in base64, alone and at each of the three places in a group at which it may begin inside of something longer."""
    found = set()
    for before in range(3):
        coded = base64.b64encode(bytes(before) + raw)
        # The first and last characters belong in part to what stands around the value.
        start = -(-before * 8 // 6)
        end = (before + len(raw)) * 8 // 6
        inner = coded[start:end]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    whole = base64.b64encode(raw)
    found |= {whole, base64.urlsafe_b64encode(raw)}
    return {spelling for spelling in found if len(spelling) >= LEAST_LENGTH}
