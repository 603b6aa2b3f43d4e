"""The travelling runtime: the same bytes each time, whole, and behind what an image has."""

from __future__ import annotations

import _sre
import io
import json
import marshal
import os
import re
import subprocess
import sys
import zipfile
from types import CodeType

import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel
from servers import BUCKET

from pyflow.contract import Home, Invocation
from pyflow.images import compiled_archive, install_runtime, runtime_archive
from pyflow.images.compiling import OPERATIONS, _service
from pyflow.runtime import RUN_VARIABLE, run_variable, task_words
from pyflow.store.s3.client import Client


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return install_runtime(tmp_path_factory.mktemp("runtime"))


def run(folder, *words, **environment):
    argv = [sys.executable, *words]
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "HOME": "/nonexistent", **environment}
    return subprocess.run(argv, check=False, env=kept, capture_output=True, text=True, timeout=60, cwd="/")


def test_the_archive_is_the_same_bytes_each_time():
    """Two processes make one archive, whatever their hash seeds."""
    line = "from pyflow.images import runtime_archive; print(runtime_archive().digest)"
    digests = {
        subprocess.run(
            [sys.executable, "-c", line],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert digests == {runtime_archive().digest}


def test_the_archive_is_small_and_pure():
    """What nobody needs beside a task stays at home, and nothing in it is for one platform only."""
    names = zipfile.ZipFile(io.BytesIO(runtime_archive().data)).namelist()
    assert len(runtime_archive().data) < 12e6
    assert not [name for name in names if name.endswith((".so", ".pyc"))]
    services = {name.split("/")[3] for name in names if name.startswith("pyflow-dependencies/botocore/data/")}
    assert {"s3", "sts", "sso", "sso-oidc"} <= services
    assert "ec2" not in services


def test_the_folder_works_by_itself(folder):
    """Without anything else installed, a store in a bucket can be opened with what the folder brings."""
    line = (
        "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]; "
        "import boto3, cloudpickle, pathspec; "
        "boto3.client('s3', region_name='x'); boto3.client('sts', region_name='us-east-1'); "
        "import pyflow.runtime.supervisor, pyflow.store.s3; print(pyflow.__file__, boto3.__file__)"
    )
    told = run(folder, "-c", line)
    assert told.stdout.split() == [f"{folder}/pyflow/__init__.py", f"{folder}/pyflow-dependencies/boto3/__init__.py"], (
        told
    )


def test_what_an_image_has_comes_first(folder, tmp_path):
    """A package of the image's own is the one that tasks see, and so is what its ``sitecustomize`` does."""
    site = tmp_path / "site"
    (site / "boto3").mkdir(parents=True)
    (site / "boto3" / "__init__.py").write_text("mine = True")
    (site / "sitecustomize.py").write_text("import sys; sys.customized = __file__")
    told = run(f"{folder}:{site}", "-c", "import boto3, sys; print(boto3.mine, sys.customized)")
    assert told.stdout.split() == ["True", str(site / "sitecustomize.py")], told


def test_a_task_is_taken_from_it(folder, tmp_path):
    """The one-shot worker starts from the folder alone, and says what is wrong in its own way."""
    home = Home(store_url=str(tmp_path / "store"), project="p", owner="o")
    invocation = Invocation(home=home, run_id="r", graph_digest="a" * 64, graph_size=5, node=0, nonce="n")
    variables = {RUN_VARIABLE: run_variable(invocation), "PYFLOW_TRUST_STORE": "1"}
    told = run(folder, "-m", "pyflow.runtime", *task_words([invocation]), **variables)
    assert told.returncode == 72, told


def test_modules_are_compiled_once(folder):
    """The modules are compiled, so that a read-only folder costs nothing at each start."""
    assert list((folder / "pyflow" / "runtime" / "__pycache__").glob("supervisor.*.pyc"))
    before = (folder / "pyflow" / "runtime" / "__pycache__").stat().st_mtime_ns
    assert install_runtime(folder.parent) == folder
    assert (folder / "pyflow" / "runtime" / "__pycache__").stat().st_mtime_ns == before


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "runtime.zip"
    path.write_bytes(compiled_archive(path.parent / "cache").read())
    return path


def begun(archive, line, **environment):
    """What a line prints in a process without any packages that begins with the compiled archive, as pods do."""
    start = f"import sys; sys.path[:1] = [{str(archive)!r}]; import pyflow_start; pyflow_start.begin({str(archive)!r})"
    kept = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TMPDIR": str(archive.parent), **environment}
    told = subprocess.run(
        [sys.executable, "-S", "-c", f"{start}; {line}"],
        check=False,
        env=kept,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout.split()


def test_the_compiled_archive_is_the_same_bytes_each_time(compiled, tmp_path):
    """Compiling gives one archive, so that a store holds one for each version.

    Before Python 3.11, sets among the constants of a module lie in an order of the process (bpo-37596), so that only
    names and sizes are the same.
    """
    again = compiled_archive(tmp_path).read()
    if sys.version_info >= (3, 11):
        assert compiled.read_bytes() == again
    sizes = [
        [(entry.filename, entry.file_size) for entry in zipfile.ZipFile(archive).infolist()]
        for archive in (compiled, io.BytesIO(again))
    ]
    assert sizes[0] == sizes[1]


def test_the_compiled_archive_is_imported_from(compiled):
    """Pyflow and a client of S3 come from the archive and what it unpacks, with nothing else installed."""
    line = (
        "import pyflow.runtime.pod, boto3; boto3.client('s3', region_name='x'); "
        "boto3.client('sts', region_name='us-east-1'); print(pyflow.__file__, boto3.__file__)"
    )
    assert begun(compiled, line) == [
        f"{compiled}/pyflow/__init__.pyc",
        f"{compiled}/pyflow-dependencies/boto3/__init__.pyc",
    ]


def test_frames_of_the_archive_are_known_as_pyflows(compiled):
    """Its code says the place that pods have it at, so that its frames can be left out of a traceback."""
    line = "import pyflow.errors; print(pyflow.errors.add_note.__code__.co_filename)"
    assert begun(compiled, line) == ["/pyflow-runtime/pyflow/errors.py"]


def test_what_an_image_has_comes_before_the_archive(compiled, tmp_path):
    """A package of the image's own is taken whole; pyflow, and what the image lacks, come from the archive."""
    (tmp_path / "boto3").mkdir()
    (tmp_path / "boto3" / "__init__.py").write_text("")
    (tmp_path / "boto3" / "session.py").write_text("mine = True")
    line = (
        f"sys.path.append({str(tmp_path)!r}); import boto3.session, cloudpickle, pyflow.runtime.pod, importlib.util; "
        "print(boto3.session.mine, importlib.util.find_spec('boto3.resources'), "
        "*{type(module.__loader__).__name__ for module in (cloudpickle, pyflow, pyflow.runtime.pod)})"
    )
    assert begun(compiled, line) == ["True", "None", "_Carried"]


def test_the_library_is_used_for_its_own_source_only(compiled, tmp_path):
    """A module of the standard library comes compiled from the archive when the source here is the one it was made of."""
    (tmp_path / "fractions.py").write_text("mine = True")
    line = (
        "import marshal; library = sys.meta_path[0]; "
        "library._places['fractions'] = library._places['hashlib']; "
        f"sys.path.insert(0, {str(tmp_path)!r}); "
        "import fractions, sys; sys.modules.pop('tempfile', None); sys.pycache_prefix = '/nonexistent'; import tempfile; "
        "print(fractions.mine, type(tempfile.__loader__).__name__, tempfile.__file__ == tempfile.mkdtemp.__code__.co_filename)"
    )
    assert begun(compiled, line) == ["True", "_Compiled", "True"]


def test_nothing_of_the_library_is_compiled_in_a_pod(compiled):
    """Neither for a task's start and its requests, nor for what the author's modules import of pyflow: in a stock image each would take long."""
    line = """
import pyflow.runtime.pod, socket
from pyflow import container, each, pipeline, steps, task, when
from pyflow.store.s3.client import client
client()
socket.getaddrinfo('localhost', 80)
known = sys.meta_path[0]._places
brought = {name for name, module in sys.modules.items() if (getattr(module, '__file__', None) or '').endswith('.py')}
print(*sorted(brought - known.keys() - {'__main__'}), '.')
"""
    variables = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "x", "AWS_CONFIG_FILE": os.devnull}
    assert begun(compiled, line, **variables) == ["."]


def test_regular_expressions_come_compiled(compiled):
    """Each is what Python makes of it here, and a process that begins with the archive takes it from there."""
    engine, patterns = marshal.loads(zipfile.ZipFile(compiled).read("pyflow-patterns"))
    assert engine == [_sre.MAGIC, _sre.CODESIZE]
    assert len(patterns) > 50
    for (pattern, flags), given in patterns.items():
        made, usual = _sre.compile(pattern, *given), re.compile(pattern, flags)
        assert (made, made.groupindex) == (usual, usual.groupindex)
    pattern = next(pattern for pattern, flags in patterns if flags == 0 and isinstance(pattern, str))
    line = (
        "import re, sys; parser = sys.modules.get('re._parser') or sys.modules['sre_parse']; parser.parse = None; "
        f"re.purge(); print(re.compile({pattern!r}).pattern == {pattern!r})"
    )
    assert begun(compiled, line) == ["True"]


def without_columns(code: CodeType) -> CodeType:
    """A code object without the table of its lines and columns, for the archive has no columns."""
    inner = [without_columns(const) if isinstance(const, CodeType) else const for const in code.co_consts]
    return code.replace(co_linetable=b"", co_consts=tuple(inner))


def test_the_texts_of_classes_come_compiled(compiled):
    """Each is what Python makes of it here, and a process that begins with the archive compiles next to none."""
    texts = marshal.loads(zipfile.ZipFile(compiled).read("pyflow-texts"))
    assert {kind for kind, _ in texts} == {"exec", "eval"}
    assert len(texts) > 50
    for (kind, text), code in texts.items():
        assert without_columns(code) == without_columns(compile(text, "<string>", kind))
        assert sys.version_info < (3, 11) or {column for _, _, column, _ in code.co_positions()} == {None}
    line = """
import builtins
compiled = []
def noting(usual):
    def note(text, *more, **names):
        if isinstance(text, str):
            compiled.append(text)
        return usual(text, *more, **names)
    return note
for name in ('compile', 'eval', 'exec'):
    setattr(builtins, name, noting(getattr(builtins, name)))
from pyflow import container, pipeline, task
import pyflow.runtime.pod, dataclasses, typing
print(len(compiled) < 10)
Point = dataclasses.make_dataclass('Point', ['x', 'y'])
Pair = typing.NamedTuple('Pair', [('a', int), ('b', 'str')])
print(Point(1, 2) == Point(1, 2), Pair(1, 'x').b)
"""
    assert begun(compiled, line) == ["True", "True", "x"]


def test_the_archive_knows_what_botocore_reads(compiled):
    """A client of S3 is made in a pod without reading JSON, and is the same client."""
    line = (
        "import json; from pyflow.store.s3.client import client; read = json.loads; asked = []; "
        "json.loads = lambda *a, **k: asked.append(a) or read(*a, **k); made = client(); "
        "print(len(asked), made.meta.endpoint_url, made.meta.service_model.api_version, *made.meta.method_to_api_mapping.values())"
    )
    variables = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "x", "AWS_CONFIG_FILE": os.devnull}
    assert begun(compiled, line, **variables) == ["0", "http://127.0.0.1:1", "2006-03-01", *OPERATIONS]


def test_the_client_of_the_archive_does_what_the_store_asks_for(compiled, moto, monkeypatch):
    """Each kind of request goes out and comes back: in one part and in many, conditions, listings, deletions, errors."""
    moto.enter(monkeypatch)
    line = f"""
from pyflow.errors import NotFoundError
from pyflow.store import open_blobs
blobs = open_blobs('s3://{BUCKET}/travelling')
blobs.put('v1/a', [b'one'])
blobs.put('v1/large', [bytes(40 * 2**20)])
print(blobs.get('v1/a').decode(), blobs.create('v1/a', b'two'), blobs.create('v1/b', b'two'), blobs.info('v1/large').size_bytes)
print(blobs.commit('v1/book', '3', b'{{}}').decode(), len(blobs.read('v1/large')), *blobs.folders('v1'))
print(*(info.key for info in blobs.list('v1')), len(list(blobs.unfinished())))
blobs.delete(['v1/a', 'v1/b', 'v1/large'])
try:
    blobs.get('v1/a')
except NotFoundError:
    print('gone')
"""
    variables = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    said = begun(compiled, line, **variables)
    assert said == ["one", "False", "True", str(40 * 2**20), "{}", str(40 * 2**20), "book", *said[7:-2], "0", "gone"]
    assert {"v1/a", "v1/b", "v1/large", "v1/book/3"} <= set(said)


def test_the_archive_knows_all_that_the_store_asks_for():
    """Each method of the client that the store uses is one of the operations in the description that travels."""
    used = [name for name in vars(Client) if not name.startswith("_") and name not in {"meta", "close"}]
    assert {xform_name(operation) for operation in OPERATIONS} == {*used, "head_bucket", "create_session"}


def test_a_description_keeps_what_its_operations_take_and_give():
    """Requests and answers of the operations that travel are those of the whole description, texts for people aside."""
    whole = Loader().load_service_model("s3", "service-2")
    slim = _service(whole)
    assert len(json.dumps(slim)) < len(json.dumps(whole)) / 10
    models = [ServiceModel(description, "s3") for description in (whole, slim)]
    for operation in OPERATIONS:
        full, kept = (model.operation_model(operation) for model in models)
        assert kept.http == full.http
        for shapes in ((full.input_shape, kept.input_shape), (full.output_shape, kept.output_shape)):
            of_full, of_kept = (
                None if shape is None else {name: str(m) for name, m in shape.members.items()} for shape in shapes
            )
            assert of_kept == of_full
