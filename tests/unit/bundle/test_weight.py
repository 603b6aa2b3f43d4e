"""What `import pyflow.bundle` costs."""

from pathlib import Path

import pyflow


def test_nothing_heavy_is_loaded_with_the_folder(run_script):
    """Zip files, processes and patterns wait until they are used."""
    heavy = ["zipfile", "subprocess", "tempfile", "shutil", "pathspec", "importlib.metadata", "pkgutil", "cloudpickle"]
    # inspect, ast, dis and linecache come with dataclasses; to us they cost nothing more. A bare pyflow stands in
    # for the real one, which loads other folders too.
    code = f"""
import dataclasses, sys, types, json, hashlib, pathlib
sys.modules["pyflow"] = bare = types.ModuleType("pyflow")
bare.__path__ = [{str(Path(pyflow.__file__).parent)!r}]
before = set(sys.modules)
import pyflow.bundle
print(json.dumps(sorted(set({heavy!r}) & (set(sys.modules) - before))))
"""
    assert run_script({"flow.py": code}) == []
