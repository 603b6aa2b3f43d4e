"""Tasks with packages of their own. The module travels with them, so that it imports nothing that they do not have."""

from __future__ import annotations

import os
import subprocess
import sys

from pyflow import pipeline, task


@task(packages=["iniconfig==2.0.0"])
def old_version():
    import iniconfig

    return iniconfig.__file__, sys.path, os.environ["PYTHONPATH"]


@task(packages=["iniconfig==1.1.1"])
def older_version():
    from importlib.metadata import distributions, version

    return version("iniconfig"), sorted(
        d.metadata["Name"] for d in distributions() if "pyflow-dependencies" not in str(d._path)
    )


@task
def without():
    import pytest

    return pytest.__version__


@pipeline
def three_places():
    return old_version(), older_version(), without()


@task(packages=["iniconfig==2.0.0"])
def misses():
    import pytest

    return pytest


@task(packages=["iniconfig==2.0.0"])
def in_a_child():
    code = "import iniconfig; print(iniconfig.__file__)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pipeline
def leaky():
    return misses()


@pipeline
def with_child():
    return in_a_child()


@task(packages=["iniconfig==2.0.0"])
def parse(text):
    import iniconfig

    return iniconfig.IniConfig("x", data=text)


@task(packages=["iniconfig==2.0.0"])
def count(config):
    return len(list(config))


@pipeline
def mapped(texts):
    parsed = [parse(text) for text in texts]
    return count.map(parsed), parse.map(texts)


@task(packages=["no-such-package-of-pyflows"])
def without_effect():
    import pytest

    return pytest.__version__


@pipeline
def in_process():
    return without_effect()


@pipeline
def packaged_only():
    return old_version(), older_version()


@task(packages=["iniconfig==2.0.0"])
def small():
    import iniconfig

    print("ran", flush=True)
    return iniconfig.IniConfig("x", data="[a]\nb=c").sections


@task(packages=["numpy==2.2.6"])
def large():
    import numpy as np

    return np.__version__, int(np.arange(5).sum())


@pipeline
def two_in_a_bucket():
    return small(), large()


@pipeline
def one_in_a_bucket():
    return small()
