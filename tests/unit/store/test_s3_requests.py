"""What fails is tried again while that may help; what cannot heal is told at once, with what would."""

from __future__ import annotations

import ssl
import threading

import pytest
from botocore import exceptions
from servers import BUCKET, READER_KEYS, Server, free_ports

from pyflow.errors import StoreError, StoreUnavailableError
from pyflow.store.s3 import Patience, S3Blobs
from pyflow.store.s3.failure import Cure, ShortBodyError, judge
from pyflow.store.s3.requests import Requests


@pytest.fixture(autouse=True)
def _no_real_server(monkeypatch):
    Server(1).enter(monkeypatch)


def answer(code: str, status: int) -> exceptions.ClientError:
    wire = {"Error": {"Code": code, "Message": "Because."}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return exceptions.ClientError(wire, "PutObject")


def unsafe(error: object) -> exceptions.SSLError:
    return exceptions.SSLError(endpoint_url="https://x", error=error)


class Trouble:
    """A request that ends with these errors, one after the other, and then with an answer."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.clients = []

    def __call__(self, s3: object) -> str:
        self.clients.append(s3)
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def requests(patience: Patience | None = None) -> tuple[Requests, list[float]]:
    slept: list[float] = []
    return Requests("s3://bucket/team", patience or Patience(), sleep=slept.append), slept


@pytest.mark.parametrize(
    "error",
    [
        answer("SlowDown", 503),
        answer("InternalError", 500),
        answer("502", 502),
        answer("ConditionalRequestConflict", 409),
        answer("TooManyRequests", 429),
        answer("RequestTimeout", 400),
        exceptions.ReadTimeoutError(endpoint_url="http://x"),
        exceptions.ConnectTimeoutError(endpoint_url="http://x"),
        exceptions.ConnectionClosedError(endpoint_url="http://x"),
        exceptions.ResponseStreamingError(error="reset"),
        exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        ShortBodyError("1 byte"),
    ],
    ids=lambda error: str(error)[:60],
)
def test_what_may_heal_is_tried_again(error):
    """A busy store, a conflict of two writers, a time-out, a reset and a short body are not the caller's business."""
    asking, slept = requests()
    assert asking.ask("write 'v1/a'", Trouble(*[error] * 9)) == "answer"
    assert len(slept) == 9
    assert all(0 <= pause <= 10 for pause in slept)


def test_pauses_grow_and_differ():
    """Who failed together does not come back together."""
    asking, slept = requests()
    asking.ask("write 'v1/a'", Trouble(*[answer("SlowDown", 503)] * 40))
    assert len(set(slept)) == 40
    assert max(slept[:2]) < 0.5
    assert max(slept) > 1


def test_patience_ends():
    """After the deadline the store counts as away: what was tried, how often, and that later may be better."""
    asking, slept = requests(Patience(deadline_s=0))
    with pytest.raises(
        StoreUnavailableError, match=r"Cannot write 'v1/a' in the store s3://bucket/team: SlowDown: Because\. Try"
    ):
        asking.ask("write 'v1/a'", Trouble(answer("SlowDown", 503)))
    assert slept == []


def test_attempts_are_limited_as_for_the_tools_of_aws(monkeypatch):
    """``AWS_MAX_ATTEMPTS`` says how often a request is sent."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    slept: list[float] = []
    trouble = Trouble(*[answer("SlowDown", 503)] * 5)
    with pytest.raises(StoreUnavailableError, match="It was tried 3 times"):
        Requests("s3://bucket", sleep=slept.append).ask("write 'v1/a'", trouble)
    assert len(trouble.clients) == 3


def test_old_credentials_are_renewed_once():
    """Credentials that ran out are looked for anew, in a new client; if the new ones are too old as well, that is told."""
    asking, _ = requests()
    trouble = Trouble(answer("ExpiredToken", 400))
    assert asking.ask("write 'v1/a'", trouble) == "answer"
    assert trouble.clients[0] is not trouble.clients[1]
    with pytest.raises(StoreError, match="aws sso login"):
        asking.ask("write 'v1/a'", Trouble(*[answer("ExpiredToken", 400)] * 2))


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (answer("AccessDenied", 403), "s3:GetObject"),
        (answer("403", 403), "s3:GetObject"),
        (answer("NoSuchBucket", 404), "make the bucket"),
        (answer("InvalidAccessKeyId", 403), "AWS_ACCESS_KEY_ID"),
        (answer("SignatureDoesNotMatch", 403), "AWS_SECRET_ACCESS_KEY"),
        (answer("RequestTimeTooSkewed", 403), "this machine's clock"),
        (answer("PermanentRedirect", 301), "AWS_DEFAULT_REGION"),
        (answer("NotImplemented", 501), "choose another"),
        (answer("XMinioStorageFull", 507), "pyflow gc"),
        (exceptions.NoCredentialsError(), "AWS_PROFILE"),
        (exceptions.ProfileNotFound(profile="team"), "settings of AWS"),
        (unsafe("CERTIFICATE_VERIFY_FAILED"), "AWS_CA_BUNDLE"),
        (unsafe("CERTIFICATE_VERIFY_FAILED: certificate has expired"), "renew its certificate"),
        (unsafe("CERTIFICATE_VERIFY_FAILED: Hostname mismatch"), "AWS_ENDPOINT_URL"),
        (unsafe("hostname 'a' doesn't match 'b'"), "AWS_ENDPOINT_URL"),
        (unsafe(ssl.SSLError(FileNotFoundError(2, "No such file or directory"))), "take it out"),
        (unsafe("NO_CERTIFICATE_OR_CRL_FOUND"), "name a file with certificates"),
        (unsafe("[X509] PEM lib (_ssl.c:4154)"), "name a file with certificates"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_heal_is_told_at_once(error, advice):
    """A refusal comes after one request, with the store's own words and what would help."""
    asking, slept = requests()
    with pytest.raises(StoreError, match=advice) as told:
        asking.ask("write 'v1/a'", Trouble(error))
    assert not isinstance(told.value, StoreUnavailableError)
    assert slept == []
    assert told.value.__cause__ is error


@pytest.mark.parametrize(
    ("variables", "advice"),
    [
        ({"AWS_CA_BUNDLE": ""}, "Set AWS_CA_BUNDLE to the file"),
        ({"AWS_CA_BUNDLE": "/ours.pem"}, "Set AWS_CA_BUNDLE, now /ours.pem, to the file"),
        ({"PYFLOW_POD": "word"}, "argo={'s3_ca_secret': ...}"),
    ],
)
def test_an_authority_is_named_where_it_can_be(variables, advice, monkeypatch):
    """On the author's machine by a variable, in a pod by what the settings say of pods."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert advice in judge(unsafe("CERTIFICATE_VERIFY_FAILED")).advice


def test_words_in_an_address_say_nothing_of_a_certificate():
    """A key may be called anything."""
    error = exceptions.SSLError(endpoint_url="https://x/b/mismatch", error="EOF occurred in violation of protocol")
    assert judge(error).cure is Cure.PATIENCE


def test_an_error_that_nobody_knows_is_not_tried_again():
    """boto3 may have errors to come; they end a request, with their name."""
    verdict = judge(exceptions.BotoCoreError())
    assert verdict.cure is Cure.NONE
    assert "BotoCoreError" in verdict.what


def test_an_address_where_nobody_answers_is_told_soon():
    """A store that has never answered gets seconds, not minutes; its address may be wrong."""
    store = S3Blobs(f"s3://{BUCKET}/x", patience=Patience(contact_s=0.2))
    with pytest.raises(StoreUnavailableError, match="Check AWS_ENDPOINT_URL"):
        store.get("v1/a")


def test_an_unknown_host_is_told_soon(monkeypatch):
    """So does one whose name nobody knows."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://nobody.invalid:9")
    with pytest.raises(StoreUnavailableError, match="Check AWS_ENDPOINT_URL"):
        S3Blobs(f"s3://{BUCKET}/x", patience=Patience(contact_s=0.2)).get("v1/a")


