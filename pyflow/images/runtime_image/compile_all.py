"""Runs while the image is built: nobody can keep what they compile on a read-only root, and each container would pay.

Images of Python come without compiled files. Importing what a task needs takes a second without them, a fifth with them.
"""

import compileall
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path
from py_compile import PycInvalidationMode

_RUNTIME = Path("/opt/pyflow")
_NOT_FOR_TASKS = re.compile(
    r"/(?:test|tests|idlelib|lib2to3|turtledemo|tkinter|ensurepip|site-packages|dist-packages)/"
)


def compile_for_pods(compiled_at: str) -> None:
    """Make the one file that pods import from, as ``compiled_archive`` does for images that have none."""
    with tempfile.TemporaryDirectory() as folder:
        sources = f"{folder}/sources.zip"
        with zipfile.ZipFile(sources, "w") as archive:
            for path in sorted(_RUNTIME.rglob("*")):
                if path.is_file():
                    archive.writestr(str(path.relative_to(_RUNTIME)), path.read_bytes())
        program = _RUNTIME / "pyflow/images/compiling.py"
        flags = ["-s", "-S", "-B", "-X", "no_debug_ranges"]
        command = [sys.executable, *flags, str(program), "here", sources, compiled_at]
        # What the base image says to Python, and to programs that use AWS, is not said to this one.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS_"))}
        done = subprocess.run(command, env={**kept, "PYTHONHASHSEED": "0"}, check=False)
    if done.returncode:
        sys.exit("pyflow could not be compiled with the Python of the base image.")
    shutil.rmtree(f"{compiled_at}.unpacked")


def compile_for_containers() -> None:
    """Compile the runtime's folder in place, and the standard library.

    What lies in the folder never changes, so that nobody needs to look at the time of a source; the Python may be mended later on.
    """
    compileall.compile_dir(_RUNTIME, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
    compileall.compile_dir(
        sysconfig.get_path("stdlib"), quiet=2, rx=_NOT_FOR_TASKS, invalidation_mode=PycInvalidationMode.TIMESTAMP
    )


def let_all_read() -> None:
    """Whoever wrote the files down may have kept them to himself, and containers run as anybody."""
    for folder, _, names in os.walk(_RUNTIME):
        os.chmod(folder, 0o755)  # noqa: S103  nothing in it is a secret
        for name in names:
            os.chmod(os.path.join(folder, name), 0o644)


if __name__ == "__main__":
    found, asked = f"{sys.version_info.major}.{sys.version_info.minor}", os.environ["PYFLOW_PYTHON"]
    if found != asked:
        sys.exit(f"The base image has Python {found}, and Python {asked} is asked for.")
    let_all_read()
    compile_for_pods(os.environ["PYFLOW_COMPILED_AT"])
    compile_for_containers()
