"""A file that has not travelled is said to be one."""

from __future__ import annotations

import errno
import os

from pyflow.bundle import missing_file_advice


def missing(path):
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def test_only_a_missing_file_beside_shipped_code_gets_advice():
    """Any other error is left as it is."""
    assert "'settings.toml' did not travel" in missing_file_advice(missing("/code/ab/settings.toml"), ["/code/ab"])
    assert missing_file_advice(missing("/data/settings.toml"), ["/code/ab"]) == ""
    assert missing_file_advice(missing("/code/abc/x"), ["/code/ab"]) == ""
    assert missing_file_advice(missing(3), ["/code/ab"]) == ""
    assert missing_file_advice(FileNotFoundError("x"), ["/code/ab"]) == ""
    assert missing_file_advice(ValueError("/code/ab/x"), ["/code/ab"]) == ""
