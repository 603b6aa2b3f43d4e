"""Runs on a cluster with Argo Workflows.

``settings`` says where the cluster is and how runs look on it; the manifest is made from a packed graph; a client, by the
Argo Server or by the Kubernetes API, hands it over; a watcher follows what pods write in the store and what the cluster
says of them.
"""

from pyflow.executors.argo.cluster import Cluster, Right
from pyflow.executors.argo.estimate import ESTIMATE
from pyflow.executors.argo.executor import ArgoExecutor
from pyflow.executors.argo.manifest import to_workflow
from pyflow.executors.argo.opening import open_cluster
from pyflow.executors.argo.place import Travelling
from pyflow.executors.argo.settings import ArgoSettings, argo_settings
from pyflow.executors.argo.setup import Credentials, setup_objects
from pyflow.executors.argo.submission import make_workflow

__all__ = [
    "ESTIMATE",
    "ArgoExecutor",
    "ArgoSettings",
    "Cluster",
    "Credentials",
    "Right",
    "Travelling",
    "argo_settings",
    "make_workflow",
    "open_cluster",
    "to_workflow",
    "setup_objects",
]
