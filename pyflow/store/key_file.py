"""The file that holds the keys with which records are signed, and who may make it.

The file is text: each line one key, 64 hexadecimal digits; empty lines and those that start with ``#`` do not count.
The first key signs, all of them are believed, so that a key can be replaced, and another person's be added. The file of
a user is made on first use. One that somebody names must be there: a slip in its path would else make a new key, with
which nothing fits.
"""

from __future__ import annotations

import contextlib
import os
import re
from functools import lru_cache
from typing import Final, NamedTuple

from pyflow.digest import sha256_hex
from pyflow.errors import ConfigError

KEY_BYTES: Final = 32
"""As many as the hash gives (RFC 2104, section 3)."""

VARIABLE: Final = "PYFLOW_KEY_FILE"

_LINE: Final = re.compile(r"[0-9a-f]{64}")
_HOW_TO_MAKE: Final = "python -c 'import secrets; print(secrets.token_hex(32))'"
_WHAT_ELSE: Final = (
    "Name a file that holds a key by the setting key_file or PYFLOW_KEY_FILE, or, for a store to which nobody else can write, "
    "do without by trust_store or PYFLOW_TRUST_STORE=1."
)


class Key(NamedTuple):
    """A key, and the name by which records say that they were signed with it."""

    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"<key {self.id}>"


def default_key_file() -> str:
    """Where a user's own key lies, by the rules for configuration of the XDG base directories."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(base, "pyflow", "key")


def key_file_of(key_file: str = "") -> str:
    """The file that counts: the one that a setting names; without one what ``PYFLOW_KEY_FILE`` names, then the user's own."""
    named = key_file or os.environ.get(VARIABLE, "")
    return os.path.expanduser(named) if named else default_key_file()


def keys_in(key_file: str = "") -> tuple[Key, ...]:
    """The keys that hold in this process, at least one.

    Args:
        key_file: The file that a setting names, see ``key_file_of``.

    Raises:
        ConfigError: There is none and none can be made, or what there is holds no key.
    """
    is_named = bool(key_file or os.environ.get(VARIABLE, ""))
    return (_read_named if is_named else _read_own)(key_file_of(key_file))


@lru_cache(maxsize=8)
def _read_named(path: str) -> tuple[Key, ...]:
    try:
        with open(path, "rb") as file:
            return _parsed(file.read(), path)
    except OSError as error:
        raise ConfigError(
            f"The key file {path} cannot be read ({error.strerror}), so results could not be signed. "
            f"Correct the path, or make a key:  {_HOW_TO_MAKE} > {path}"
        ) from error


@lru_cache(maxsize=8)
def _read_own(path: str) -> tuple[Key, ...]:
    try:
        if not os.path.exists(path):
            _make(path)
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            content = file.read()
    except OSError as error:
        raise ConfigError(
            f"The key that signs results cannot be made or read at {path}: {error.strerror}. {_WHAT_ELSE}"
        ) from error
    if mode & 0o077:
        raise ConfigError(
            f"The key file {path} has the mode {mode:o}: others could read it, and sign as you do. Run  chmod 600 {path}  "
            "and, if somebody may have read it, delete it: a new one is made, and what the old one signed must be run again."
        )
    return _parsed(content, path)


def _make(path: str) -> None:
    """Write a new key aside, then link: of several processes at once, one makes the key that all of them use."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    aside = f"{path}.{os.getpid()}-{os.urandom(8).hex()}"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        try:
            os.write(fd, f"{os.urandom(KEY_BYTES).hex()}\n".encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        os.unlink(aside)
    # A key that a power cut takes away takes with it all that it signed.
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _parsed(content: bytes, path: str) -> tuple[Key, ...]:
    lines = [line.strip() for line in content.decode("ascii", "replace").lower().splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    for number, line in enumerate(lines, 1):
        if not _LINE.fullmatch(line):
            # The line itself may be a key with a slip in it, and is not for anybody's eyes.
            raise ConfigError(
                f"Key {number} in the key file {path} is not 64 hexadecimal digits. "
                f"Is it another kind of file? A new key, in a file of its own:  {_HOW_TO_MAKE} > NEW_FILE"
            )
    if not lines:
        raise ConfigError(f"The key file {path} holds no key. Make one:  {_HOW_TO_MAKE} > {path}")
    return tuple(_key(bytes.fromhex(line)) for line in lines)


def _key(secret: bytes) -> Key:
    return Key(sha256_hex(b"pyflow key id\0" + secret)[:8], secret)
