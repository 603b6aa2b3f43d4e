"""Compiles the travelling runtime, as a program of its own with nothing else loaded: see ``compiled``.

python compiling.py folder FOLDER                 in place
python compiling.py zip SOURCES INTO COMPILED_AT  into another zip file
python compiling.py here SOURCES COMPILED_AT      the same where it will lie, for this very Python
"""

from __future__ import annotations

import _sre  # type: ignore[import-not-found]
import collections
import compileall
import contextlib
import dataclasses
import gzip
import importlib.util
import json
import marshal
import os
import re
import sys
import sysconfig
import typing
import zipfile
import zlib
from collections.abc import Callable, Iterator
from py_compile import PycInvalidationMode
from typing import Any, Final

_FIXED_DATE: Final = (1980, 1, 1, 0, 0, 0)
DEPENDENCIES: Final = "pyflow-dependencies/"
CODE: Final = "pyflow-code"
LIBRARY: Final = "pyflow-library"
LIBRARY_INDEX: Final = "pyflow-library-index"
LIBRARY_HERE: Final = "pyflow-library-here"
FILES: Final = "pyflow-files"
MODULES: Final = "pyflow-modules"
PATTERNS: Final = "pyflow-patterns"
TEXTS: Final = "pyflow-texts"
_FIRST: Final = frozenset({"pyflow_start.py", "sitecustomize.py"})
"""What Python itself finds in the zip file."""
_IS_DATA: Final = re.compile(r"pyflow-dependencies/(botocore/.*(?<!\.py))")
# What a client of S3 reads; see ``store.s3.client``.
_DESCRIPTION: Final = re.compile(
    r"(botocore/data/(?:s3/.*/(?:service-2(?:\.sdk-extras)?|endpoint-rule-set-1)|endpoints|partitions|_retry|sdk-default-configuration))\.json(\.gz)?"
)

# A client makes a method of every operation in its description, and reads what each of them takes and gives. The store asks
# for these alone; the last two are botocore's own, to find a bucket's region and for directory buckets.
OPERATIONS: Final = (
    "PutObject", "GetObject", "HeadObject", "ListObjectsV2", "DeleteObject", "DeleteObjects", "CreateMultipartUpload", "UploadPart",
    "CompleteMultipartUpload", "AbortMultipartUpload", "ListMultipartUploads", "HeadBucket", "CreateSession",
)  # fmt: skip
# Those of which botocore makes clients here: the store's, and the ways to credentials for it.
_SERVICES: Final = frozenset({"s3", "sts", "sso", "portal.sso", "oidc", "signin"})

_DOCUMENTED_BY_NOBODY: Final = b"""\
class LazyLoadedDocstring:
    def __init__(self, *_, **__): pass
ClientMethodDocstring = PaginatorDocstring = WaiterDocstring = LazyLoadedDocstring
"""
_SLIM_MODULES: Final = {
    "pyflow-dependencies/botocore/docs/__init__.py": b"DEPRECATED_SERVICE_NAMES = {'sms-voice'}\n",
    "pyflow-dependencies/botocore/docs/docstring.py": _DOCUMENTED_BY_NOBODY,
    "pyflow-dependencies/urllib3/http2/__init__.py": b"",
}
"""Modules of which a task's start needs next to nothing: with these a client loads what writes manuals, a twentieth of the start,
and what looks for an HTTP/2 that nobody has installed, a fiftieth."""

# What a task's start loads, and what it loads later on. The client of S3 is made, for that loads most of botocore.
_START: Final = """
from pyflow import container, pipeline, task  # as the author's modules do
import pyflow.runtime.pod, pyflow.runtime.__main__, pyflow.runtime.pod_container, pyflow.store.s3, pyflow.bundle, pyflow.environments
import encodings.ascii, encodings.idna  # for the name of a host
import asyncio, concurrent.futures.thread, hmac, inspect, pickle, shutil, subprocess, tarfile, tempfile, zipfile
import botocore.session
botocore.session.Session().create_client("s3", region_name="x", aws_access_key_id="x", aws_secret_access_key="x")
"""


def compile_folder(folder: str) -> None:
    """Compile all modules of a folder in place, and lay the library beside them.

    The modules never change, so that nobody needs to look at the time of a source.
    """
    mode = PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(folder, quiet=2, invalidation_mode=mode, force=True)
    library = compiled_library(folder)
    # The index last: who finds it finds what it is of.
    for name, data in ((LIBRARY, b"".join(library.values())), (LIBRARY_INDEX, marshal.dumps(_places(library, 0)))):
        aside = os.path.join(folder, f"{name}.{os.getpid()}")
        with open(aside, "wb") as file:
            file.write(data)
        os.replace(aside, os.path.join(folder, name))


