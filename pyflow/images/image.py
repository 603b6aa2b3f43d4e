"""The runtime image: its name, how it is built from what is installed here, and how it travels.

There is one for each version of pyflow and minor of Python. It carries the digest of the runtime that it was made of, so
that one of another make is built anew rather than used.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyflow.errors import ConfigError, ExecutorError
from pyflow.images.compiled import compiled_in_image
from pyflow.images.travelling import runtime_archive
from pyflow.late import late
from pyflow.version import VERSION

if TYPE_CHECKING:
    import tarfile
    import zipfile

    from docker import errors
else:
    tarfile = late("tarfile")
    zipfile = late("zipfile")
    errors = late("docker.errors")

REPOSITORY: Final = "pyflow-runtime"
RUNTIME_LABEL: Final = "pyflow.runtime"
"""The label that holds the digest of the runtime in an image."""
_BASE_LABEL: Final = "pyflow.base"
# OCI distribution specification, "Pulling manifests", and the host and port that Docker's names begin with.
_PART: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST: Final = r"(?:[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_PREFIX: Final = re.compile(rf"(?:{_HOST}|{_PART})(?:/{_PART})*/?")
_NAMELESS: Final = "<none>:<none>"
"""What the engine says for the name of an image whose name went to another."""
_FOLDER: Final = Path(__file__).parent / "runtime_image"

Tell = Callable[[str], None]


def this_minor() -> str:
    """The minor of this Python, such as ``3.11``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def runtime_tag(*, registry: str = "", python: str | None = None) -> str:
    """The name of the runtime image: ``pyflow-runtime:0.1.0-py3.11``, behind a registry's prefix if there is one.

    Raises:
        ConfigError: That can be no prefix.
    """
    if registry and not _PREFIX.fullmatch(registry):
        raise ConfigError(
            f"{registry!r} can be no prefix of an image's name. A registry is written as registry.example/team or registry.example:5000/team, "
            "in lower case, with no https:// before it and no tag behind it."
        )
    prefix = registry.rstrip("/") + "/" if registry else ""
    return f"{prefix}{REPOSITORY}:{VERSION.replace('+', '-')}-py{python or this_minor()}"


def default_base() -> str:
    """The image that the runtime image is built on where a site says nothing else."""
    return f"python:{this_minor()}-slim"


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """A runtime image that the engine has."""

    tag: str
    id: str
    size_bytes: int
    created: str
    runtime: str
    """Digest of the runtime in it."""
    base: str
    """What it was built on."""


def build_runtime_image(engine: Any, tag: str, *, base: str | None = None, tell: Tell = lambda _: None) -> str:
    """Build the runtime image of this pyflow for the minor of this Python; its id.

    Args:
        engine: A client of the engine.
        tag: What to call it.
        base: The image to build on, with a Python of this minor; None: ``default_base``.
        tell: Is given each line of the build as it goes on.

    Raises:
        ExecutorError: It cannot be built; the message ends with what the build said last.
    """
    base = base or default_base()
    said: list[str] = []
    try:
        for line in engine.api.build(
            fileobj=_as_tar(build_context(base=base)), custom_context=True, tag=tag, rm=True, forcerm=True, decode=True
        ):
            if "error" in line:
                raise ExecutorError(_build_error(tag, base, said, line["error"]))
            for text in _texts(line):
                said.append(text)
                tell(text)
    except errors.DockerException as error:
        raise ExecutorError(_build_error(tag, base, said, str(error))) from error
    return str(engine.api.inspect_image(tag)["Id"])


def ensure_runtime_image(
    engine: Any, *, registry: str = "", base: str | None = None, tell: Tell = lambda _: None
) -> str:
    """The id of a runtime image of this pyflow and Python, which is there when this returns: found, pulled or built.

    Args:
        engine: A client of the engine.
        registry: Prefix of its name; with one it is pulled if it can be.
        base: The image that it must have been built on; None: ``default_base``, or whatever the registry's was built on.
        tell: Is given each line of a pull or a build as it goes on.

    Raises:
        ExecutorError: It is not there and cannot be built.
    """
    tag = runtime_tag(registry=registry)
    found = _with_runtime(engine, registry, base)
    if found is None and registry:
        try:
            pull(engine, tag, tell=tell)
        except ExecutorError as error:
            tell(f"{error} It is built here instead.")
        found = _with_runtime(engine, registry, base)
    if found is not None:
        if not registry:
            _name_again(engine, found, tag)
        return str(found["Id"])
    tell(f"Building {tag}, once for this version of pyflow and Python.")
    return build_runtime_image(engine, tag, base=base, tell=tell)


def _name_again(engine: Any, image: dict[str, Any], tag: str) -> None:
    """Give an image its name back that a build on another base took, lest the engine's clean-up removes it as nameless."""
    if not set(image.get("RepoTags") or []) - {_NAMELESS}:
        repository, _, version = tag.rpartition(":")
        engine.api.tag(image["Id"], repository, version)


def _with_runtime(engine: Any, registry: str, base: str | None) -> dict[str, Any] | None:
    """An image with exactly this runtime; to be used by its id, for a name may be given to another one meanwhile.

    Who names no base gets the usual one, or what the site keeps in its registry, and never what somebody built on another base.
    """
    labels = {RUNTIME_LABEL: runtime_archive().digest}
    if base or not registry:
        labels[_BASE_LABEL] = base or default_base()
    try:
        # Nearly always it is the one of that name; to list the images takes an engine with many of them longer.
        named: dict[str, Any] = engine.api.inspect_image(runtime_tag(registry=registry))
    except errors.ImageNotFound:
        named = {}
    if labels.items() <= ((named.get("Config") or {}).get("Labels") or {}).items():
        return named
    if registry:
        return None
    found = engine.api.images(filters={"label": [f"{name}={value}" for name, value in labels.items()]})
    return dict(found[0]) if found else None


