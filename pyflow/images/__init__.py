"""The runtime that travels to where tasks run, the image that holds it, and images of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyflow.late import late_names

if TYPE_CHECKING:
    from pyflow.images.compiled import COMPILED_AT, compiled_archive, compiled_in_image, install_runtime
    from pyflow.images.engine import has_engine, open_engine, version_of
    from pyflow.images.fitting import PROBE_LABEL, ImageFacts, docker_platform, image_facts, is_same_platform, python_in
    from pyflow.images.image import (
        RUNTIME_LABEL,
        BuiltImage,
        build_context,
        build_runtime_image,
        default_base,
        ensure_runtime_image,
        list_runtime_images,
        pull,
        push,
        runtime_tag,
        this_minor,
    )
    from pyflow.images.travelling import DEPENDENCIES, RuntimeArchive, runtime_archive
else:
    __getattr__ = late_names(
        globals(),
        {
            "pyflow.images.compiled": "COMPILED_AT compiled_archive compiled_in_image install_runtime",
            "pyflow.images.engine": "has_engine open_engine version_of",
            "pyflow.images.fitting": "PROBE_LABEL ImageFacts docker_platform image_facts is_same_platform python_in",
            "pyflow.images.image": "RUNTIME_LABEL BuiltImage build_context build_runtime_image default_base ensure_runtime_image list_runtime_images pull push runtime_tag this_minor",
            "pyflow.images.travelling": "DEPENDENCIES RuntimeArchive runtime_archive",
        },
    )

__all__ = [
    "COMPILED_AT",
    "DEPENDENCIES",
    "PROBE_LABEL",
    "RUNTIME_LABEL",
    "BuiltImage",
    "ImageFacts",
    "RuntimeArchive",
    "build_context",
    "build_runtime_image",
    "compiled_archive",
    "compiled_in_image",
    "default_base",
    "docker_platform",
    "ensure_runtime_image",
    "has_engine",
    "image_facts",
    "install_runtime",
    "is_same_platform",
    "list_runtime_images",
    "open_engine",
    "pull",
    "push",
    "python_in",
    "runtime_archive",
    "runtime_tag",
    "this_minor",
    "version_of",
]
