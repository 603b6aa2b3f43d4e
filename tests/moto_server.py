"""Moto with create-only writes that are atomic.

Moto looks whether a key exists and then writes it, and between the two another of its threads may do the same: both
are told that they created it. A store that does that keeps no promise, so here one such write is answered at a time.

    python tests/moto_server.py PORT
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

import moto.server
from werkzeug.serving import BaseWSGIServer, make_server


def moto_server(port: int) -> BaseWSGIServer:
    """A server on the loopback, not serving yet; 0 takes any port."""
    logging.getLogger("werkzeug").disabled = True
    app = _Atomic(moto.server.DomainDispatcherApplication(moto.server.create_backend_app))
    return make_server("127.0.0.1", port, app, threaded=True, request_handler=moto.server.MotoRequestHandler)


class _Atomic:
    """An application that answers one create-only write at a time."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if "HTTP_IF_NONE_MATCH" not in environ:
            return self._app(environ, start_response)
        if environ.get("CONTENT_LENGTH"):
            # Before the others have to wait: whoever sends may be slow, or stop in the middle.
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        with self._lock:
            return self._app(environ, start_response)


if __name__ == "__main__":
    moto_server(int(sys.argv[1])).serve_forever()
