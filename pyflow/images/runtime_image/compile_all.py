"""Runs while the image is built: nobody can keep what they compile on a read-only root, and each container would pay.

Images of Python come without compiled files. Importing what a task needs takes a second without them, a fifth with them.
"""

import compileall
import os
import re
import sys
import sysconfig
from py_compile import PycInvalidationMode

_NOT_FOR_TASKS = re.compile(
    r"/(?:test|tests|idlelib|lib2to3|turtledemo|tkinter|ensurepip|site-packages|dist-packages)/"
)

found, asked = f"{sys.version_info.major}.{sys.version_info.minor}", os.environ["PYTHON"]
if found != asked:
    sys.exit(f"The base image has Python {found}, and Python {asked} is asked for.")
# What lies here never changes, so that nobody needs to look at the time of a source; the Python may be mended later on.
compileall.compile_dir("/opt/pyflow", quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
compileall.compile_dir(
    sysconfig.get_path("stdlib"), quiet=2, rx=_NOT_FOR_TASKS, invalidation_mode=PycInvalidationMode.TIMESTAMP
)
