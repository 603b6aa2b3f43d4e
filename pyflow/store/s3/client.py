"""The client of botocore: one for each process and environment, made when it is first needed.

Credentials, region and endpoint are found the way AWS documents; nothing of it is read or kept here. It is the client that boto3
has as well, without what boto3 puts around it, which takes a tenth of a second to load in each container.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from pyflow.late import late
from pyflow.store.environment import Variables, in_force, variables
from pyflow.version import VERSION

if TYPE_CHECKING:
    from urllib import parse

    from botocore import config, handlers, loaders, session
else:
    config = late("botocore.config")
    handlers = late("botocore.handlers")
    loaders = late("botocore.loaders")
    session = late("botocore.session")
    parse = late("urllib.parse")

Response: TypeAlias = "dict[str, Any]"

CONCURRENCY: Final = 4
"""Requests at once for the parts of one large object."""

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
"""How long a store may say nothing. Tests are less patient."""

_MOST_CONNECTIONS: Final = 128
"""As many requests as there may be at once: a watcher reads 16 journals, each of them in up to 8 segments. With fewer, botocore's pool
throws connections away and warns of it on the author's terminal."""
DESCRIPTION: Final = ".marshal"
"""The ending of a description that ``images.compiling`` has read beforehand: half of the time to make a client goes into JSON."""
_SERVICES: Final = frozenset({"", "*", "s3", "sts", "sso", "sso-oidc", "signin"})
"""Those whose handlers are needed, as botocore spells them in the names of events: all, the store, and the ways to credentials for it."""
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_AMAZON: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


class Client(Protocol):
    """What we use of botocore's client of S3."""

    meta: Any

    def put_object(self, **parameters: Any) -> Response: ...  # noqa: D102
    def get_object(self, **parameters: Any) -> Response: ...  # noqa: D102
    def head_object(self, **parameters: Any) -> Response: ...  # noqa: D102
    def list_objects_v2(self, **parameters: Any) -> Response: ...  # noqa: D102
    def delete_object(self, **parameters: Any) -> Response: ...  # noqa: D102
    def delete_objects(self, **parameters: Any) -> Response: ...  # noqa: D102
    def create_multipart_upload(self, **parameters: Any) -> Response: ...  # noqa: D102
    def upload_part(self, **parameters: Any) -> Response: ...  # noqa: D102
    def complete_multipart_upload(self, **parameters: Any) -> Response: ...  # noqa: D102
    def abort_multipart_upload(self, **parameters: Any) -> Response: ...  # noqa: D102
    def list_multipart_uploads(self, **parameters: Any) -> Response: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


_lock = threading.Lock()
_client_by_environment: dict[Variables, Client] = {}
_threads_asking: list[int] = []
"""Whoever is between sending a request and having read its answer, once for each."""
_nobody_begins = threading.RLock()
"""Held during a fork: whoever began a request meanwhile might take a connection that is the child's."""


def client(environment: Mapping[bytes, bytes] | None = None, *, after: Client | None = None) -> Client:
    """The client of this process for the ``AWS_*`` variables of an environment.

    Args:
        environment: None: that of the process as it is now.
        after: One that is not to be used any more, for its credentials are too old.
    """
    wanted = variables(environment)
    with _lock:
        found = _client_by_environment.get(wanted)
        if found is None or found is after:
            with in_force(wanted):
                found = _client_by_environment[wanted] = _make()
        return found


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Within the block the client is in use, so that the child of a fork would find it in the middle of something."""
    thread = threading.get_ident()
    try:
        with _nobody_begins:
            _threads_asking.append(thread)
        yield
    finally:
        if thread in _threads_asking:  # not so when a signal came between
            _threads_asking.remove(thread)


def is_amazon(s3: Client) -> bool:
    """Whether a client speaks to AWS itself, which can do all that the newest clients expect."""
    return f".{parse.urlsplit(s3.meta.endpoint_url).hostname or ''}".endswith(_AMAZON)


class _Descriptions:
    """Reads botocore's descriptions of services, where the travelling runtime has them as ``marshal`` writes them, as such."""

    def __init__(self, usual: Any) -> None:
        self._usual = usual

    def exists(self, path: str) -> bool:
        """Whether there is one; its path has no ending."""
        return bool(self._usual.exists(path))

    def load_file(self, path: str) -> Any:
        """What it says."""
        archive: Any = loaders.__loader__
        try:
            return marshal.loads(archive.get_data(path + DESCRIPTION))  # noqa: S302  from the archive that this code is from
        except OSError:
            return self._usual.load_file(path)


@lru_cache(maxsize=1)
def _loader(data_path: str | None) -> Any:
    """Remembers what it has read of the descriptions: megabytes of JSON, which the child of a fork need not read again."""
    made: Any = loaders.create_loader(data_path)
    made.file_loader = _Descriptions(made.file_loader)
    return made


def _session() -> Any:
    """A session of botocore's, with the handlers for these services among those for hundreds: they are a third of what it takes."""
    made: Any = session.Session(include_builtin_handlers=False)
    events = made.get_component("event_emitter")
    register = {
        (): events.register,
        (handlers.REGISTER_FIRST,): events.register_first,
        (handlers.REGISTER_LAST,): events.register_last,
    }
    for event, handler, *when in handlers.BUILTIN_HANDLERS:
        what, service = f"{event}.".split(".")[:2]
        if what != "docs" and service in _SERVICES:
            register[tuple(when)](event, handler)
    return made


def _make() -> Client:
    found: Any = _session()
    found.register_component("data_loader", _loader(found.get_config_variable("data_path")))
    guess = not any(os.environ.get(name) for name in _ENDPOINTS)
    made: Client = found.create_client("s3", config=_config(for_amazon=guess))
    if is_amazon(made) is not guess:
        # Only now is it known where the requests go, for files may say so, too.
        made = found.create_client("s3", config=_config(for_amazon=not guess))
    if not is_amazon(made):
        made.meta.events.register("before-call.s3", _stay_here)
    return made


def _stay_here(context: dict[str, Any], **_: Any) -> None:
    """Take no answer for "the bucket is in another region": off AWS, botocore would ask for the region without end."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _config(*, for_amazon: bool) -> Any:
    # Other stores fail on checksums that they do not know (boto3 issues 4398 and 4400), and few answer to a host
    # name for each bucket. Nothing is lost: uploads are signed with their sha256, and reads verify their own.
    checksums = "when_supported" if for_amazon else "when_required"
    return config.Config(
        signature_version="s3v4",
        s3={"addressing_style": "auto" if for_amazon else "path"},
        # Retries are the business of ``requests.py``, which knows more of what they are for.
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        tcp_keepalive=True,
        max_pool_connections=_MOST_CONNECTIONS,
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
        user_agent_extra=f"pyflow/{VERSION}",
    )


def _leave_to_child() -> None:
    # To close them says nothing to whoever is at the other end, as long as the child has them open.
    try:
        if not _threads_asking:
            for left in [*_client_by_environment.values()]:
                left.close()
    finally:  # Python tells of what is raised here, and goes on
        _nobody_begins.release()


def _take_over() -> None:
    # The client with its connections is the child's, which spares a start the twentieth that it takes to make one, and the
    # way to the store and back. Not so when anybody is amid a request: the parent's threads are not here, and what they hold
    # is held for good.
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    _nobody_begins.release()
    if _threads_asking:
        _client_by_environment.clear()
        _threads_asking[:] = [thread for thread in _threads_asking if thread == threading.get_ident()]


os.register_at_fork(before=_nobody_begins.acquire, after_in_parent=_leave_to_child, after_in_child=_take_over)
