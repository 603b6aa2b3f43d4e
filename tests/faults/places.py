"""Where injections happen: servers, and stores of their own on them or in folders."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from servers import BUCKET, Server

from pyflow.store import Keys

KEYS = Keys("faults", "ann")


class entered:
    """Let this process, and those that it starts, speak to one server, from now on."""

    def __init__(self, server: Server | None) -> None:
        self._environment = {} if server is None else server.environment

    def __enter__(self) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(self._environment)

    def __exit__(self, *error: object) -> None:
        """The next one enters another."""


def new_store(server: Server | None, folder: Path) -> str:
    """The URL of a store that does not exist yet, in a folder where there is no server."""
    name = uuid.uuid4().hex
    return str(folder / name) if server is None else f"s3://{BUCKET}/{name}"
