"""One container from its creation to its removal, and what the engine says of its end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pyflow.errors import ExecutorError
from pyflow.executors.docker.place import Recipe
from pyflow.late import late

if TYPE_CHECKING:
    import requests
    from docker import errors
else:
    requests = late("requests")
    errors = late("docker.errors")

GRACE_S: Final = 7
"""How long a container may take to end when it is asked to; a little more than the runtime in it gives the task."""


class EngineError(ExecutorError):
    """The engine did not do what it was asked, or went away meanwhile."""


@dataclass(frozen=True, slots=True)
class State:
    """How a container ended."""

    exit_code: int
    is_out_of_memory: bool
    error: str
    """What the engine says of a container that it could not start."""


class Container:
    """A container that has been created. Used by one thread, but for ``end`` and ``kill``."""

    def __init__(self, engine: Any, recipe: Recipe) -> None:
        self._api = engine.api
        self._ending = threading.Lock()
        self.ended_for: str | None = None
        """Why it was asked to end, if it was."""
        with engine_errors("could not be created"):
            self.id: str = self._api.create_container(**recipe.config, name=recipe.name)["Id"]

    def start(self) -> None:
        """Let it run.

        Raises:
            EngineError: It cannot.
        """
        with engine_errors("could not be started"):
            self._api.start(self.id)

    def wait(self) -> State:
        """Wait for its end.

        Raises:
            EngineError: The engine went away, or somebody removed the container.
        """
        with engine_errors("could not be waited for"):
            self._api.wait(self.id, timeout=None)
            state = self._api.inspect_container(self.id)["State"]
        return State(int(state["ExitCode"]), bool(state.get("OOMKilled")), str(state.get("Error") or ""))

    def output(self) -> Iterator[bytes]:
        """What it prints, as it comes, until it ends."""
        with engine_errors("could not be listened to"):
            yield from self._api.logs(self.id, stream=True, follow=True, stdout=True, stderr=True)

    def printed(self, *, only_stdout: bool = False, lines: int | str = "all") -> bytes:
        """What it has printed."""
        with engine_errors("could not be asked for what it printed"):
            found: bytes = self._api.logs(self.id, stdout=True, stderr=not only_stdout, tail=lines)
            return found

    def archive(self, path: str) -> Iterator[bytes] | None:
        """A file or folder in it as a tar file; None when nothing lies there."""
        return archive_in(self._api, self.id, path)

    def end(self, reason: str) -> None:
        """Ask it to end; the engine kills it when the grace is over. Comes back when it has ended."""
        with self._ending:
            if self.ended_for is not None:
                return
            self.ended_for = reason
        # It may have ended by itself, and the engine may have gone: then whoever waits for it learns so.
        with contextlib.suppress(errors.DockerException, requests.exceptions.RequestException):
            self._api.stop(self.id, timeout=GRACE_S)

    def remove(self) -> None:
        """Kill and remove it, with what it wrote."""
        with contextlib.suppress(errors.DockerException, requests.exceptions.RequestException):
            self._api.remove_container(self.id, force=True, v=True)


def archive_in(api: Any, container: str, path: str) -> Iterator[bytes] | None:
    """A file or folder in a container, which need not run, as a tar file; None when nothing lies there."""
    with engine_errors("could not be read from"):
        try:
            stream: Iterator[bytes] = api.get_archive(container, path)[0]
        except errors.NotFound:
            return None
        return stream


@contextlib.contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn what the engine's client raises into one sentence.

    Raises:
        EngineError: Something was raised.
    """
    try:
        yield
    except errors.ImageNotFound as error:
        raise EngineError(
            f"its container {what}: the image is gone ({error.explanation}). Pull or build it again."
        ) from error
    except errors.APIError as error:
        raise EngineError(f"its container {what}: {_advice(str(error.explanation or error))}") from error
    except (errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise EngineError(
            f"its container {what}, for the Docker engine did not answer ({type(error).__name__}). See whether it runs:  docker info"
        ) from error


def _advice(text: str) -> str:
    text = text.strip().rstrip(".")
    if "no space left" in text:
        return f"{text}. The disk of the Docker engine is full:  docker system df  says of what."
    if "executable file not found" in text or "no such file or directory" in text:
        return f"{text}. The image has no such program, or not on its PATH."
    if "select device driver" in text:
        return f"{text}. The engine has no GPUs to give: see  docker info  for its runtimes, or leave out gpus=."
    if "range of CPUs" in text:
        return f"{text}. Ask for fewer with cpus=."
    return f"{text}."
