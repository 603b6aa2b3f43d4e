"""Whether tasks can run in an image of the user's own: which Python it has, asked once for each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pyflow.errors import ExecutorError
from pyflow.images.image import RUNTIME_LABEL, Tell, pull, this_minor
from pyflow.late import late

if TYPE_CHECKING:
    from docker import errors
else:
    errors = late("docker.errors")

_NAMES: Final = ("python3", "python")
_QUESTION: Final = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
_ASKING_S: Final = 60
PROBE_LABEL: Final = "pyflow.probe"


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of an image."""

    id: str
    platform: str
    """Operating system and architecture, as ``linux/amd64``."""
    user: str
    environment: dict[str, str]
    has_runtime: bool
    """It is a runtime image, or was made of one."""


def image_facts(engine: Any, image: str, *, platform: str | None = None, tell: Tell = lambda _: None) -> ImageFacts:
    """What the engine knows of an image, which is pulled if need be.

    Args:
        platform: For which operating system and architecture it is to be; None: whatever it is for.

    Raises:
        ExecutorError: It cannot be had, or is here for another platform.
    """
    wanted = docker_platform(platform) if platform else None
    try:
        found = engine.api.inspect_image(image)
    except errors.ImageNotFound:
        pull(engine, image, platform=wanted, tell=tell)
        found = engine.api.inspect_image(image)
    except errors.APIError as error:
        raise ExecutorError(f"{image!r} is not the name of an image: {error.explanation or error}.") from error
    config = found.get("Config") or {}
    environment = dict(entry.partition("=")[::2] for entry in config.get("Env") or [])
    is_for = f"{found['Os']}/{found['Architecture']}"
    if wanted and not is_same_platform(wanted, is_for):
        raise ExecutorError(
            f"Image {image!r} is here for {is_for}, and platform= asks for {wanted}. Get that one by  docker pull --platform {wanted} {image} , "
            "or leave platform= out."
        )
    return ImageFacts(
        id=found["Id"],
        platform=is_for,
        user=config.get("User") or "",
        environment=environment,
        has_runtime=RUNTIME_LABEL in (config.get("Labels") or {}),
    )


def docker_platform(platform: str) -> str:
    """A platform as Docker names it: which C library an image has, as in ``linux/amd64/musl``, is a word of pyflow's."""
    return platform.removesuffix("/musl")


def is_same_platform(one: str, other: str) -> bool:
    """Whether two platforms have the same system and architecture; variants such as ``v8`` are left aside."""
    return one.split("/")[:2] == other.split("/")[:2]


_python_by_id: dict[str, tuple[str, str]] = {}


def python_in(engine: Any, image: str, facts: ImageFacts) -> str:
    """The path of a Python in the image, of the same minor as this one.

    Raises:
        ExecutorError: It has none, or one of another minor: the code of tasks would not run there.
    """
    found = _python_by_id.get(facts.id)
    if found is None:
        found = _python_by_id[facts.id] = _ask(engine, image, facts)
    minor, executable = found
    if minor != this_minor():
        raise ExecutorError(_wrong_minor(image, minor))
    return executable


def _wrong_minor(image: str, minor: str) -> str:
    return (
        f"Image {image!r} has Python {minor}, and this is Python {this_minor()}: the code of tasks fits one minor only. "
        f"Take an image with Python {this_minor()}, or run this with Python {minor}."
    )


def _ask(engine: Any, image: str, facts: ImageFacts) -> tuple[str, str]:
    for name in _NAMES:
        said = _run(engine, facts, name)
        if said is not None:
            minor, _, executable = said.strip().partition(" ")
            return minor, executable or name
    here = engine.version()
    runs = f"{here['Os']}/{here['Arch']}"
    if not is_same_platform(facts.platform, runs):
        raise ExecutorError(
            f"Image {image!r} is for {facts.platform}, and the engine cannot start it: it runs {runs}, without an emulation of the other. "
            f"Take the image for {runs}."
        )
    raise ExecutorError(
        f"Image {image!r} has no Python: neither python3 nor python can be started in it. Tasks need Python {this_minor()} there; pyflow brings "
        "the rest. For a program that is not Python write a @container task."
    )


def _run(engine: Any, facts: ImageFacts, name: str) -> str | None:
    """What a Python of that name says of itself; None when there is none."""
    api = engine.api
    container = api.create_container(
        facts.id,
        entrypoint=[name, "-S", "-c", _QUESTION],
        labels={PROBE_LABEL: "1"},
        host_config=api.create_host_config(network_mode="none", cap_drop=["ALL"], security_opt=["no-new-privileges"]),
    )["Id"]
    try:
        api.start(container)
        code = api.wait(container, timeout=_ASKING_S)["StatusCode"]
        said: str = api.logs(container, stdout=True, stderr=False).decode(errors="replace")
    except errors.APIError:
        return None  # the engine could not start it: there is no such program
    finally:
        api.remove_container(container, force=True, v=True)
    return said if code == 0 else None
