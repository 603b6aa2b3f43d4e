"""The runtime that travels to where tasks run, and the image that holds it."""

from pyflow.images.travelling import DEPENDENCIES, RuntimeArchive, install_runtime, runtime_archive

__all__ = ["DEPENDENCIES", "RuntimeArchive", "install_runtime", "runtime_archive"]
