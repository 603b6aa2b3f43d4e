"""What all pods of a workflow share: the store and its credentials, the run, and how pyflow's runtime gets there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from pyflow.contract import Home
from pyflow.errors import ConfigError
from pyflow.executors.argo.mounts import AUTHORITIES_FILE, KEY_FOLDER, SCRATCH
from pyflow.executors.argo.settings import ArgoSettings
from pyflow.executors.argo.text import encoded, plain
from pyflow.images import COMPILED_AT
from pyflow.jsontext import Json
from pyflow.runtime import RUN_LIMIT, reasons

Template = dict[str, Any]

# It runs before anything of pyflow is there, on the standard library alone. What it imports has the digest in the manifest;
# 72 is contract.ExitCode.INTEGRITY.
STUB: Final = """\
import hashlib,sys
p,d=sys.argv[1:3]
f=open(p,'rb');h=hashlib.sha256()
while b:=f.read(1<<16):h.update(b)
if h.hexdigest()!=d:
 sys.stderr.write('pyflow: the runtime in this pod has another digest than the manifest says\\n');sys.exit(72)
sys.path=[p,*filter(None,sys.path)]
import pyflow_start
pyflow_start.begin(p);del sys.argv[1:3]
from pyflow.runtime.pod import start
start()
"""

# The same in a runtime image, where the name of the file says of which pyflow it is; 73 is contract.ExitCode.ENVIRONMENT.
# What it says is also the pod's last word, for nobody else would tell of a container that pyflow never ran in.
STUB_IN_IMAGE: Final = f"""\
import os,sys
p=sys.argv[1]
if not os.path.exists(p):
 m='pyflow: {reasons.NOT_IN_IMAGE}\\n';sys.stderr.write(m)
 try:open('/dev/termination-log','r+').write(m)
 except OSError:pass
 sys.exit(73)
