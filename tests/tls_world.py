"""A server's address behind TLS, with a certificate that only a given authority vouches for."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Front:
    """What stands before a server."""

    url: str
    authority: Path
    """The certificate of who vouches for it, as a file."""


@contextmanager
def tls_front(port: int, folder: Path) -> Iterator[Front]:
    """Take TLS for a server on a port of the loopback, and hand on what is said.

    Args:
        port: The server's.
        folder: Where the authority's certificate is to lie.
    """
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    ends: list[socket.socket] = []

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(10)
            # Whoever does not trust the certificate leaves in the middle of the greeting.
            with contextlib.suppress(OSError), context.wrap_socket(self.request, server_side=True) as caller:
                caller.settimeout(None)
                with socket.create_connection(("127.0.0.1", port)) as behind:
                    ends.extend((caller, behind))
                    _hand_on(caller, behind)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        request_queue_size = 64

    server = Server(("127.0.0.1", 0), Connection)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Front(f"https://127.0.0.1:{server.server_address[1]}", path)
    finally:
        server.shutdown()
        thread.join()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        server.server_close()  # waits for those that hand on


def _hand_on(caller: ssl.SSLSocket, behind: socket.socket) -> None:
    """Until one of the two leaves."""
    while True:
        ready = [caller] if caller.pending() else select.select([caller, behind], [], [])[0]
        for source in ready:
            data = source.recv(1 << 16)
            if not data:
                return
            (behind if source is caller else caller).sendall(data)
