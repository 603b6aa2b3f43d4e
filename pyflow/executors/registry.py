"""Executors by name, each loaded when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeGuard

from pyflow.config import Settings, absolute
from pyflow.errors import ConfigError
from pyflow.executors.containers import Beside
from pyflow.executors.driver import Ending, Job
from pyflow.executors.remote import RemoteExecutor
from pyflow.graph import suggestion
from pyflow.jsontext import Json
from pyflow.late import late
from pyflow.packed import PackedContainer, PackedGraph
from pyflow.secrecy import SecretFinder

if TYPE_CHECKING:
    from pyflow import images
    from pyflow.executors import argo, selfdriven
    from pyflow.executors.docker import beside as docker_beside
    from pyflow.executors.docker import executor as docker_executor
    from pyflow.executors.docker import settings as docker_settings
else:
    argo = late("pyflow.executors.argo")
    images = late("pyflow.images")
    docker_beside = late("pyflow.executors.docker.beside")
    docker_executor = late("pyflow.executors.docker.executor")
    docker_settings = late("pyflow.executors.docker.settings")
    selfdriven = late("pyflow.executors.selfdriven")

NAMES: Final = ("inprocess", "local", "docker", "argo")
REMOTE: Final = ("argo",)
"""Those whose runs go on without the process that submitted them: each is a ``RemoteExecutor``."""


class Executor(Protocol):
    """How a packed graph runs."""

    @property
    def name(self) -> str:
        """What a user calls it."""

    def check(self, graph: PackedGraph) -> None:
        """Refuse what cannot be honoured, before anything runs.

        Raises:
            ExecutorError: The graph asks for something that this executor cannot do.
        """

    def run(self, job: Job) -> Ending:
        """Carry a run out; returns when nothing of it runs any more."""


def is_remote(executor: Executor) -> TypeGuard[RemoteExecutor]:
    """Whether its runs go on without the process that submitted them."""
    return executor.name in REMOTE


def open_executor(
    name: str,
    settings: Settings = Settings(),  # noqa: B008  frozen
    *,
    environment: Mapping[str, str] = os.environ,
    ask: Callable[[str], str] = lambda _run_id: "detach",
) -> Executor:
    """The executor of that name.

    Args:
        settings: Of which some executors have a table of their own.
        environment: For the variables that the tools of such a place read.
        ask: What to do with a run when Ctrl-C is pressed where it could go on: ``cancel`` or ``detach``.

    Raises:
        ConfigError: There is none, or a setting of it is wrong.
    """
    if name in REMOTE:
        return open_remote(name, settings, environment=environment, ask=ask)
    if name == "inprocess":
        beside = partial(open_containers, settings=settings, executor=name)
        return selfdriven.InprocessExecutor(SecretFinder(absolute(settings.secrets)), beside)
    if name == "local":
        beside = partial(open_containers, settings=settings, executor=name)
        return selfdriven.LocalExecutor(SecretFinder(absolute(settings.secrets)), beside)
    if name == "docker":
        return docker_executor.DockerExecutor(
            docker_settings.DockerSettings.of(settings), secrets=SecretFinder(absolute(settings.secrets))
        )
    raise ConfigError(f"There is no executor {name!r}.{suggestion(name, NAMES)}")


def open_containers(graph: PackedGraph, settings: Settings, *, executor: str) -> Beside | None:
    """What runs the container tasks of a graph beside its Python tasks; None when it has none.

    Raises:
        ExecutorError: No Docker engine answers, or an image cannot be had.
    """
    if not any(isinstance(node, PackedContainer) for node in graph.walk()):
        return None
    secrets = SecretFinder(absolute(settings.secrets))
    return docker_beside.ContainersBeside.checked(
        graph, docker_settings.DockerSettings.of(settings), executor=executor, secrets=secrets
    )


def open_remote(
    name: str,
    settings: Settings = Settings(),  # noqa: B008  frozen
    *,
    environment: Mapping[str, str] = os.environ,
    ask: Callable[[str], str] = lambda _run_id: "detach",
) -> RemoteExecutor:
    """The executor of that name, which goes on with runs by itself.

    Raises:
        ConfigError: There is none, or a setting of it is wrong.
    """
    if name == "argo":
        return argo.ArgoExecutor(argo.argo_settings(settings.argo, environment), argo.make_workflow, ask=ask)
    raise ConfigError(f"There is no executor {name!r} whose runs go on by themselves.{suggestion(name, REMOTE)}")


class TaskImage(NamedTuple):
    """The image that tasks run in."""

    name: str
    is_bare: bool
    """It is known to have Python and nothing else."""


def images_of_tasks(name: str | None, settings: Settings) -> Callable[[str | None], TaskImage | None]:
    """For the image that a task names, or None, the one that it runs in; None where it has what is installed here, as far as is known.

    Args:
        name: The executor.
        settings: What holds for it.

    Raises:
        ConfigError: A setting is wrong.
    """
    if name != "argo":
        return lambda wanted: None if wanted is None else TaskImage(wanted, is_bare=False)
    site = argo.argo_settings(settings.argo, os.environ)

    def image_of(wanted: str | None) -> TaskImage:
        python = images.this_minor()
        return TaskImage(site.image_for(wanted, python), is_bare=site.bare_image_for(wanted, python) is not None)

    return image_of


def argo_setup(
    settings: Settings,
    keys: Sequence[str],
    credentials: tuple[str, str] | None = None,
    submitter: str | None = None,
    *,
    certificates: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> list[dict[str, Json]]:
    """The objects that an administrator applies once to a namespace for the executor ``argo``.

    Args:
        settings: With the table ``argo``.
        keys: That results are signed with, in hexadecimal digits.
        credentials: Access key and secret key of the bucket, if a Secret with them is wanted.
        submitter: A service account that may submit runs, if one is wanted.
        certificates: Certificates of those that vouch for the store, if a Secret with them is wanted.
    """
    found = argo.argo_settings(settings.argo, environment)
    asked = argo.Credentials(*credentials) if credentials else None
    return argo.setup_objects(found, keys, asked, certificates=certificates, submitter=submitter)
