"""What a process keeps between the tasks that it runs: the store, the program, the code on ``sys.path``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from pyflow.bundle import install
from pyflow.contract import Home, Invocation, Outcome
from pyflow.errors import EnvironmentMismatchError, IntegrityError, StoreError
from pyflow.jsontext import Json
from pyflow.late import late
from pyflow.packed import PackedGraph
from pyflow.runtime.capture import Spool
from pyflow.runtime.execution import Site, execute, not_tried
from pyflow.runtime.packages import add_packages, packages_of
from pyflow.runtime.program import Program
from pyflow.runtime.scratch import Scratch
from pyflow.secrecy import Guard, SecretFinder
from pyflow.store import BlobStore, ContentStore, Keys, Trust, open_blobs

if TYPE_CHECKING:
    from pyflow.environments import unpack
else:
    unpack = late("pyflow.environments.unpack")


def open_home(home: Home, blobs: BlobStore | None = None) -> ContentStore:
    """The store of a run, as the part of it that belongs to a project and an owner."""
    trust = Trust(home.key_file, trusts_store=home.trusts_store)
    guard = Guard(os.environ, home.allow_secrets or os.environ.get("PYFLOW_ALLOW_SECRETS", ""))
    return ContentStore(blobs or open_blobs(home.store_url), Keys(home.project, home.owner), trust, guard)


class Session:
    """Runs invocations in this process, one after the other.

    Args:
        folder: A private folder that exists as long as the process.
        spool: What the process prints to.
        writer: Name of the log that it writes, unique in each run: no other process has written to it before.
        blobs: The store, when it is open already.
        program: A graph that is here already; its code is not.
        starts_once: See ``Site``.
        has_code: The author's own modules are here already: this is the process that sends them.
        time_limit: See ``Site``.
        permit: See ``Site``.
    """

    def __init__(
        self,
        folder: Path,
        spool: Spool,
        writer: str,
        *,
        blobs: BlobStore | None = None,
        program: Program | None = None,
        starts_once: bool = False,
        has_code: bool = False,
        time_limit: Callable[[float | None], AbstractContextManager[None]] = lambda _: nullcontext(),
        permit: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._spool = spool
        self._writer = writer
        self._blobs = blobs
        self._home: Home | None = None
        self._content: ContentStore | None = None
        self._given = program
        self._has_code = has_code
        self._program: Program | None = None
        self._run_id = ""
        self._code_path: str | None = None
        self._packages: str | None = None
        self._scratch = Scratch(folder / "tmp")
        self._site = Site(
            scratch=self._scratch.path,
            capture=spool.capture,
            origins={},
            starts_once=starts_once,
            secrets=SecretFinder(os.environ.get("PYFLOW_SECRETS", "")),
            masker=spool.masker,
            time_limit=time_limit,
            permit=permit,
        )

    def run(self, invocation: Invocation) -> Outcome:
        """Run one invocation, and say what came of it."""
        try:
            content = self.open(invocation.home)
            program = self._load(invocation, content)
            self._provide(packages_of(program, invocation.node), content)
        except Exception as error:  # noqa: BLE001  nothing else may end the process that others rely on
            return not_tried(invocation, error)
        if invocation.run_id != self._run_id:
            self._run_id = invocation.run_id
            self._spool.aim(content.blobs, content.keys.log(self._run_id, self._writer), self._writer)
        before = self._scratch.lend()
        try:
            return execute(invocation, program, content, self._site)
        except IntegrityError:
            raise  # the invocation is none of this graph's: whoever sent it is at fault
        except StoreError as error:  # it could not be asked for a commit, or did not take the log
            return not_tried(invocation, error)
        finally:
            self._scratch.take_back(before)

    def close(self) -> None:
        """Take the code off ``sys.path`` again, and let go of the folder for files."""
        self._scratch.close()
        self._leave_code()

    def _leave_code(self) -> None:
        if self._code_path is not None and self._code_path in sys.path:
            sys.path.remove(self._code_path)
            self._code_path = None

    def open(self, home: Home) -> ContentStore:
        """The store of a run, opened once."""
        # Mostly the very same object, so that nothing needs comparing.
        if self._content is None or (home is not self._home and home != self._home):
            content = open_home(home, self._blobs)
            # Read before any code of the author's runs, which may change the environment or the folder.
            assert content.trust.keys or content.trust.trusts_store
            self._home, self._content = home, content
            if home.secrets:
                self._site = self._site._replace(secrets=self._site.secrets._replace(folder=home.secrets))
        return self._content

    def _load(self, invocation: Invocation, content: ContentStore) -> Program:
        if self._program is None or invocation.graph_digest != self._program.digest:
            program = self._given
            if program is None or invocation.graph_digest != program.digest:
                graph = PackedGraph.from_bytes(content.read_blob(invocation.graph_digest, invocation.graph_size))
                program = Program(graph, invocation.graph_digest)
            self._install(program.graph, content)
            self._program = program
        return self._program

    def _provide(self, packages: Json, content: ContentStore) -> None:
        """Put the packages of a task on ``sys.path``, before anything of it is unpickled."""
        digest = None if packages is None else packages["digest"]
        if digest == self._packages:
            return
        if self._packages is not None:
            raise EnvironmentMismatchError(
                "This process has loaded the packages of another task, and cannot change them: each set of packages needs a process."
            )
        folder = unpack.unpacked(packages, content)
        self._site.permit()  # some packages run code when they are found
        add_packages(folder)
        self._packages = digest

    def _install(self, graph: PackedGraph, content: ContentStore) -> None:
        self._leave_code()
        self._site.origins.clear()
        if graph.code is None or self._has_code:
            return
        archive = content.read_blob(graph.code["digest"], graph.code["size"])
        folder = str(install(archive, self._folder / "code"))
        self._site.origins.update({os.path.join(folder, name): path for name, path in graph.origins.items()})
        self._code_path = folder
        sys.path.insert(0, folder)
