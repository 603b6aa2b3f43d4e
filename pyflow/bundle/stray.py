"""Files that code reads beside itself, and that have not travelled with it."""

from __future__ import annotations

import os
from collections.abc import Iterable


def missing_file_advice(error: BaseException, folders: Iterable[str]) -> str:
    """What helps when code asks for a file in the folder that it was unpacked to; empty for any other error.

    Args:
        error: What was raised.
        folders: Where shipped code lies.
    """
    path = error.filename if isinstance(error, FileNotFoundError) else None
    if not isinstance(path, str) or not any(path.startswith(folder + os.sep) for folder in folders if folder):
        return ""
    return (
        f"{path.rpartition(os.sep)[2]!r} did not travel: of a module that stands alone its .py file does, of a package (a folder with an "
        "__init__.py) all files do. Make a package of the two, or hand the file to the task as a Path."
    )
