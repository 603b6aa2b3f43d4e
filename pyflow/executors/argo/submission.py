"""A job → the manifest of its workflow, and what its pods need in the store."""

from __future__ import annotations

from dataclasses import replace

from pyflow.environments import runtime_folder
from pyflow.executors.argo.manifest import to_workflow
from pyflow.executors.argo.place import Travelling
from pyflow.executors.argo.settings import ArgoSettings
from pyflow.executors.driver import Job
from pyflow.images import compiled_archive, compiled_in_image
from pyflow.jsontext import Json
from pyflow.store import ContentStore


def make_workflow(job: Job, settings: ArgoSettings) -> dict[str, Json]:
    """The workflow of a job as plain JSON; pyflow's runtime is in the store when this returns."""
    if job.content.trust.trusts_store:
        settings = replace(settings, trust_bucket=True)
    return to_workflow(
        job.graph,
        digest=job.graph_digest,
        size=job.graph_size,
        home=job.home,
        settings=settings,
        runtime=_travelling(job.content, settings),
    )


def _travelling(content: ContentStore, settings: ArgoSettings) -> Travelling:
    """Pyflow's runtime in the store: a cluster needs no image of ours, and all pods run the version that made the run."""
    archive = compiled_archive(runtime_folder())
    key = content.keys.runtime(archive.digest)
    found = content.blobs.info(key)
    if found is None or found.size_bytes != archive.size_bytes:
        content.blobs.put(key, [archive.read()])
    # Without a registry no pod looks there, and the name is a digest of hundreds of files.
    return Travelling(key=key, sha256=archive.digest, in_image=compiled_in_image() if settings.registry else "")
