"""FILE[:PIPELINE] → a pipeline: loads the file as Python would, but under a name that other processes can import."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pyflow.api import Pipeline
from pyflow.cli.failures import UserCodeError, Wrong
from pyflow.errors import PyflowError
from pyflow.graph import suggestion
from pyflow.tracing import Task


@dataclass(frozen=True, slots=True)
class Source:
    """A loaded file, and which of its pipelines was named."""

    module: ModuleType
    label: str
    """What the user wrote for the file."""
    wanted: str | None

    @property
    def pipelines(self) -> dict[str, Pipeline[..., Any]]:
        """The pipelines that the file defines, by the names they have in it."""
        return self._own(Pipeline)

    @property
    def tasks(self) -> dict[str, Task[..., Any]]:
        """The tasks that the file knows, its own and imported ones."""
        return {name: value for name, value in vars(self.module).items() if isinstance(value, Task)}

    def pipeline(self) -> Pipeline[..., Any]:
        """The pipeline that was named, or the only one.

        Raises:
            Wrong: There is none of that name, or no name was given and there are several.
        """
        found = self.pipelines
        names = ", ".join(found)
        if self.wanted is not None:
            named = getattr(self.module, self.wanted, None)
            if not isinstance(named, Pipeline):
                what = "is not a pipeline" if named is not None else "does not exist"
                hint = suggestion(self.wanted, list(found)) if found else " The file has no pipelines."
                raise Wrong(f"{self.wanted!r} in {self.label} {what}.{hint}")
            return named
        if not found:
            raise Wrong(f"{self.label} has no pipeline. Write @pipeline above a function that calls tasks.")
        if len(found) > 1:
            first = next(iter(found))
            raise Wrong(f"{self.label} has {len(found)} pipelines: {names}. Name one: {self.label}:{first}")
        return next(iter(found.values()))

    def _own(self, kind: type[Any]) -> dict[str, Any]:
        """Objects of a kind that the module made itself; the others only if it made none."""
        found = {name: value for name, value in vars(self.module).items() if isinstance(value, kind)}
        own = {name: value for name, value in found.items() if value.fn.__module__ == self.module.__name__}
        chosen = own or found
        first = {id(value): name for name, value in reversed(chosen.items())}
        return {name: value for name, value in chosen.items() if first[id(value)] == name}


def load_source(text: str) -> Source:
    """Load a ``.py`` file, or a module by its dotted name, and note which pipeline is meant.

    The file's folder comes first on ``sys.path``, as with ``python FILE``; for a file in a package, the
    folder that holds the package. Its ``if __name__ == "__main__":`` block does not run.

    Raises:
        Wrong: There is no such file or module.
        UserCodeError: The file raised while it was loaded.
    """
    if text.startswith("-"):
        raise Wrong(
            f"{text} is no option of pyflow, and a parameter of the pipeline goes behind its file: FILE {text} VALUE."
        )
    label, colon, wanted = text.rpartition(":")
    if not colon or "/" in wanted:
        label, wanted = text, ""
    if colon and not wanted.isidentifier() and "/" not in wanted:
        raise Wrong(f"{text!r} names no pipeline behind the colon. Write FILE or FILE:PIPELINE.")
    path = Path(label)
    is_file = path.suffix == ".py" or "/" in label or path.exists()
    module = _load_file(path) if is_file else _load_module(label)
    return Source(module, label, wanted or None)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise Wrong(f"There is no file {str(path)!r}.{_near(path)}")
    if path.suffix != ".py" or "." in path.stem:
        raise Wrong(
            f"{str(path)!r} cannot be imported: its name must end in .py and have no other dot. Rename the file."
        )
    path = path.absolute()
    root, names = path.parent, [path.stem]
    while (root / "__init__.py").is_file() and root.name.isidentifier():
        names.insert(0, root.name)
        root = root.parent
    sys.path.insert(0, str(root))
    if len(names) > 1:
        return _imported(".".join(names), str(path))
    return _executed(_free_name(path), path)


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    files = sorted(file.name for file in path.parent.glob("*.py"))
    return suggestion(path.name, files) if 0 < len(files) <= 20 else ""


def _free_name(path: Path) -> str:
    """The name to import a file under: its own, unless that one means another module to every process."""
    name = path.stem
    loaded = sys.modules.get(name)
    if name in sys.stdlib_module_names or name == "pyflow" or (loaded is not None and not _is_of(loaded, path)):
        name = f"{name.strip('_')}_flow"
    while (other := sys.modules.get(name)) is not None and not _is_of(other, path):
        name += "_"
    return name


def _is_of(module: ModuleType, path: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).absolute() == path and module.__name__ != "__main__"


def _executed(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Before it runs: dataclasses and pickles look their module up by its name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (PyflowError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise UserCodeError(f"{path.name} could not be loaded.", error) from error
    return module


def _load_module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise Wrong(f"There is no file {name!r}, and it is not the name of a module.")
    sys.path.insert(0, str(Path.cwd()))
    try:
        is_there = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        is_there = False
    if not is_there:
        raise Wrong(f"There is no module {name!r}, and no file of that name.")
    return _imported(name, name)


def _imported(name: str, label: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (PyflowError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise UserCodeError(f"{label} could not be loaded.", error) from error
