"""Secrets and volumes as values."""

from __future__ import annotations

import pytest

from pyflow import Secret, Volume, pipeline, task
from pyflow.errors import DefinitionError, ExecutorError


def test_a_volume_is_read_only_unless_asked() -> None:
    """A volume is read-only unless somebody asks otherwise; scratch is there to be written to."""
    assert Volume.named("data").read_only
    assert not Volume.claim("data", read_only=False).read_only
    assert not Volume.scratch("10Gi").read_only


@pytest.mark.parametrize("size", ["lots", "1GB", "10 Gi", "-1", 5, True])
def test_a_size_that_cannot_be_is_refused(size: object) -> None:
    """A scratch volume has a size as Kubernetes spells it."""
    with pytest.raises(DefinitionError, match="The size of a scratch volume must be like '4Gi'"):
        Volume.scratch(size)  # type: ignore[arg-type]
    assert Volume.scratch(10**9) == Volume.scratch("1G") == Volume.scratch("954Mi")


@pytest.mark.parametrize("name", ["", "../etc", "a b", "-x", "x\n"])
def test_a_bad_name_is_refused(name: str) -> None:
    """A name that could not be one in a cluster is refused where it is written."""
    with pytest.raises(DefinitionError, match="name of a"):
        Secret(name)
    with pytest.raises(DefinitionError, match="name of a"):
        Volume.named(name)


def test_a_host_path_is_absolute() -> None:
    """A host folder is named by an absolute path that does not climb."""
    assert Volume.host("/data").name == "/data"
    for path in ("data", "/data/../etc"):
        with pytest.raises(DefinitionError, match="absolute path"):
            Volume.host(path)


def test_a_secret_in_the_environment_is_refused_by_name_where_it_cannot_be_looked_up() -> None:
    """A run does not start where a secret would have no value; the error names the variable and the task."""

    @task(env={"TOKEN": Secret("db")})
    def read():
        return 1

    @pipeline
    def flow():
        return read()

    with pytest.raises(
        ExecutorError, match=r"'read' cannot have its secrets: Secret\('db'\), for the variable 'TOKEN'"
    ):
        flow.with_options(executor="inprocess")()
