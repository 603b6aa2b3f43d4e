"""Where executors are tried: how to run a pipeline, a folder that tasks see too, and code as an author writes it."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar

from pyflow.api import Pipeline, Run

P = ParamSpec("P")
R = TypeVar("R")


class NotAskedError(Exception):
    """A law asks nothing of such an executor; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """An executor under trial."""

    executor: str
    store: str
    """URL of a store that is new and empty."""
    shared: Path
    """An empty folder that tasks can write to, by the same path as the caller."""
    has_processes: bool
    """Tasks run in processes that can be ended from outside, side by side."""
    sees_caller: bool = True
    """Tasks run beside the caller: in its folder, with its environment and its process ids."""
    is_item_by_item: bool = True
    """An item of a map of a map need not wait for the other items of the first map."""
    meaningless: tuple[str, Any] = ("gpus", 1)
    """An option, with a value, that the executor leaves out with a warning."""
    patience_s: float = 60
    """How long what takes no time at all may take."""

    def on(self, pipeline: Pipeline[P, R], **options: Any) -> Pipeline[P, R]:
        """The pipeline, set to run here."""
        return pipeline.with_options(executor=self.executor, store=self.store, progress=False, **options)

    def run(self, pipeline: Pipeline[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What a call of the pipeline gives here."""
        return self.on(pipeline)(*args, **kwargs)

    def start(self, pipeline: Pipeline[P, R], *args: P.args, **kwargs: P.kwargs) -> Run:
        """A run of the pipeline that was submitted here, and may still go on."""
        return self.on(pipeline).submit(*args, **kwargs)

    def finish(self, pipeline: Pipeline[P, R], *args: P.args, **kwargs: P.kwargs) -> Run:
        """A run of the pipeline that was submitted here, and has ended."""
        run = self.start(pipeline, *args, **kwargs)
        run.wait(3 * self.patience_s)
        return run

    def asks(self, ability: Literal["has_processes", "sees_caller", "is_item_by_item"]) -> None:
        """Go on with a law only where the executor can do this.

        Raises:
            NotAskedError: It cannot.
        """
        if not getattr(self, ability):
            raise NotAskedError(f"executor {self.executor!r}: not {ability}")

    def counter(self) -> Counter:
        """Counts what tasks do, whatever process they run in."""
        return Counter(str(self.shared / uuid.uuid4().hex))

    def sign(self) -> Sign:
        """Lets tasks, and the caller, wait for each other, whatever process they run in."""
        return Sign(str(self.shared / uuid.uuid4().hex), self.patience_s)

    @contextlib.contextmanager
    def module(self, source: str, name: str = "") -> Iterator[ModuleType]:
        """A module of an author's: a file in a folder on ``sys.path``, imported."""
        name = name or f"author_{uuid.uuid4().hex[:8]}"
        folder = self.shared / f"code-{name}"
        folder.mkdir()
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
        sys.path.insert(0, str(folder))
        try:
            yield importlib.import_module(name)
        finally:
            sys.path.remove(str(folder))
            sys.modules.pop(name, None)

    def script(self, source: str) -> Any:
        """Run a script that ends by printing one line of JSON, with this executor as its default; what it printed."""
        file = self.shared / f"script_{uuid.uuid4().hex[:8]}.py"
        file.write_text(source, encoding="utf-8")
        environment = {
            **os.environ, "PYFLOW_EXECUTOR": self.executor, "PYFLOW_STORE": self.store, "PYFLOW_PROGRESS": "0",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, str(file)], capture_output=True, text=True, check=False, env=environment, timeout=120
        )
        if done.returncode:
            raise AssertionError(f"the script ended with {done.returncode}:\n{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])


@dataclass(frozen=True, slots=True)
class Counter:
    """A file that grows by a byte each time."""

    path: str

    def up(self) -> int:
        """Count one more; how many that makes."""
        with open(self.path, "ab", buffering=0) as file:
            file.write(b".")
            return file.tell()

    @property
    def count(self) -> int:
        """How many were counted."""
        return os.stat(self.path).st_size if os.path.exists(self.path) else 0


@dataclass(frozen=True, slots=True)
class Sign:
    """A file that one gives and others wait for."""

    path: str
    patience_s: float

    def give(self) -> None:
        """Let those go on who wait."""
        Path(self.path).touch()

    def wait(self) -> bool:
        """Wait until it is given; whether that came to pass within the patience."""
        end = time.monotonic() + self.patience_s
        while not Path(self.path).exists() and time.monotonic() < end:
            time.sleep(0.02)
        return Path(self.path).exists()


Law: TypeAlias = Callable[[Stage], None]
