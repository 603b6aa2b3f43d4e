"""Where in the user's files something happens: the nearest frame that is not pyflow's own."""

from __future__ import annotations

import os
import sys
from typing import Final

from pyflow.graph import Location

_OWN_FILES: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120 (pathlib weighs at import)


def here() -> Location:
    """The line of the user's code that is running now; cheap enough to ask at every call of a task."""
    frame = sys._getframe(1)  # noqa: SLF001 (the public way, inspect, reads source files)
    while frame.f_code.co_filename.startswith(_OWN_FILES) and frame.f_back is not None:
        frame = frame.f_back
    return Location(frame.f_code.co_filename, frame.f_lineno)