def test_a_store_that_was_there_gets_time_to_come_back(moto, monkeypatch):
    """A server that is restarted under load refuses connections for a while; that is waited for."""
    moto.enter(monkeypatch)
    asking, slept = requests(Patience(contact_s=0))
    gone = exceptions.EndpointConnectionError(endpoint_url="http://x")
    assert asking.ask("write 'v1/a'", Trouble(answer("SlowDown", 503), gone, gone)) == "answer"
    assert len(slept) == 3


def test_real_refusals_are_told(seaweed, monkeypatch):
    """A real server's words for what may not be, unknown keys, a wrong secret and a missing bucket are understood; also those without a body."""
    seaweed.enter(monkeypatch)
    S3Blobs(f"s3://{BUCKET}/refusals").put("v1/a", [b"x"])
    with monkeypatch.context() as reader:
        reader.setenv("AWS_ACCESS_KEY_ID", READER_KEYS[0])
        reader.setenv("AWS_SECRET_ACCESS_KEY", READER_KEYS[1])
        seen = S3Blobs(f"s3://{BUCKET}/refusals")
        assert bytes(seen.get("v1/a")) == b"x"
        for write in (
            lambda: seen.put("v1/b", [b"x"]),
            lambda: seen.create("v1/b", b"x"),
            lambda: seen.delete(["v1/a"]),
        ):
            with pytest.raises(StoreError, match=r"AccessDenied.* s3:PutObject"):
                write()
    with pytest.raises(StoreError, match=r"NoSuchBucket: .* make the bucket"):
        S3Blobs("s3://no-such-bucket/x").put("v1/a", [b"x"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreError, match=r"SignatureDoesNotMatch.* Check AWS_ACCESS_KEY_ID"):
        S3Blobs(f"s3://{BUCKET}/x").get("v1/a")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "unknown")
    with pytest.raises(StoreError, match=r"InvalidAccessKeyId.* Check AWS_ACCESS_KEY_ID"):
        S3Blobs(f"s3://{BUCKET}/x").info("v1/a")


def test_missing_credentials_are_told(monkeypatch):
    """Without any credentials no request is sent."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(StoreError, match=r"Unable to locate credentials. Set AWS_ACCESS_KEY_ID"):
        S3Blobs(f"s3://{BUCKET}/x").get("v1/a")


def test_threads_share_one_client(moto, monkeypatch):
    """However many threads ask at once, the process makes one client."""
    moto.enter(monkeypatch)
    asking, _ = requests()
    trouble = Trouble()
    threads = [threading.Thread(target=asking.ask, args=("look", trouble)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, trouble.clients))) == 1
