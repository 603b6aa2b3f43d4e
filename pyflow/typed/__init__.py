"""Values that somebody has typed, read as the annotation of a parameter says: on a command line, or on a page.

``hints`` says what an annotation asks for, ``scalars`` reads words without parts, ``values`` all others; ``annotations`` reads
the annotation itself where there is only its text.
"""

from __future__ import annotations

from pyflow.typed.annotations import UnknownNames, hint_of
from pyflow.typed.hints import allows_none, is_flag, takes_many, type_text
from pyflow.typed.scalars import FALSE, TRUE, Unfit
from pyflow.typed.values import parse, parse_one

__all__ = [
    "FALSE",
    "TRUE",
    "Unfit",
    "UnknownNames",
    "allows_none",
    "hint_of",
    "is_flag",
    "parse",
    "parse_one",
    "takes_many",
    "type_text",
]
