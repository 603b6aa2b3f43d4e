"""What `import pyflow.bundle` costs."""


def test_nothing_heavy_is_loaded_with_the_folder(run_script):
    """Zip files, processes and patterns wait until they are used."""
    heavy = [
        "zipfile",
        "subprocess",
        "tempfile",
        "shutil",
        "pathspec",
        "importlib.metadata",
        "importlib.util",
        "pkgutil",
        "cloudpickle",
        "asyncio",
    ]
    # inspect, ast and dis come with dataclasses; to us they cost nothing more.
    code = f"import dataclasses, sys, json, hashlib, pathlib\nbefore = set(sys.modules)\nimport pyflow.bundle\nprint(json.dumps(sorted(set({heavy!r}) & (set(sys.modules) - before))))"
    assert run_script({"flow.py": code}) == []