sys.path=[p,*filter(None,sys.path)]
import pyflow_start
pyflow_start.begin(p);del sys.argv[1]
from pyflow.runtime.pod import start
start()
"""


def check_reachable(url: str) -> None:
    """Refuse a store that lies on the caller's machine.

    Raises:
        ConfigError: It is not in a bucket.
    """
    if not url.startswith("s3://"):
        raise ConfigError(
            f"Pods cannot reach the store {url}, which is on this machine. Executor 'argo' needs a bucket: store='s3://bucket/prefix'."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Travelling:
    """The archive of pyflow's runtime in the store: a zip file."""

    key: str
    """Of the object in the bucket, without the store's prefix."""
    sha256: str
    """Of the whole file."""
    in_image: str
    """Where the same lies in a runtime image: a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The cluster, the store and the graph, as every pod must know them."""

    home: Home
    graph_digest: str
    graph_size: int
    python: str
    settings: ArgoSettings
    most: int
    """How many pods one map may have when its items can share them."""
    runtime: Travelling
    endpoint: str | None = None
    """Of the store as this process knows it; the settings may say another one for pods."""

    def image(self, wanted: str | None) -> str:
        """The image for a task: its own, the site's, or the stock one of this Python."""
        return plain(self.settings.image_for(wanted, self.python), what="image")

    def _has_runtime(self, wanted: str | None) -> bool:
        return self.settings.has_runtime(wanted, self.python)

    def _program(self, wanted: str | None, arguments: list[str]) -> Template:
        """Command and arguments that start pyflow's side of a pod."""
        if self._has_runtime(wanted):
            return {"command": ["python3", "-c", STUB_IN_IMAGE], "args": [self.runtime.in_image, *arguments]}
        return {"command": ["python3", "-c", STUB], "args": [COMPILED_AT, self.runtime.sha256, *arguments]}

    def python_container(self, wanted: str | None, arguments: list[str]) -> Template:
        """A container that runs pyflow's runtime."""
        return {
            "image": self.image(wanted),
            "imagePullPolicy": self.settings.image_pull_policy,
            "workingDir": SCRATCH.path,
            **self._program(wanted, arguments),
        }

    def environment(self) -> list[Template]:
        """The variables of every container that runs pyflow's runtime."""
        variables: list[Template] = [
            {"name": "PYFLOW_POD", "value": self.spec()},
            {"name": "PYFLOW_UID", "value": "{{workflow.uid}}"},
            {"name": "PYFLOW_WORKFLOW", "value": "{{workflow.namespace}}/{{workflow.name}}"},
            {"name": "PYFLOW_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "HOME", "value": SCRATCH.path},
            {"name": "TMPDIR", "value": SCRATCH.path},
            *self._credentials(),
        ]
        if self.settings.run_timeout_s is not None:
            limit_s = math.ceil(self.settings.run_timeout_s)
            variables.append({"name": RUN_LIMIT, "value": f"{{{{workflow.creationTimestamp.s}}}}+{limit_s}"})
        if self.settings.key_secret is not None:
            variables.append({"name": "PYFLOW_KEY_FILE", "value": f"{KEY_FOLDER}/key"})
        if self.settings.trust_bucket:
            variables.append({"name": "PYFLOW_TRUST_STORE", "value": "1"})
        return variables

    def spec(self) -> str:
        """What every pod must know, as one word: it is encoded, for a store's URL is a user's text."""
        spec: Json = {
            **self.home.to_wire(),
            "graph": self.graph_digest,
            "size": self.graph_size,
            "most": self.most,
        }
        return encoded(spec)

    def _endpoint(self) -> str | None:
        return self.settings.s3_endpoint or self.endpoint

    def _credentials(self) -> list[Template]:
        """Where boto3 finds the store, and its credentials unless the node or the service account has them."""
        settings = self.settings
        found: list[Template] = []
        if self._endpoint():
            found.append({"name": "AWS_ENDPOINT_URL", "value": plain(str(self._endpoint()), what="endpoint")})
        if settings.s3_region:
            found.append({"name": "AWS_REGION", "value": plain(settings.s3_region, what="region")})
        if settings.s3_ca_secret is not None:
            found.append({"name": "AWS_CA_BUNDLE", "value": AUTHORITIES_FILE})
        if settings.credentials == "secret":
            for variable, key in (
                ("AWS_ACCESS_KEY_ID", settings.s3_access_key),
                ("AWS_SECRET_ACCESS_KEY", settings.s3_secret_key),
            ):
                found.append(
                    {"name": variable, "valueFrom": {"secretKeyRef": {"name": settings.s3_secret, "key": key}}}
                )
        return found

    def artifacts(self, wanted: str | None) -> list[Template]:
        """The input artifact that brings the runtime to a container of pyflow's; none where its image has it."""
        if self._has_runtime(wanted):
            return []
        return [
            {
                "name": "pyflow",
                "path": COMPILED_AT,
                "mode": 0o444,
                "archive": {"none": {}},
                "s3": self._object(self.runtime.key),
            }
        ]

    def _object(self, key: str) -> Template:
        check_reachable(self.home.store_url)
        bucket, _, prefix = self.home.store_url.removeprefix("s3://").partition("/")
        # Argo signs with the endpoint's host alone, and wants one in any case.
        address = urlsplit(self._endpoint() or "https://s3.amazonaws.com")
        place: Template = {
            "endpoint": plain(address.netloc, what="endpoint"),
            "bucket": plain(bucket, what="bucket"),
            "key": plain(f"{prefix.strip('/')}/{key}".lstrip("/"), what="prefix of the store"),
        }
        if address.scheme == "http":
            place["insecure"] = True
        if self.settings.s3_region:
            place["region"] = plain(self.settings.s3_region, what="region")
        if self.settings.s3_ca_secret is not None:
            place["caSecret"] = {"name": self.settings.s3_ca_secret, "key": self.settings.s3_ca_key}
        if self.settings.credentials == "secret":
            for name, secret_key in (
                ("accessKeySecret", self.settings.s3_access_key),
                ("secretKeySecret", self.settings.s3_secret_key),
            ):
                place[name] = {"name": self.settings.s3_secret, "key": secret_key}
        else:
            place["useSDKCreds"] = True
        return place
