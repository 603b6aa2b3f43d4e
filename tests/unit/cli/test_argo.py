"""What ``pyflow argo setup`` prints, and what it refuses to print."""

from __future__ import annotations

import sys

import pytest
import yaml
from click.testing import CliRunner

from pyflow.cli import cli

KEYS = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_SESSION_TOKEN": None, "AWS_CA_BUNDLE": None}


def setup(*words, **variables):
    return CliRunner(env={**KEYS, **variables}).invoke(cli, ["argo", "setup", *words], prog_name="pyflow")


def test_what_the_bucket_asks_for_is_printed(tmp_path):
    """Credentials and certificates, each as a Secret of the name that was said, under the keys that pods look them up by."""
    file = tmp_path / "ours.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\n")
    done = setup("--s3-secret", "bucket", "--s3-ca-secret", "ours", AWS_CA_BUNDLE=str(file))
    assert done.exit_code == 0, done.output
    found = {one["metadata"]["name"]: one.get("stringData") for one in yaml.safe_load_all(done.stdout)}
    assert found["bucket"] == {"accesskey": "AK", "secretkey": "s3cret"}
    assert found["ours"] == {"ca.crt": "-----BEGIN CERTIFICATE-----\n"}


@pytest.mark.parametrize(
    ("words", "variables", "told"),
    [
        (["--s3-secret", "s"], {"AWS_SECRET_ACCESS_KEY": None}, "needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (["--s3-secret", "s"], {"AWS_SESSION_TOKEN": "t"}, "run out within hours"),
        (["--s3-ca-secret", "s"], {}, "needs AWS_CA_BUNDLE"),
        (["--s3-ca-secret", "s"], {"AWS_CA_BUNDLE": sys.executable}, "holds no certificate as PEM"),
        (["--s3-ca-secret", "s"], {"AWS_CA_BUNDLE": "/nowhere.pem"}, "/nowhere.pem, which cannot be read"),
    ],
)
def test_what_pods_could_not_use_is_refused(words, variables, told):
    """Before anything is printed that somebody might apply."""
    done = setup(*words, **variables)
    assert done.exit_code != 0
    assert told in done.stderr
    assert done.stdout == ""
