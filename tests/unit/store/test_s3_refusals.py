"""What cannot heal costs one request: counted where requests arrive, so that nothing that asks again goes unseen."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from servers import BUCKET, Proxy, Server, running_proxy

from pyflow.errors import StoreError, StoreUnavailableError
from pyflow.store.s3 import S3Blobs

RUN = "v1/demo/runs/ann/r1"

REFUSALS = {
    "AccessDenied": (403, "s3:GetObject"),
    "NoSuchBucket": (404, "make the bucket"),
    "InvalidAccessKeyId": (403, "AWS_ACCESS_KEY_ID"),
    "SignatureDoesNotMatch": (403, "AWS_SECRET_ACCESS_KEY"),
    "RequestTimeTooSkewed": (403, "this machine's clock"),
    "PermanentRedirect": (301, "AWS_DEFAULT_REGION"),
    "301": (301, "http or https"),
}

OPERATIONS = {
    "put": lambda store: store.put(f"{RUN}/blob", [b"x"]),
    "put in parts": lambda store: store.put(f"{RUN}/blob", [bytes(17 << 20)]),
    "create": lambda store: store.create(f"{RUN}/claim", b"x"),
    "get": lambda store: store.get(f"{RUN}/blob"),
    "list": lambda store: list(store.list(RUN)),
    "folders": lambda store: store.folders(RUN),
    "commit": lambda store: store.commit(f"{RUN}/commits", "1", b"{}"),
    "committed": lambda store: store.committed(f"{RUN}/commits", "2"),
    "append": lambda store: store.append(f"{RUN}/logs/w1", b"x"),
    "delete": lambda store: store.delete([f"{RUN}/blob"]),
    "uploads": lambda store: list(store.unfinished()),
}


@dataclass
class Plan:
    """With which code all is refused from now on, and what was."""

    code: str = ""
    asked: list[str] = field(default_factory=list)


class Refusing(Proxy):
    """Passes all on until it is told to refuse, then refuses all, and counts."""

    plan: Plan

    def do(self) -> None:
        if not self.plan.code:
            super().do()
            return
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.plan.asked.append(f"{self.command} {self.path}")
        status, _ = REFUSALS[self.plan.code]
        page = b"<html>Moved Permanently</html>"  # as web servers say it, which know nothing of S3
        error = f"<Error><Code>{self.plan.code}</Code><Message>No.</Message></Error>".encode()
        self.answer(status, [], page if self.plan.code == "301" else error)


@pytest.fixture
def refusing(moto: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plan]:
    plan = Plan()
    with running_proxy(moto, type("Planned", (Refusing,), {"plan": plan})) as server:
        server.enter(monkeypatch)
        yield plan


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_is_told_after_one_request(refusing, code):
    """Whatever is asked of a store, a refusal that will stay one is told after the first request, with what would help."""
    store = S3Blobs(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    store.put(f"{RUN}/first", [b"so that the marker is there"])
    refusing.code = code
    for number, (name, ask) in enumerate(OPERATIONS.items(), 1):
        with pytest.raises(StoreError, match=REFUSALS[code][1]) as told:
            ask(store)
        assert not isinstance(told.value, StoreUnavailableError), name
        assert code in str(told.value)
        assert len(refusing.asked) == number, (name, refusing.asked)


@pytest.mark.parametrize("code", REFUSALS)
def test_the_check_of_a_store_tells_a_refusal_after_one_request(refusing, code):
    """``pyflow store check`` ends with 3 and one sentence of what would help; nothing is asked a second time."""
    refusing.code = code
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    command = [sys.executable, "-c", "from pyflow.cli import main; main()", "store", "check", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert code in done.stderr
    assert REFUSALS[code][1] in done.stderr
    assert "Traceback" not in done.stderr
    assert len(refusing.asked) == 1, refusing.asked


def test_missing_credentials_cost_no_request(refusing, monkeypatch):
    """Without credentials there is nothing to ask with."""
    refusing.code = "AccessDenied"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match="AWS_PROFILE"):
        S3Blobs(f"s3://{BUCKET}/x").get("v1/a")
    assert refusing.asked == []
