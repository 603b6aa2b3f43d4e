"""A registry of images on the loopback: as much of the OCI distribution specification as a push and a pull by Docker ask for."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

Manifests = dict[str, tuple[str, bytes]]


@contextmanager
def registry() -> Iterator[str]:
    """Within the block, the host and port of an empty registry, as names of images begin with it."""
    blobs: dict[str, bytes] = {}
    manifests: Manifests = {}
    uploads: dict[str, bytearray] = {}
    bound = type("Bound", (_Handler,), {"blobs": blobs, "manifests": manifests, "uploads": uploads})
    server = ThreadingHTTPServer(("127.0.0.1", 0), bound)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    blobs: dict[str, bytes]
    manifests: Manifests
    uploads: dict[str, bytearray]

    def do_GET(self) -> None:
        """Whether it is a registry, a blob, or a manifest by its tag or digest."""
        if self.path == "/v2/":
            self._answer(200, b"{}")
        elif found := re.fullmatch(r"/v2/.+/blobs/(.+)", self.path):
            blob = self.blobs.get(found[1])
            if blob is None:
                self._answer(404)
            else:
                self._answer(200, blob, Docker_Content_Digest=found[1])
        else:
            kind, data = self.manifests.get(self.path, ("", b""))
            if data:
                self._answer(200, data, kind, Docker_Content_Digest=_digest(data))
            else:
                self._answer(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}')

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """The beginning of an upload."""
        name = uuid4().hex
        self.uploads[name] = bytearray()
        self._body()
        self._answer(202, Location=f"{self.path.split('?')[0].rstrip('/')}/{name}", Range="0-0")

    def do_PATCH(self) -> None:
        """A piece of an upload."""
        upload = self.uploads[self.path.rpartition("/")[2].split("?")[0]]
        upload += self._body()
        self._answer(202, Location=self.path, Range=f"0-{len(upload) - 1}")

    def do_PUT(self) -> None:
        """The end of an upload, or a manifest."""
        data = self._body()
        if "/manifests/" in self.path:
            kind = self.headers["Content-Type"]
            self.manifests[self.path] = (kind, data)
            self.manifests[f"{self.path.rpartition('/')[0]}/{_digest(data)}"] = (kind, data)
            self._answer(201, Docker_Content_Digest=_digest(data))
            return
        name = self.path.rpartition("/")[2].split("?")[0]
        blob = bytes(self.uploads.pop(name)) + data
        self.blobs[_digest(blob)] = blob
        self._answer(201, Docker_Content_Digest=_digest(blob))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, status: int, data: bytes = b"", kind: str = "application/octet-stream", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Docker_Distribution_Api_Version": "registry/2.0", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
