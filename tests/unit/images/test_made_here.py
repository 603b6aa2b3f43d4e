"""The archive as a runtime image has it: made there, of the library that is there, with its files laid out."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyflow.executors.argo.place import STUB_IN_IMAGE
from pyflow.images import compiling, runtime_archive
from pyflow.runtime.reasons import NOT_IN_IMAGE

_MARKED = (
    "print(sorted(type(finder).__name__ for finder in sys.meta_path if type(finder).__name__ in {'_Here', '_Library'}))"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The archive, as the build of a runtime image makes it."""
    folder = tmp_path_factory.mktemp("image")
    sources = folder / "sources.zip"
    sources.write_bytes(runtime_archive().data)
    path = folder / "pyflow-runtime-here"
    words = [sys.executable, "-s", "-S", "-B", "-X", "no_debug_ranges", compiling.__file__, "here", sources, path]
    subprocess.run(words, env={**os.environ, "PYTHONHASHSEED": "0"}, check=True, timeout=100)
    return path


def started(archive: Path, line: str, *, before: str = "") -> list[str]:
    """What a process prints that has begun as a pod does; it runs a line in place of the task, and one before it begins."""
    stub, _, _ = STUB_IN_IMAGE.partition("from pyflow.runtime.pod")
    told = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", f"{before}\n{stub}\n{line}", str(archive)],
        env={"PATH": os.environ["PATH"], "TMPDIR": str(archive.parent)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return told.stdout.splitlines()


def test_the_library_is_taken_from_it(made):
    """Modules are what they are elsewhere: their files, sources and packages; no source is read and no file is laid out."""
    before = set(made.parent.iterdir())
    line = f"""
import ast, inspect, json.decoder, linecache, pyflow.runtime.pod, subprocess, xml.etree.ElementTree
{_MARKED}
print(type(json.__loader__).__name__, type(json.__spec__.loader).__name__)
for module in (json, json.decoder, xml.etree, subprocess):
    print(module.__spec__.origin == module.__file__, module.__file__, module.__package__)
print(inspect.getsource(subprocess.run).splitlines()[0])
import unittest.mock  # of which the archive has none
print(unittest.mock.__name__)
"""
    told = started(made, line)
    assert told[:2] == ["['_Here']", "_MadeHere _MadeHere"]
    library = Path(os.__file__).parent
    assert told[2:6] == [
        f"True {library}/json/__init__.py json",
        f"True {library}/json/decoder.py json",
        f"True {library}/xml/etree/__init__.py xml.etree",
        f"True {library}/subprocess.py ",
    ]
    assert told[6:] == ["def run(*popenargs,", "unittest.mock"]
    assert set(made.parent.iterdir()) == before


def test_a_client_finds_its_files_where_they_lie(made):
    """What botocore reads by its path is beside the archive, and whoever runs may read it."""
    line = (
        "import botocore.session, botocore.httpsession, os; print(botocore.httpsession.where()); "
        "print(*sorted({os.stat(os.path.join(f, n)).st_mode & 0o444 for f, _, ns in os.walk(os.path.dirname(botocore.httpsession.where())) for n in ns})); "
        "print(botocore.session.Session().create_client('sts', region_name='eu-west-1').meta.service_model.api_version)"
    )
    told = started(made, line)
    assert told == [f"{made}-files/botocore/cacert.pem", str(0o444), "2011-06-15"]


_LOADERS = "print(*(type(module.__spec__.loader).__name__ for module in (csv, calendar)))"


def test_a_module_that_was_replaced_is_python_s_own(made):
    """An image that was made of a runtime image may mend its Python: what was compiled counts for the same source only."""
    stat = f"""
import os, types
usual, other = os.stat, types.SimpleNamespace(st_mtime=1, st_size=1)
os.stat = lambda path, *more, **names: other if path == {csv.__file__!r} else usual(path, *more, **names)
"""
    assert started(made, f"import csv, calendar\n{_LOADERS}", before=stat) == ["SourceFileLoader _MadeHere"]


def test_another_python_compares_each_source(made):
    """A newer one, installed into the image, takes what holds for exactly its source, as any image does."""
    assert started(made, _MARKED, before="import sys; sys.hexversion += 16") == ["['_Library']"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_comes_before_the_library_on_the_path_is_found_first(made, tmp_path, when):
    """Modules of the author's, and of a base's ``PYTHONPATH``, may have the name of one of the library's, as everywhere."""
    (tmp_path / "csv.py").touch()
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml" / "__init__.py").touch()
    path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    line = """
import csv, xml
print(csv.__file__, xml.__file__)
try:
    import xml.etree
except ModuleNotFoundError as error:
    print(error)
"""
    told = started(made, f"{path}\n{line}") if when == "after" else started(made, line, before=path)
    assert told == [f"{tmp_path}/csv.py {tmp_path}/xml/__init__.py", "No module named 'xml.etree'"]


def test_an_image_without_it_is_told(tmp_path):
    """With the code for a wrong environment, which is not tried again, and in words that the cluster hands on."""
    told = subprocess.run(
        [sys.executable, "-c", STUB_IN_IMAGE, str(tmp_path / "pyflow-runtime-0"), "0", "-", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (told.returncode, told.stderr) == (73, f"pyflow: {NOT_IN_IMAGE}\n")
