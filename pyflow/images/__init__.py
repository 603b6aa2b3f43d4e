"""The runtime that travels to where tasks run, and the image that holds it."""

from pyflow.images.travelling import RuntimeArchive, install_runtime, runtime_archive

__all__ = ["RuntimeArchive", "install_runtime", "runtime_archive"]
