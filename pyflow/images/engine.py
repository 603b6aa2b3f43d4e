"""The Docker engine: found the way Docker's own command finds it, and told of plainly when it does not answer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from pyflow.errors import ExecutorError
from pyflow.late import late

if TYPE_CHECKING:
    import docker
    from docker import context, errors
else:
    docker = late("docker")
    context = late("docker.context")
    errors = late("docker.errors")

_CONNECT_S: Final = 10
_POOL: Final = 64
"""Connections at once: each container that is waited for takes one."""


def open_engine(*, timeout_s: float | None = None, version: str | None = None) -> Any:
    """A client of the Docker engine, which has just answered.

    Args:
        version: What it speaks, from one that was open before; then it is not asked now. See ``version_of``.
        timeout_s: How long it may take to answer later on; None: for ever, because one waits for containers.

    Raises:
        ExecutorError: None answers; the message says where it was looked for, and what may help.
    """
    where = _address()
    try:
        # Unless told, it asks for the version that the engine speaks, so it has answered.
        client = docker.DockerClient(
            timeout=_CONNECT_S, version=version or "auto", max_pool_size=_POOL, **_connection(where)
        )
    except (errors.DockerException, OSError, ValueError) as error:
        raise ExecutorError(_no_engine(where, error)) from error
    client.api.timeout = timeout_s
    return client


def version_of(engine: Any) -> str:
    """What an engine speaks, to open it again without asking."""
    return str(engine.api.api_version)


def has_engine() -> bool:
    """Whether a Docker engine answers."""
    try:
        open_engine().close()
    except ExecutorError:
        return False
    return True


def _address() -> str:
    """Where the engine is: ``DOCKER_HOST``, else what ``docker context use`` has chosen, else the usual socket."""
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    try:
        chosen = context.ContextAPI.get_current_context()
        host = chosen.Host if chosen is not None else None
    except Exception:  # noqa: BLE001  a broken context file is Docker's own matter, and the usual socket may answer
        host = None
    return str(host or "unix:///var/run/docker.sock").replace("http+unix://", "unix://")


def _connection(where: str) -> dict[str, Any]:
    if os.environ.get("DOCKER_HOST"):
        settings: dict[str, Any] = docker.utils.kwargs_from_env()
        return settings
    return {"base_url": where}


def _no_engine(where: str, error: BaseException) -> str:
    text = str(error)
    if "Permission" in text or "EACCES" in text:
        advice = "You may not use it: join the group 'docker' (sudo usermod -aG docker $USER), and log in again."
    else:
        advice = (
            "Start Docker Desktop, or on Linux run  sudo systemctl start docker ; where it is elsewhere, set DOCKER_HOST. "
            "Without it executor='local' runs the same pipeline."
        )
    return f"No Docker engine answers at {where} ({_shortened(text)}). {advice}"


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"
