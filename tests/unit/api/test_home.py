"""Settings become a store and a folder for files, however the store is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyflow.api import open_workplace
from pyflow.config import Settings
from pyflow.errors import ConfigError


@pytest.mark.parametrize("url", ["a b", "file:{cwd}/a b", "file://{cwd}/a%20b", "{cwd}/a b"])
def test_files_of_results_lie_beside_the_store(url, tmp_path):
    """A path and all forms of a file URL give one store, and one folder for files that results consist of."""
    found = open_workplace(Settings(store=url.format(cwd=tmp_path)))
    assert found.content.blobs.url == f"file://{tmp_path}/a b".replace(" ", "%20")
    assert found.results == tmp_path / "a b" / "results"


def test_files_of_a_bucket_lie_in_the_project(tmp_path):
    """What a bucket's results consist of is made beside the project's own store."""
    assert open_workplace(Settings(store="s3://bucket/team")).results == tmp_path / ".pyflow" / "results"


@pytest.mark.parametrize("source", ["call", "file"])
def test_a_url_with_a_slash_too_few_is_no_folder(source):
    """``s3:/bucket`` is a slip, and is told; it does not become a folder of that name."""
    Path("pyproject.toml").write_text('[tool.pyflow]\nstore = "s3:/bucket/team"\n' if source == "file" else "")
    with pytest.raises(ConfigError, match="s3://BUCKET"):
        open_workplace(Settings(store="s3:/bucket/team" if source == "call" else None))


@pytest.mark.parametrize("store", ["file", "file/below", "file:{cwd}/file"])
def test_a_store_cannot_be_a_file(tmp_path, store):
    """A file where the store's folder should be is told at once; it does not look like an empty store."""
    Path("file").write_text("")
    with pytest.raises(ConfigError, match=r"file(: that|/below: .*/file) is a file\. Name a folder"):
        open_workplace(Settings(store=store.format(cwd=tmp_path)))