def compile_here(sources: str, compiled_at: str) -> None:
    """Write the zip file where it will lie, and beside it a folder of what would be laid out from it at each start."""
    compile_zip(sources, compiled_at, compiled_at, is_here=True)
    with zipfile.ZipFile(compiled_at) as made:
        files = marshal.loads(made.read(FILES))
    for name, data in files.items():
        path = os.path.join(f"{compiled_at}-files", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


def compile_zip(sources: str, into: str, compiled_at: str, *, is_here: bool = False) -> None:
    """Write a zip file of compiled modules, and of what they read, without their sources.

    It has few entries, for who imports from a zip file reads the list of all of them first.

    Args:
        sources: A zip file.
        into: The zip file to write.
        compiled_at: Where it will lie when it is imported from.
        is_here: The Python that runs now will import from it, with its library as it is.
    """
    folder = f"{into}.unpacked"
    files: dict[str, bytes] = {}
    modules: dict[str, tuple[bool, str, bool]] = {}
    codes: dict[str, bytes] = {}
    with zipfile.ZipFile(sources) as source, zipfile.ZipFile(into, "w") as made:
        source.extractall(folder)
        with _recorded_patterns() as patterns, _recorded_texts() as texts:
            library = compiled_library(folder)
        for name in source.namelist():
            data = source.read(name)
            is_data = _IS_DATA.fullmatch(name)
            if is_data:
                _add_data(made, files, is_data[1], data)
            elif name in _FIRST:
                _add(made, f"{name}c", _compiled(data, f"{compiled_at}/{name}", is_checked=False))
            elif name.endswith(".py"):
                path = name.removeprefix(DEPENDENCIES).removesuffix(".py")
                module = path.removesuffix("/__init__").replace("/", ".")
                code = _code(_SLIM_MODULES.get(name, data), f"{compiled_at}/{name}")
                is_idle = module not in sys.modules
                modules[module] = module.count(".") != path.count("/"), f"{name}c", is_idle
                codes[module] = zlib.compress(code) if is_idle else code
            else:
                _add(made, name, data)
        offset = _add(made, CODE, b"".join(codes.values()))
        places = _places(codes, offset)
        index = {m: (is_package, path, *places[m], is_idle) for m, (is_package, path, is_idle) in modules.items()}
        _add(made, MODULES, marshal.dumps(index))
        offset = _add(made, LIBRARY, b"".join(library.values()))
        _add(made, LIBRARY_INDEX, marshal.dumps(_places(library, offset)))
        if is_here:
            _add(made, LIBRARY_HERE, marshal.dumps((sys.hexversion, {name: _source_of(name) for name in library})))
        _add(made, FILES, marshal.dumps(files))
        _add(made, PATTERNS, marshal.dumps(([_sre.MAGIC, _sre.CODESIZE], patterns)))
        _add(made, TEXTS, marshal.dumps(texts))


def _source_of(name: str) -> tuple[str, bool, int, int]:
    """Of a module that is loaded the path, whether it is a package, and the size and time of its source; see ``carried/pyflow_start.py``."""
    module = sys.modules[name]
    file = str(module.__file__)
    found = os.stat(file)
    return file, hasattr(module, "__path__"), found.st_size, int(found.st_mtime)


def _places(parts: dict[str, bytes], offset: int) -> dict[str, tuple[int, int]]:
    """Where parts lie that come one behind the other: offset and length of each."""
    places = {}
    for name, data in parts.items():
        places[name] = offset, len(data)
        offset += len(data)
    return places


def _add_data(archive: zipfile.ZipFile, files: dict[str, bytes], name: str, data: bytes) -> None:
    """Add what lies beside code to the files; a description of a service also to the archive as ``marshal`` writes it: JSON takes long."""
    said = _DESCRIPTION.fullmatch(name)
    if said is None:
        files[name] = data
        return
    text = gzip.decompress(data) if said[2] else data
    description = json.loads(text)
    slim = _SLIMMED.get(said[1].rpartition("/")[2])
    files[f"{said[1]}.json.gz"] = gzip.compress(text, mtime=0)
    _add(archive, f"{DEPENDENCIES}{said[1]}.marshal", marshal.dumps(slim(description) if slim else description))


def _endpoints(description: dict[str, Any]) -> dict[str, Any]:
    """The endpoints of the services that clients are made of here, among hundreds."""
    partitions = [
        {**partition, "services": {name: it for name, it in partition["services"].items() if name in _SERVICES}}
        for partition in description["partitions"]
    ]
    return {**description, "partitions": partitions}


def _service(description: dict[str, Any]) -> dict[str, Any]:
    """A service with the operations that the store asks for, and what they take and give."""
    operations = {name: description["operations"][name] for name in OPERATIONS}
    shapes: dict[str, Any] = {}
    waiting: list[Any] = [operations]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            shape = part.get("shape")
            if isinstance(shape, str) and shape not in shapes:
                shapes[shape] = description["shapes"][shape]
                waiting.append(shapes[shape])
        waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return {**description, "operations": _undocumented(operations), "shapes": _undocumented(shapes)}


def _undocumented(part: Any) -> Any:
    """Operations or shapes without their texts for people, which botocore can do without; those of parameters it asks for."""
    if isinstance(part, list):
        return [_undocumented(one) for one in part]
    if not isinstance(part, dict):
        return part
    # A member of a structure may be called so, too: then it is no text.
    return {name: _undocumented(it) for name, it in part.items() if name != "documentation" or not isinstance(it, str)}


_SLIMMED: Final = {"endpoints": _endpoints, "service-2": _service}
"""Descriptions of which most is idle here, by their names: half of the time to make a client goes into that."""


def compiled_library(folder: str) -> dict[str, bytes]:
    """The modules of the standard library that the runtime in a folder loads, each compiled for exactly its source."""
    path = sys.path.copy()
    sys.path[:] = [folder, *path, os.path.join(folder, DEPENDENCIES)]
    exec(_START, {})
    sys.path[:] = path
    library = os.path.realpath(sysconfig.get_path("stdlib")) + os.sep
    compiled = {}
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if file.endswith(".py") and os.path.realpath(file).startswith(library) and name != "__main__":
            with open(file, "rb") as source:
                compiled[name] = _compiled(source.read(), file, is_checked=True)
    return compiled


@contextlib.contextmanager
def _recorded_patterns() -> Iterator[dict[tuple[Any, int], list[Any]]]:
    """What the engine of regular expressions takes for each that is compiled within, by pattern and flags."""
    compiler: Any = sys.modules.get("re._compiler") or sys.modules["sre_compile"]
    usual = compiler.compile
    found = {}

    def compile_and_record(pattern: Any, flags: int = 0) -> Any:
        found[pattern, int(flags)] = _for_engine(compiler, pattern, int(flags))
        return usual(pattern, flags)

    re.purge()
    compiler.compile = compile_and_record
    try:
        yield found
    finally:
        compiler.compile = usual


@contextlib.contextmanager
def _recorded_texts() -> Iterator[dict[tuple[str, str], Any]]:
    """What the standard library compiles within to make classes, by kind and text: methods of dataclasses and named tuples, annotations."""
    found = {}

    def compile_and_record(text: str, file: str, kind: str) -> Any:
        found[kind, text] = code = compile(text, file, kind)
        return code

    def recorded(kind: str, run: Callable[..., Any]) -> Callable[..., Any]:
        return lambda text, *names: run(compile_and_record(text, "<string>", kind), *names)

    # See ``use_texts`` in ``carried/pyflow_start.py``.
    replaced: list[tuple[Any, str, Any]] = [
        (dataclasses, "exec", recorded("exec", exec)),
        (collections, "eval", recorded("eval", eval)),
        (typing, "compile", compile_and_record),
    ]
    for module, name, function in replaced:
        vars(module)[name] = function
    try:
        yield found
    finally:
        for module, name, _ in replaced:
            del vars(module)[name]


def _for_engine(compiler: Any, pattern: str | bytes, flags: int) -> list[Any]:
    """What ``re`` gives to its engine for a pattern, as plain numbers."""
    parser: Any = sys.modules.get("re._parser") or sys.modules["sre_parse"]
    parsed = parser.parse(pattern, flags)
    state = parsed.state
    names: list[str | None] = [None] * state.groups
    for name, number in state.groupdict.items():
        names[number] = name
    code = [int(number) for number in compiler._code(parsed, flags)]  # noqa: SLF001  all of re's parts are private
    return [int(flags | state.flags), code, state.groups - 1, dict(state.groupdict), tuple(names)]


def _compiled(source: bytes, path: str, *, is_checked: bool) -> bytes:
    """A compiled module as PEP 552 has it: one that is compared with its source by a digest, or never."""
    flags = 0b11 if is_checked else 0b01
    head = importlib.util.MAGIC_NUMBER + flags.to_bytes(4, "little") + importlib.util.source_hash(source)
    return head + _code(source, path)


def _code(source: bytes, path: str) -> bytes:
    """The code of a module, as ``marshal`` writes it."""
    return marshal.dumps(compile(source, path, "exec", dont_inherit=True))


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> int:
    """Add a file as it is; where in the archive it begins."""
    info = zipfile.ZipInfo(name, date_time=_FIXED_DATE)
    info.create_system = 3
    info.external_attr = 0o100644 << 16
    archive.writestr(info, data)
    # Stored as they are, so that the file ends where the next one would begin.
    assert archive.fp is not None
    return archive.fp.tell() - len(data)


if __name__ == "__main__":
    if sys.argv[1] == "folder":
        compile_folder(sys.argv[2])
    elif sys.argv[1] == "here":
        compile_here(*sys.argv[2:4])
    else:
        compile_zip(*sys.argv[2:5])
