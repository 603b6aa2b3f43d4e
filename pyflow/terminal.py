"""Words for people: times, sizes, counts, and text that is safe to put on a terminal.

What tasks print, raise and return is other people's text. It reaches a terminal through ``clean`` only.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from pyflow.late import late

if TYPE_CHECKING:
    from rich import cells
else:
    cells = late("rich.cells")

_CODES: Final = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "bright_black": 90, "bold": 1}

# ECMA-48: control sequences (5.4), strings such as a window's title (5.6), and other escapes (5.3).
_ESCAPES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# C0 and C1 but for tab and newline, and what turns the direction of text around (Unicode TR 9).
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text without anything that a terminal would obey; newlines and tabs stay.

    Of a line that a progress bar wrote over and over, the last state is left.
    """
    if _CONTROLS.search(text) is None:
        return text
    text = _ESCAPES.sub("", text).replace("\r\n", "\n")
    if "\r" in text:
        text = "\n".join(next((part for part in reversed(line.split("\r")) if part), "") for line in text.split("\n"))
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def open_closed_streams() -> None:
    """Let descriptors 0, 1 and 2 lead somewhere, which they may not in a daemon: else the next file that is opened is one of them."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            found = os.open(os.devnull, os.O_RDWR)
            if found != number:
                os.dup2(found, number)
                os.close(found)


def one_line(text: str, width: int = 200) -> str:
    """The text on one line, cleaned and cut off behind so many columns."""
    return cut(" ".join(clean(text).split()), width)


def columns(text: str) -> int:
    """How many columns of a terminal a line takes."""
    return len(text) if text.isascii() else cells.cell_len(text)


def cut(text: str, width: int) -> str:
    """The line, its end left out where it would take more columns."""
    if columns(text) <= width:
        return text
    room = max(width - 1, 0)
    return (text[:room] if text.isascii() else cells.set_cell_size(text, room)) + "…"


def padded(text: str, width: int) -> str:
    """The line, with blanks up to so many columns."""
    return text + " " * (width - columns(text))


def coloured(text: str, colour: str, *, is_on: bool) -> str:
    """The text in a colour of the terminal's own palette."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if is_on and text else text


def duration_text(seconds: float) -> str:
    """``0.04 s``, ``12.3 s``, ``4 min 05 s``, ``3 h 20 min``, ``2 d 3 h``."""
    seconds = max(seconds, 0.0)
    if seconds < 0.0995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def size_text(size_bytes: float) -> str:
    """``512 B``, ``4.1 KiB``, ``256 MiB``."""
    if size_bytes < 1024:
        return f"{size_bytes:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):  # noqa: B007  the last one stays
        size_bytes /= 1024
        if size_bytes < 999.5:
            break
    return f"{size_bytes:.1f} {unit}" if size_bytes < 9.95 else f"{size_bytes:.0f} {unit}"


def counted(count: int, noun: str) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
