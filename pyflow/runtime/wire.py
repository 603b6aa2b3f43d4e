"""Messages through a pipe: JSON behind its length. Both ends are the same version of pyflow."""

from __future__ import annotations

import os
import struct
from typing import Any, Final

from pyflow.jsontext import dump, parse

_LENGTH: Final = struct.Struct(">I")
# Python makes a buffer of this size for each read; from 128 KiB on the C library maps it anew each time (mallopt(3)).
_PIECE: Final = 64 * 1024


def send(fd: int, message: object) -> None:
    """Write one message, whole.

    Raises:
        BrokenPipeError: Nobody reads any more.
    """
    send_text(fd, dump(message).encode())


def send_text(fd: int, text: bytes) -> None:
    """Write one message that is JSON text already.

    Raises:
        BrokenPipeError: Nobody reads any more.
    """
    rest = memoryview(_framed(text))
    while rest:
        rest = rest[os.write(fd, rest) :]


def _framed(text: bytes) -> bytes:
    return _LENGTH.pack(len(text)) + text


class Messages:
    """The messages that arrive at the end of a pipe."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._held = bytearray()
        self.is_ended = False
        """Nobody writes any more, and all that was written has been given out."""

    def read(self) -> list[Any]:
        """Wait for bytes, and give the messages that are complete now: none, one or several."""
        piece = os.read(self._fd, _PIECE)
        if not piece:
            self.is_ended = True
            return []
        self._held += piece
        found = []
        start = 0
        while len(self._held) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held, start)
            end = start + _LENGTH.size + length
            if end > len(self._held):
                break
            found.append(parse(self._held[start + _LENGTH.size : end]))
            start = end
        del self._held[:start]
        return found
