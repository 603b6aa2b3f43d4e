"""What a container needs to get at the store, and nobody else is to see: the key that signs, the keys of a bucket.

They are files in a private folder that is mounted, so that they stand neither in labels nor in the variables that
``docker inspect`` shows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pyflow.contract import Home
from pyflow.errors import ExecutorError
from pyflow.late import late
from pyflow.store import ContentStore, default_key_file

if TYPE_CHECKING:
    import boto3
    from botocore import session as botocore_session
else:
    boto3 = late("boto3")
    botocore_session = late("botocore.session")

MOUNTED: Final = "/run/pyflow"
"""Where the private folder lies in the container."""

SECRETS_MOUNTED: Final = "/run/pyflow-secrets"
"""Where a task's own secrets lie in the container."""

# What changes how boto3 speaks to a store, and holds no secret (AWS SDKs and Tools Reference Guide, "Settings reference").
_HANDED_ON: Final = (
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
_LOOPBACK: Final = ("localhost", "127.", "[::1]", "::1")


def lay_key(folder: str, home: Home, content: ContentStore) -> dict[str, str]:
    """Put the keys that sign records into the folder; the variables that name them."""
    trusted = {"PYFLOW_TRUST_STORE": "1"} if content.trust.trusts_store else {}
    if not content.trust.keys:
        return trusted
    own = home.key_file or os.environ.get("PYFLOW_KEY_FILE", "") or default_key_file()
    with open(os.path.expanduser(own), "rb") as file:
        _write_private(os.path.join(folder, "key"), file.read())
    return {**trusted, "PYFLOW_KEY_FILE": f"{MOUNTED}/key"}


def lay_secrets(folder: str, wanted: Mapping[str, Sequence[str | None]], values: Mapping[str, str]) -> None:
    """Put the secrets of a task into a folder, each as a file, the way clusters mount them.

    Args:
        folder: A private folder.
        wanted: Name and key of the secret of each variable.
        values: The value of each variable.
    """
    for variable, (name, key) in wanted.items():
        path = os.path.join(folder, *filter(None, (name, key)))
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        _write_private(path, values[variable].encode())


def lay_s3(folder: str) -> dict[str, str]:
    """Put the credentials of this process for a bucket into the folder; the variables that a container needs beside them."""
    settings: Any = botocore_session.get_session()
    session: Any = boto3.Session(botocore_session=settings)
    variables = {name: os.environ[name] for name in _HANDED_ON if os.environ.get(name)}
    authorities = settings.get_config_variable("ca_bundle")
    if authorities:
        _write_private(os.path.join(folder, "authorities"), _certificates(authorities))
        variables["AWS_CA_BUNDLE"] = f"{MOUNTED}/authorities"
    if session.region_name:
        variables.setdefault("AWS_REGION", session.region_name)
    credentials = session.get_credentials()
    if credentials is None:
        return variables
    frozen = credentials.get_frozen_credentials()
    lines = ["[default]", f"aws_access_key_id = {frozen.access_key}", f"aws_secret_access_key = {frozen.secret_key}"]
    if frozen.token:
        lines.append(f"aws_session_token = {frozen.token}")
    _write_private(os.path.join(folder, "credentials"), "\n".join([*lines, ""]).encode())
    endpoint = session.client("s3").meta.endpoint_url
    if "AWS_ENDPOINT_URL_S3" not in variables and "amazonaws" not in endpoint:
        variables["AWS_ENDPOINT_URL_S3"] = endpoint
    return {**variables, "AWS_SHARED_CREDENTIALS_FILE": f"{MOUNTED}/credentials"}


def _certificates(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ExecutorError(
            f"The certificates that boto3 is to trust, {path}, cannot be read: {error.strerror}. AWS_CA_BUNDLE, or ca_bundle in AWS's "
            "configuration, says where they are."
        ) from error


def check_reachable(variables: dict[str, str], network: str | None, names: list[str]) -> None:
    """Refuse a bucket on this machine's own loopback, which in a container is the container's.

    Raises:
        ExecutorError: It is one, and a task's network is not the host's.
    """
    endpoint = variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL") or ""
    host = (urlsplit(endpoint).hostname or "") if endpoint else ""
    if network != "host" and host.startswith(_LOOPBACK):
        raise ExecutorError(
            f"The store is at {endpoint}, which is this machine; in a container the same address is the container itself. "
            f'Say network="host" (for all tasks: network = "host" in [tool.pyflow.docker]), or use an address that containers reach. It concerns: '
            f"{', '.join(map(repr, names[:5]))}."
        )


def _write_private(path: str, data: bytes) -> None:
    """Write a file that only its owner may read; whoever reads it sees the old or the new one, whole."""
    aside = f"{path}.new"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o400)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    os.replace(aside, path)
