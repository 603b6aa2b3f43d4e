"""How the containers of one run are made: who they run as, what they see, and how much they may take."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from pyflow.contract import Invocation
from pyflow.environments import environments_folder, is_unpacked
from pyflow.errors import ExecutorError
from pyflow.executors.docker.credentials import MOUNTED, SECRETS_MOUNTED, check_reachable, lay_key, lay_s3, lay_secrets
from pyflow.executors.docker.leftovers import FOLDER_PREFIX, RUN_LABEL, caller_labels
from pyflow.executors.docker.mounts import TMP, bind, volume_mounts
from pyflow.executors.docker.settings import DockerSettings
from pyflow.executors.driver import Job
from pyflow.images import docker_platform
from pyflow.jsontext import Json
from pyflow.late import late
from pyflow.packed import PackedCall, PackedContainer, PackedOptions
from pyflow.runtime import RUN_VARIABLE, run_variable, task_words, temporary_folder
from pyflow.secrecy import SecretFinder

if TYPE_CHECKING:
    from docker import types
else:
    types = late("docker.types")

_NOBODY: Final = 65532
_MOST_PROCESSES: Final = 4096
_SHARED_MEMORY: Final = "1g"
"""Most of what processes share in memory, as loky and PyTorch do; Docker's own 64 MiB is too little for them."""
_CREDENTIALS_LAST_S: Final = 300.0
_RUNTIME: Final = "/opt/pyflow"
"""The folder with the runtime in a container, which a runtime image has and others get."""
_ENVIRONMENTS: Final = ".cache/pyflow/environments"
"""Where the runtime looks for packages below its home, see ``environments_folder``."""
# The kernel takes no quota below a millisecond in each tenth of a second ("CFS Bandwidth Control").
_LEAST_NANO_CPUS: Final = 10_000_000
_MOST_LOG: Final = {"max-size": "10m", "max-file": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceImage:
    """An image in which Python tasks can run."""

    name: str
    python: str = "python3"
    runtime: str | None = None
    """A folder of this machine with the runtime, when the image has none."""
    python_path: str = ""
    """What the image itself has in ``PYTHONPATH``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to create a container: the words of Docker's API."""

    config: dict[str, Any]
    name: str
    memory_mib: int | None


@dataclass(slots=True)
class Place:
    """What the containers of one run have in common.

    Args:
        engine: A client of the engine.
        job: The run.
        settings: What the site says.
        images: For each set of options by its index, the image of its Python tasks.
        secrets: Where secrets are looked up on this machine.
    """

    engine: Any
    job: Job
    settings: DockerSettings
    images: Mapping[int, PlaceImage]
    secrets: SecretFinder = field(default_factory=SecretFinder)
    folder: str = ""
    user: tuple[int, int] = (0, 0)
    _variables: dict[str, str] = field(default_factory=dict)
    _store_folder: str | None = None
    _laid_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=temporary_folder())
        url = self.job.home.store_url
        if "://" not in url or url.startswith("file://"):
            self._store_folder = store_folder(url)
            os.makedirs(self._store_folder, exist_ok=True)
        elif not url.startswith("s3://"):
            raise ExecutorError(
                f"A container cannot reach the store {url}, which exists in this process alone. Use a folder or a bucket."
            )
        self.user = _container_user(self._store_folder)
        os.chmod(self.folder, 0o711)  # noqa: S103  its parts are private
        self.lay_secrets()

    @property
    def sees_folder(self) -> bool:
        """Whether the store is a folder of this machine."""
        return self._store_folder is not None

    def lay_secrets(self) -> None:
        """Put keys and credentials where containers find them, unless that was done a short while ago."""
        with self._lock:
            if not self._laid_at or time.monotonic() - self._laid_at >= _CREDENTIALS_LAST_S:
                self._lay_secrets()

    def _lay_secrets(self) -> None:
        folder = self._private("secrets")
        self._variables = lay_key(folder, self.job.home, self.job.content)
        if self._store_folder is None:
            self._variables.update(lay_s3(folder))
            for node in self.job.graph.walk():
                if isinstance(node, PackedCall):
                    network = self._network(self.job.graph.options[node.options])
                    check_reachable(self._variables, network, [node.name])
        self.give(folder)
        self._laid_at = time.monotonic()

    def python_container(
        self, invocations: Sequence[Invocation], node: PackedCall, options: PackedOptions, memory_mib: int | None
    ) -> Recipe:
        """The container of some invocations of one Python task."""
        self.lay_secrets()
        image = self.images[node.options]
        scratch = self.scratch_folder(invocations[0])
        mounts = [
            bind(scratch, TMP, read_only=False),
            bind(os.path.join(self.folder, "secrets"), MOUNTED, read_only=True),
            *volume_mounts(options.volumes, self.settings.volumes, self._volumes_of(scratch)),
        ]
        if self._store_folder is not None:
            mounts.append(bind(self._store_folder, self._store_folder, read_only=False))
        variables = {
            **self._variables,
            RUN_VARIABLE: run_variable(invocations[0]),
            "HOME": "/tmp/home",  # noqa: S108
            "TMPDIR": "/tmp",  # noqa: S108
            "USER": "pyflow",
            "LOGNAME": "pyflow",
            "PYTHONPATH": ":".join(filter(None, (_RUNTIME, image.python_path))),
        }
        if options.secret_env:
            mounts.append(bind(self._secret_files(node.options, options), SECRETS_MOUNTED, read_only=True))
            variables["PYFLOW_SECRETS"] = SECRETS_MOUNTED
        if options.environment is not None:
            mounts += self._packages(options.environment, scratch)
        if image.runtime is not None:
            mounts.append(bind(image.runtime, _RUNTIME, read_only=True))
        return self._container(
            invocations[0],
            node,
            options,
            image=image.name,
            entrypoint=[image.python, "-m", "pyflow.runtime"],
            command=task_words(invocations),
            variables=variables,
            mounts=mounts,
            memory_mib=memory_mib,
            keeps_log=False,
        )

    def task_container(
        self,
        invocation: Invocation,
        node: PackedContainer,
        options: PackedOptions,
        memory_mib: int | None,
        *,
        argv: list[str],
        mounts: list[Any],
        scratch: str,
    ) -> Recipe:
        """The container of a container task."""
        return self._container(
            invocation,
            node,
            options,
            image=node.image,
            # The command line says what to start; an entry point of the image's own would get it as arguments.
            entrypoint=argv[:1],
            command=argv[1:],
            variables={
                "HOME": "/tmp/home",  # noqa: S108
                "TMPDIR": "/tmp",  # noqa: S108
                **options.env,
                **self.secret_values(options),
            },
            mounts=[
                *mounts,
                # Scratch volumes are among the private folders, since inputs and outputs may lie in them.
                *volume_mounts([v for v in options.volumes if v[1] != "scratch"], self.settings.volumes, scratch),
            ],
            memory_mib=memory_mib,
            keeps_log=True,
        )

    def _container(
        self,
        invocation: Invocation,
        node: PackedCall | PackedContainer,
        options: PackedOptions,
        *,
        image: str,
        entrypoint: list[str],
        command: list[str],
        variables: Mapping[str, str],
        mounts: list[Any],
        memory_mib: int | None,
        keeps_log: bool,
    ) -> Recipe:
        limits: dict[str, Any] = {"pids_limit": _MOST_PROCESSES, "shm_size": _SHARED_MEMORY}
        if memory_mib is not None:
            limits.update(mem_limit=memory_mib * 2**20, memswap_limit=memory_mib * 2**20)
        if "cpus" in options.given:
            limits["nano_cpus"] = max(_LEAST_NANO_CPUS, int(options.cpus * 1e9))
        if options.gpus:
            limits["device_requests"] = [types.DeviceRequest(count=options.gpus, capabilities=[["gpu"]])]
        if not options.run_as_root:
            limits.update(cap_drop=["ALL"])
        log = types.LogConfig(type=types.LogConfig.types.JSON, config={} if keeps_log else dict(_MOST_LOG))
        host = self.engine.api.create_host_config(
            mounts=mounts,
            read_only=not options.writable_root,
            security_opt=["no-new-privileges"],
            network_mode=self._network(options),
            log_config=log,
            **limits,
        )
        config = {
            "image": image,
            "entrypoint": entrypoint,
            "command": command,
            "environment": dict(variables),
            "user": "0:0" if options.run_as_root else f"{self.user[0]}:{self.user[1]}",
            # An image of the author's may count on the folder that it says itself, and in a pod it has that, too.
            "working_dir": "/tmp/work" if isinstance(node, PackedCall) else None,  # noqa: S108
            "labels": {**options.labels, **self._labels(invocation, node)},
            "host_config": host,
            "platform": docker_platform(options.platform) if options.platform else None,
            "stop_signal": "SIGTERM",
        }
        name = f"pyflow-{invocation.run_id}-{invocation.slot}-{invocation.attempt}-{invocation.nonce[:6]}"
        return Recipe(config=config, name=name, memory_mib=memory_mib)

    def scratch_folder(self, invocation: Invocation) -> str:
        """A private folder for one container, which finds it as ``/tmp``."""
        path = self.scratch_of(invocation)
        os.mkdir(path, 0o700)
        for name in ("home", "work"):
            os.mkdir(os.path.join(path, name), 0o700)
            self.give(os.path.join(path, name))
        self.give(path)
        return path

    def forget(self, scratch: str) -> None:
        """Remove what one container had."""
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(f"{scratch}.volumes", ignore_errors=True)

    def close(self) -> None:
        """Remove all that was made for the run."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _labels(self, invocation: Invocation, node: PackedCall | PackedContainer) -> dict[str, str]:
        return {
            RUN_LABEL: invocation.run_id,
            "pyflow.node": node.name,
            "pyflow.slot": invocation.slot,
            "pyflow.attempt": str(invocation.attempt),
            **caller_labels(self.folder),
        }

    def _network(self, options: PackedOptions) -> str | None:
        return options.network or self.settings.network

    def _volumes_of(self, scratch: str) -> str:
        path = f"{scratch}.volumes"
        os.mkdir(path, 0o700)
        self.give(path)
        return path

    def secret_values(self, options: PackedOptions) -> dict[str, str]:
        """The values of a task's secrets, by variable."""
        return self.secrets.values(options.secret_env, os.environ)

    def _secret_files(self, number: int, options: PackedOptions) -> str:
        """The folder with a task's secrets, which the runtime looks up there: variables could be read by ``docker inspect``."""
        with self._lock:
            folder = os.path.join(self.folder, f"secrets-{number}")
            if not os.path.isdir(folder):
                lay_secrets(self._private(f"secrets-{number}"), options.secret_env, self.secret_values(options))
                self.give(folder)
            return folder

    def _packages(self, environment: Json, scratch: str) -> list[Any]:
        """The packages of a task, which are unpacked here once; a container that may not read them unpacks its own."""
        if self.user[0] != os.getuid() or not is_unpacked(environment):
            return []
        digest = str(environment["digest"])
        # Made here, for what Docker makes on the way to a mount belongs to root.
        os.makedirs(os.path.join(scratch, "home", _ENVIRONMENTS))
        target = f"/tmp/home/{_ENVIRONMENTS}/{digest}"  # noqa: S108
        return [bind(str(environments_folder() / digest), target, read_only=True)]

    def _private(self, name: str) -> str:
        path = os.path.join(self.folder, name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        return path

    def scratch_of(self, invocation: Invocation) -> str:
        """Where the private folder of a container lies."""
        return os.path.join(self.folder, f"{invocation.slot}.{invocation.attempt}.{invocation.nonce}")

    def give(self, path: str) -> None:
        """Let the containers' user own a file or folder, and what is in it."""
        if os.getuid() != 0 or self.user[0] == 0:
            return
        os.chown(path, *self.user)
        for folder, names, files in os.walk(path):
            for name in (*names, *files):
                os.chown(os.path.join(folder, name), *self.user, follow_symlinks=False)


def store_folder(url: str) -> str:
    """The folder that a store's URL or path names."""
    path = unquote(urlsplit(url).path) if url.startswith("file://") else os.path.expanduser(url)
    return os.path.abspath(path)


def _container_user(folder: str | None) -> tuple[int, int]:
    """Who containers run as: the caller; where that is root, whoever the store belongs to, or with a bucket nobody.

    Root remains where a store belongs to it: without any capability, it may do there what the owner of the files may.
    """
    if os.getuid() != 0:
        return os.getuid(), os.getgid()
    if folder is None:
        return _NOBODY, _NOBODY
    found = os.stat(folder)
    return found.st_uid, found.st_gid