def list_runtime_images(engine: Any) -> list[BuiltImage]:
    """The runtime images that the engine has, of any version."""
    found = []
    for image in engine.api.images(filters={"label": RUNTIME_LABEL}):
        for tag in image.get("RepoTags") or []:
            if tag == _NAMELESS:
                continue
            labels = image.get("Labels") or {}
            told = (labels.get(RUNTIME_LABEL, ""), labels.get(_BASE_LABEL, ""))
            found.append(BuiltImage(tag, image["Id"], int(image["Size"]), str(image["Created"]), *told))
    return sorted(found, key=lambda image: image.tag)


def push(engine: Any, tag: str, *, tell: Tell = lambda _: None) -> None:
    """Push an image to the registry that its name begins with.

    Raises:
        ExecutorError: The registry did not take it.
    """
    told: set[str] = set()
    try:
        for line in engine.api.push(tag, stream=True, decode=True):
            if "error" in line:
                raise ExecutorError(_push_error(tag, line["error"]))
            for text in _news(line, told):
                tell(text)
    except errors.DockerException as error:
        raise ExecutorError(_push_error(tag, str(error))) from error


def pull(engine: Any, image: str, *, platform: str | None = None, tell: Tell = lambda _: None) -> None:
    """Pull an image.

    Raises:
        ExecutorError: There is none of that name, or it may not be had; the message says which.
    """
    name, _, tag = image.rpartition(":") if ":" in image.rpartition("/")[2] and "@" not in image else (image, "", "")
    told: set[str] = set()
    try:
        words: dict[str, Any] = {"tag": tag or None} if "@" not in image else {}
        if not words.get("tag") and "@" not in image:
            words["tag"] = "latest"
        for line in engine.api.pull(name, stream=True, decode=True, platform=platform, **words):
            if "error" in line:
                raise ExecutorError(_pull_error(image, line["error"]))
            for text in _news(line, told):
                tell(text)
    except errors.DockerException as error:
        raise ExecutorError(_pull_error(image, str(error))) from error


def build_context(*, base: str | None = None) -> Iterator[tuple[str, bytes]]:
    """What the runtime image of this pyflow is built from, by whatever builds images: the ``Dockerfile`` and the runtime, each by its path.

    Args:
        base: The image to build on, with a Python of this minor; None: ``default_base``.

    Raises:
        EnvironmentMismatchError: A distribution that the runtime needs is not installed, or not as files.
    """
    archive = runtime_archive()
    said = {
        "PYFLOW_BASE": base or default_base(), "PYFLOW_PYTHON": archive.python,
        "PYFLOW_COMPILED_AT": compiled_in_image(), "PYFLOW_RUNTIME": archive.digest,
    }  # fmt: skip
    lines = (_FOLDER / "Dockerfile").read_text().splitlines()
    filled = (f"ARG {name}={said[name]}" if (name := _argument(line)) else line for line in lines)
    yield "Dockerfile", "".join(f"{line}\n" for line in filled).encode()
    with zipfile.ZipFile(io.BytesIO(archive.data)) as members:
        for member in members.infolist():
            yield f"pyflow/{member.filename}", members.read(member)


def _argument(line: str) -> str | None:
    """The name of the argument that a line of a Dockerfile declares."""
    found = re.match(r"ARG (\w+)", line)
    return found and found[1]


def _as_tar(files: Iterable[tuple[str, bytes]]) -> io.BytesIO:
    """Files as a tar file in memory; the same bytes for the same files, so that layers are found again."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(data))
    buffer.seek(0)
    return buffer


def _texts(line: dict[str, Any]) -> Iterator[str]:
    for key in ("stream", "status"):
        yield from (text for text in str(line.get(key, "")).splitlines() if text.strip())


def _news(line: dict[str, Any], told: set[str]) -> Iterator[str]:
    """What a line of a push or a pull says that was not said before of the same layer: bars and countdowns are left out."""
    layer = f"{line['id']}: " if line.get("id") else ""
    for text in _texts(line):
        said = layer + re.sub(r" in \d+ seconds?$", "", text)
        if said not in told:
            told.add(said)
            yield said


def _build_error(tag: str, base: str, said: list[str], reason: str) -> str:
    last = "\n".join(["", "The build said last:", *(f"  {text}" for text in said[-8:])]) if said else ""
    return (
        f"The runtime image {tag} could not be built on {base}: {reason.strip()}. Where {base} cannot be had, name another image with Python "
        f'{this_minor()} by  base = "IMAGE"  in [tool.pyflow.docker].{last}'
    )


def _push_error(tag: str, reason: str) -> str:
    return (
        f"Image {tag} could not be pushed: {reason.strip().rstrip('.')}. See whether the registry answers, and log in to it by docker login ; "
        "an image that is not here yet is built by  pyflow image build ."
    )


def _pull_error(image: str, reason: str) -> str:
    return (
        f"Image {image!r} is not here, and could not be pulled: {reason.strip()}. See whether the name is right, log in to its registry by "
        "docker login , or build it."
    )
