"""What to say when the file system says no."""

from __future__ import annotations

import errno
from typing import Final

from pyflow.errors import StoreError, StoreUnavailableError

_FULL: Final = (
    "The disk or quota is full: free some space ('pyflow gc' shows what no run needs), or choose another store."
)
_CLOSED: Final = (
    "Make the folder and all in it your own and writable (ls -ld shows whose it is), or choose another store."
)
_NOT_A_FOLDER: Final = "Something in the path is a file where a folder should be, or the other way round."
_TOO_MANY: Final = "Too many files are open: close some, or raise the limit with 'ulimit -n'."
_AWAY: Final = "The drive did not answer: check that it is mounted, then try again."

_ADVICE: Final = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "The file system or 'ulimit -f' does not allow a file this large: choose another store.",
    errno.EROFS: "The file system is read-only: choose a store on one that can be written to.",
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.ENOTDIR: _NOT_A_FOLDER,
    errno.EISDIR: _NOT_A_FOLDER,
    errno.EEXIST: _NOT_A_FOLDER,
    errno.ENAMETOOLONG: "The path of the store is too long for this file system: choose a shorter one.",
    errno.ELOOP: "It is a symbolic link, and the store makes none: remove it.",
    errno.EMFILE: _TOO_MANY,
    errno.ENFILE: _TOO_MANY,
    errno.EIO: "The drive reports a fault: check it, and copy the store to another one.",
    errno.ESTALE: _AWAY,
    errno.ETIMEDOUT: _AWAY,
    errno.EHOSTDOWN: _AWAY,
}
_MAY_HEAL: Final = frozenset({errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EMFILE, errno.ENFILE})


def folder_error(error: OSError, doing: str, url: str) -> StoreError:
    """The store's error for one of the file system's: what was tried, where, why not, what would work.

    Args:
        error: What the file system said.
        doing: What was tried: ``write 'v1/demo/…'``.
        url: The store.
    """
    kind = StoreUnavailableError if error.errno in _MAY_HEAL else StoreError
    at = "" if error.filename is None else f" ({error.filename})"
    advice = _ADVICE.get(error.errno or 0, "Choose another store if this goes on.")
    return kind(f"Cannot {doing} in the store {url}: {error.strerror or error}{at}. {advice}")
