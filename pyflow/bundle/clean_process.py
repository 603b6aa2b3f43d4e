"""The first lines of the clean process: see installed packages and the shipped code, and nothing else.

It is started as a file, before anything of pyflow can be imported, so it stands on the standard library
alone; what it then asks of pyflow is in ``probe``. The request is one JSON object on standard input.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import site
import sys
from pathlib import Path


def main() -> None:
    """Make the process clean, then let ``probe`` answer."""
    request = json.load(sys.stdin)
    sys.path[:] = request["path"]
    if request["packages"]:
        site.addsitedir(request["packages"])
        sys.path.append(request["behind"])
    # Editable installs bring finders of their own, and what they find does not exist elsewhere.
    sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in module_of(finder)]
    sys.path_importer_cache.clear()
    if importlib.util.find_spec("pyflow") is None:
        load_pyflow(Path(request["pyflow"]))
    importlib.import_module("pyflow.bundle.probe").answer(request)


def load_pyflow(folder: Path) -> None:
    """Load a pyflow that is not installed (a checkout), without what lies beside it."""
    spec = importlib.util.spec_from_file_location(
        "pyflow", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pyflow"] = module
    spec.loader.exec_module(module)


def module_of(finder: object) -> str:
    """The name of the module that defines a finder, or the finder's class."""
    return (finder if isinstance(finder, type) else type(finder)).__module__


if __name__ == "__main__":
    main()
