"""What must be known of a cluster with Argo: from the settings' table ``argo``, and the variables that Argo's own command reads.

    configure(argo={"host": "https://argo.example.org", "token": "…", "namespace": "team"})

    [tool.pyflow.argo]
    host = "argo.example.org:2746"
    namespace = "team"

``ARGO_SERVER``, ``ARGO_TOKEN``, ``ARGO_TOKEN_FILE``, ``ARGO_NAMESPACE``, ``ARGO_SECURE``, ``ARGO_INSECURE_SKIP_VERIFY``,
``ARGO_BASE_HREF`` and ``ARGO_INSTANCEID`` stand between ``configure`` and the file. A token is in no repr, record or log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pyflow.errors import ConfigError, DefinitionError
from pyflow.executors.argo.versions import OLDEST, version_of
from pyflow.graph import seconds
from pyflow.images import runtime_tag

Api = Literal["server", "kubernetes"]
Credentials = Literal["secret", "workload-identity", "node"]

_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "api": ("server", "kubernetes"),
    "s3_credentials": ("secret", "workload-identity", "node"),
    "image_pull_policy": ("Always", "IfNotPresent", "Never"),
    "pod_gc": ("OnPodCompletion", "OnPodSuccess", "OnWorkflowCompletion", "OnWorkflowSuccess", "Never"),
}
# A namespace is a DNS label (RFC 1123): at most 63 lower-case letters, digits and dashes.
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

# Root is asked for by tasks.
_USER: Final = re.compile(r"cluster|[1-9][0-9]{0,9}(:[0-9]{1,10})?")
_MOST_USERS: Final = 2**31  # Kubernetes takes numbers below this

# Python's own images on Docker Hub; one of that name in another registry may hold anything.
_OF_PYTHON: Final = re.compile(r"(?:docker\.io/)?(?:library/)?python:[\w.-]+(?:@sha256:[0-9a-f]{64})?")

# Where boto3 looks for them in this process, in its order; pods must find the same bucket.
_S3: Final[dict[str, tuple[str, ...]]] = {
    "s3_endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "s3_region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgoSettings:
    """Where a cluster is, and how runs look on it."""

    host: str | None = None
    """URL of the Argo Server, without a slash at its end; None: the Kubernetes API is used."""
    token: str | None = field(default=None, repr=False)
    """For the Argo Server, without ``Bearer``."""
    token_file: str | None = None
    """A file that holds the token, read again whenever the server says that it has expired."""
    namespace: str | None = None
    """Where workflows live; None: what the kubeconfig's context says, or ``default``."""
    api: Api = "server"
    """Which of the two ways leads to the cluster."""
    context: str | None = None
    """Of the kubeconfig; None: its current one."""
    verify_ssl: bool | str = True
    """Whether to check the server's certificate; a path names the authorities to check with."""
    base_href: str = ""
    """Path below which the Argo Server lies, as ``/argo``."""
    instance_id: str | None = None
    """Of the controller, where a cluster has several."""
    timeout_s: float = 30.0
    """How long one request may take."""

    service_account: str | None = None
    """Whose rights pods have; they need ``workflowtaskresults: create, patch`` and nothing else."""
    image: str | None = None
    """Where tasks run that name none; None: the runtime image of the registry, or else the stock image of this Python."""
    registry: str | None = None
    """A prefix for the name of the runtime image, which lies there: pods of it need not fetch pyflow from the store."""
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    s3_credentials: Credentials | None = None
    """Where pods have their credentials for the store from; None: ``secret`` when one is named, else ``node``."""
    s3_secret: str | None = None
    """The Secret with the store's credentials."""
    s3_access_key: str = "accesskey"
    """Under which key of that Secret the access key lies."""
    s3_secret_key: str = "secretkey"  # noqa: S105  a name, not a secret
    """And the secret key."""
    s3_endpoint: str | None = None
    """The store's address as pods see it; None: as this process does."""
    s3_region: str | None = None
    s3_ca_secret: str | None = None
    """The Secret with the certificates of the authorities that vouch for the store; None: those that everybody trusts."""
    s3_ca_key: str = "ca.crt"
    """Under which key of that Secret they lie, one behind the other as PEM."""
    key_secret: str | None = None
    """The Secret with the key that results are signed with, made by what ``pyflow argo setup`` prints."""
    trust_bucket: bool = False
    """Work without that key: whoever can write to the bucket can then forge results."""
    parallelism: int | None = None
    """How many pods of a run may run at once."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    priority_class: str | None = None
    run_as: str = "1000"
    """User and group of all pods whose task does not ask for root, as ``UID`` or ``UID:GID``; ``cluster``: as the cluster assigns them."""
    entrypoint: str = "main"
    """Name of the template that a workflow starts with."""
    run_timeout_s: float | None = None
    """How long a run may take as a whole."""
    keep_for_s: float | None = None
    """How long Argo keeps a workflow that has ended; None: as the cluster is set up."""
    pod_gc: str = "OnPodSuccess"
    """Which pods are removed, and when: their logs are in the store by then."""
    target: str | None = None
    """The oldest Argo that must understand the manifest: ``3.7.3``, or ``3.7`` for the newest of these; None: what the
    server says that it is, where one is asked."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise ConfigError(f"argo.{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.")
        if self.namespace is not None and not _LABEL.fullmatch(self.namespace):
            raise ConfigError(
                f"argo.namespace {self.namespace!r} cannot be a namespace: lower-case letters, digits and '-', at most 63."
            )
        if self.parallelism is not None and self.parallelism < 1:
            raise ConfigError(f"argo.parallelism must be 1 or more, got {self.parallelism!r}.")
        if not _USER.fullmatch(self.run_as) or max(self.user_and_group or (0,)) >= _MOST_USERS:
            raise ConfigError(
                f"argo.run_as must be a user's number, as '1000', one with a group's, as '1000:100', or 'cluster', got {self.run_as!r}. "
                "A task that needs root says run_as_root=True."
            )
        if self.target is not None and (version_of(self.target) or (0, 0, 0)) < OLDEST:
            raise ConfigError(
                f"argo.target must be a version of Argo from 3.7 on, as '3.7.3' or '4.0', got {self.target!r}."
            )
        self._runtime_image(python="3")  # refuses a prefix that can be none
        if self.timeout_s <= 0:
            raise ConfigError(f"argo.timeout_s must be more than 0, got {self.timeout_s!r}.")
        if self.s3_credentials == "secret" and self.s3_secret is None:
            raise ConfigError("argo.s3_credentials is 'secret', and argo.s3_secret does not say which one.")

    def image_for(self, wanted: str | None, python: str) -> str:
        """The image for a task: its own, the site's, the runtime image of a registry, or the stock one of a Python."""
        return wanted or self.image or self._runtime_image(python) or f"python:{python}-slim"

    def has_runtime(self, wanted: str | None, python: str) -> bool:
        """Whether that image has pyflow's runtime in it."""
        return self.image_for(wanted, python) == self._runtime_image(python)

    def _runtime_image(self, python: str) -> str | None:
        return runtime_tag(registry=self.registry, python=python) if self.registry else None

    def bare_image_for(self, wanted: str | None, python: str) -> str | None:
        """The same, when it is known to have Python and nothing else; None when nobody can know."""
        image = self.image_for(wanted, python)
        return image if _OF_PYTHON.fullmatch(image) else None

    @property
    def user_and_group(self) -> tuple[int, int] | None:
        """As whom pods run; None where the cluster says so."""
        if self.run_as == "cluster":
            return None
        user, _, group = self.run_as.partition(":")
        return int(user), int(group or user)

    @property
    def url(self) -> str:
        """The Argo Server with the path that it lies below."""
        return f"{self.host}{self.base_href}"

    @property
    def credentials(self) -> Credentials:
        """Where pods have their credentials for the store from."""
        return self.s3_credentials or ("secret" if self.s3_secret is not None else "node")


def argo_settings(table: Mapping[str, Any] | None, environment: Mapping[str, str]) -> ArgoSettings:
    """The settings that a table of checked names and the environment make together.

    Args:
        table: What ``Settings.argo`` says.
        environment: The environment variables; what they say gives way to the table.

    Raises:
        ConfigError: A value is wrong; the message names it.
    """
    given = {name: value for name, value in (table or {}).items() if value is not None}
    merged: dict[str, Any] = {**_from_environment(environment), **given}
    merged |= _address(merged.pop("host", None), merged.get("base_href", ""), is_secure=merged.pop("is_secure", True))
    merged["token"] = _bare_token(merged.get("token"))
    if "run_as" in merged:
        merged["run_as"] = str(merged["run_as"])
    for name, seconds_name in (("run_timeout", "run_timeout_s"), ("keep_for", "keep_for_s")):
        if name in merged:
            merged[seconds_name] = _seconds(name, merged.pop(name))
    for name in ("image_pull_secrets", "tolerations"):
        if name in merged:
            merged[name] = _all_of(name, merged[name], str if name == "image_pull_secrets" else Mapping)
    for name in ("labels", "annotations", "node_selector"):
        _all_of(name, [*merged.get(name, {}), *merged.get(name, {}).values()], str)
    merged.setdefault("api", "server" if merged.get("host") else "kubernetes")
    if merged["api"] == "server" and not merged.get("host"):
        raise ConfigError(
            "argo.api is 'server', and nothing says where the Argo Server is. Set ARGO_SERVER or argo={'host': ...}."
        )
    return ArgoSettings(**merged)


def argo_names() -> list[str]:
    """The names that the table ``argo`` may have, as ``ArgoSettings`` knows them."""
    return [
        f.name.removesuffix("_s") if f.name in {"run_timeout_s", "keep_for_s"} else f.name for f in fields(ArgoSettings)
    ]


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """What the variables of Argo's own command say; its user page hands them out."""
    names = {
        "ARGO_SERVER": "host", "ARGO_TOKEN": "token", "ARGO_TOKEN_FILE": "token_file", "ARGO_NAMESPACE": "namespace",
        "ARGO_BASE_HREF": "base_href", "ARGO_INSTANCEID": "instance_id",
    }  # fmt: skip
    found: dict[str, Any] = {name: environment[var] for var, name in names.items() if environment.get(var)}
    for name, variables in _S3.items():
        said = next((environment[variable] for variable in variables if environment.get(variable)), None)
        if said is not None:
            found[name] = said
    if environment.get("ARGO_SECURE"):
        found["is_secure"] = _flag("ARGO_SECURE", environment["ARGO_SECURE"])
    if environment.get("ARGO_INSECURE_SKIP_VERIFY"):
        found["verify_ssl"] = not _flag("ARGO_INSECURE_SKIP_VERIFY", environment["ARGO_INSECURE_SKIP_VERIFY"])
    return found


def _flag(variable: str, text: str) -> bool:
    # The words that Go's strconv.ParseBool takes, for Argo's own command reads the same variable.
    if text in {"1", "t", "T", "true", "TRUE", "True"}:
        return True
    if text in {"0", "f", "F", "false", "FALSE", "False"}:
        return False
    raise ConfigError(f"The variable {variable} must be true or false, got {text!r}.")


def _address(host: str | None, base_href: str, *, is_secure: bool) -> dict[str, Any]:
    """Scheme, host and port as one URL, and the path below it; ``argo.example.org:2746`` and URLs are both fine."""
    path = base_href.strip("/")
    if host is None:
        return {"base_href": f"/{path}" if path else ""}
    text = host.strip()
    if "://" not in text:
        text = f"{'https' if is_secure else 'http'}://{text}"
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
        parts = urlsplit("")
    if not is_good or parts.username or parts.query or parts.fragment:
        raise ConfigError(
            f"{_without_password(host)!r} is not the address of an Argo Server. "
            "Write host:port, or a URL as https://argo.example.org."
        )
    path = path or parts.path.strip("/")
    return {"host": f"{parts.scheme}://{parts.netloc}", "base_href": f"/{path}" if path else ""}


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", text)


def _bare_token(token: str | None) -> str | None:
    """A token without the word that goes before it in a header; the user page shows it with that word."""
    if token is None:
        return None
    bare = re.sub(r"(?i)^\s*bearer\s+", "", token).strip()
    if not bare or re.search(r"[\s\x00-\x1f\x7f]", bare):
        raise ConfigError(
            "The token for Argo is empty, or has spaces or line breaks in it. Copy it again, as one line."
        )
    return bare


def _seconds(name: str, value: Any) -> float:
    try:
        return seconds(value, option=f"argo.{name}")
    except DefinitionError as error:
        raise ConfigError(str(error)) from error


def _all_of(name: str, values: Sequence[Any], kind: type) -> tuple[Any, ...]:
    if not all(isinstance(value, kind) for value in values):
        what = "text" if kind is str else "tables"
        raise ConfigError(f"argo.{name} must hold {what} only.")
    return tuple(values)
