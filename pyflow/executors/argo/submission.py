"""A job → the manifest of its workflow."""

from __future__ import annotations

from pyflow.executors.argo.manifest import to_workflow
from pyflow.executors.argo.settings import ArgoSettings
from pyflow.executors.driver import Job
from pyflow.jsontext import Json


def make_workflow(job: Job, settings: ArgoSettings) -> dict[str, Json]:
    """The workflow of a job as plain JSON."""
    return to_workflow(job.graph, digest=job.graph_digest, size=job.graph_size, home=job.home, settings=settings)
