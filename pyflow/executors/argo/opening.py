"""Which of the two ways to a cluster is taken."""

from __future__ import annotations

from pyflow.executors.argo.cluster import Cluster
from pyflow.executors.argo.kubernetes import KubernetesApi
from pyflow.executors.argo.server import ArgoServer
from pyflow.executors.argo.settings import ArgoSettings


def open_cluster(settings: ArgoSettings) -> Cluster:
    """The way to the cluster that the settings name. Nothing is asked yet.

    Raises:
        ConfigError: Nothing says where a cluster is.
    """
    return ArgoServer(settings) if settings.api == "server" else KubernetesApi(settings)
