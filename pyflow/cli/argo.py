"""``pyflow argo``: what is done once for a cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyflow.api import open_workplace
from pyflow.cli.failures import Wrong
from pyflow.config import Settings
from pyflow.executors import argo_setup
from pyflow.late import late

if TYPE_CHECKING:
    import yaml
else:
    yaml = late("yaml")


@click.group()
def argo() -> None:
    """Prepare a cluster with Argo Workflows."""


@argo.command()
@click.option("--namespace", metavar="NAME", help="Where runs will live; otherwise as the settings say.")
@click.option("--service-account", metavar="NAME", help="Whose rights pods will have.  [default: pyflow]")
@click.option(
    "--s3-secret", metavar="NAME", help="Print a Secret of this name with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
)
@click.option(
    "--s3-ca-secret", metavar="NAME", help="Print a Secret of this name with the file that AWS_CA_BUNDLE names."
)
@click.option("--submitter", metavar="NAME", help="Print a service account of this name that may submit runs.")
def setup(submitter: str | None, **given: Any) -> None:
    """Print what an administrator applies once.

    \b
        pyflow argo setup | kubectl apply -f -

    A service account for pods that may create and patch 'workflowtaskresults' and nothing else, its token for Argo's own
    container, and a Secret with the key that your results are signed with. It is a secret: do not keep what is printed.
    """  # noqa: D301  click reads the \b
    table = {name: value for name, value in given.items() if value is not None}
    workplace = open_workplace(Settings(argo=table))
    credentials = _credentials() if table.get("s3_secret") else None
    certificates = _certificates() if table.get("s3_ca_secret") else None
    keys = [key.secret.hex() for key in workplace.content.trust.keys]
    objects = argo_setup(workplace.settings, keys, credentials, submitter, certificates=certificates)
    click.echo(yaml.safe_dump_all(objects, sort_keys=False), nl=False)


def _credentials() -> tuple[str, str]:
    """What the variables say that a bucket is asked with."""
    found = os.environ.get("AWS_ACCESS_KEY_ID", ""), os.environ.get("AWS_SECRET_ACCESS_KEY", "")
    if not all(found):
        raise Wrong("--s3-secret needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to be set to what pods may use.")
    if os.environ.get("AWS_SESSION_TOKEN"):
        raise Wrong(
            "AWS_SESSION_TOKEN is set: these credentials run out within hours, and are of no use without it. Set lasting ones for pods, "
            "or let pods have their own: argo={'s3_credentials': 'workload-identity'}."
        )
    return found


def _certificates() -> str:
    """The certificates that boto3 trusts in this process instead of its own."""
    path = os.environ.get("AWS_CA_BUNDLE")
    if not path:
        raise Wrong("--s3-ca-secret needs AWS_CA_BUNDLE to name the file with the certificates that pods are to trust.")
    try:
        found = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Wrong(f"AWS_CA_BUNDLE names {path}, which cannot be read: {error.strerror}.") from error
    if "BEGIN CERTIFICATE" not in found:
        raise Wrong(f"AWS_CA_BUNDLE names {path}, which holds no certificate as PEM (-----BEGIN CERTIFICATE-----).")
    return found
