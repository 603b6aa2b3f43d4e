"""A server's address behind TLS, with a certificate that only a given authority vouches for."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Future
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

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)
        try:
            behind = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        ends.append(behind[1])
        ways = [asyncio.create_task(hand_on(*way)) for way in ((reader, behind[1]), (behind[0], writer))]
        try:  # when one side leaves, so does the other
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, behind[1]):
                end.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        is_open.set_result(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(is_over.wait)
        server.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for end in ends:
            end.transport.abort()
        await asyncio.sleep(0.05)  # connections close behind what runs now

    ends: list[asyncio.StreamWriter] = []
    is_open: Future[int] = Future()
    is_over = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        yield Front(f"https://127.0.0.1:{is_open.result(10)}", path)
    finally:
        is_over.set()
        thread.join()
