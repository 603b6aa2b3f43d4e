"""What one task changes in its process does not reach the next one."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def isolated(env: Mapping[str, str]) -> Iterator[None]:
    """Within the block the environment has ``env`` on top; afterwards environment, folder and path are as before."""
    environment = dict(os.environ)
    folder = os.getcwd()
    path = list(sys.path)
    os.environ.update(env)
    try:
        yield
    finally:
        if sys.path != path:
            sys.path[:] = path
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        _return_to(folder)


def _return_to(folder: str) -> None:
    try:
        if os.getcwd() == folder:
            return
    except FileNotFoundError:
        # The task removed the folder it stood in; there is only one way from here.
        os.chdir(folder)
    else:
        os.chdir(folder)
