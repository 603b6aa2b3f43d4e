"""Pipelines → manifests, and runs of them on the small stand-in for Argo."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from small_argo import SmallArgo

from pyflow.api import Pipeline
from pyflow.bundle import discover
from pyflow.contract import Home
from pyflow.executors.argo import ArgoSettings
from pyflow.executors.argo.manifest import to_workflow
from pyflow.executors.argo.place import Travelling
from pyflow.graph import CallNode, Graph
from pyflow.packing import Packed, pack
from pyflow.runs import Event, RunSummary, read_events
from pyflow.runtime import Place, Program, Resolver, open_home

S3 = Home(store_url="s3://bucket/team", project="p", owner="o")
RUNTIME = Travelling(key="v1/runtimes/abcd", sha256="ab" * 32, in_image="/pyflow-runtime-abcd")
IN_IMAGE = ArgoSettings(registry="registry.example", trust_bucket=True)
"""Nothing is fetched from a store, which may be a folder then."""
SETTINGS = ArgoSettings(target="4.0.7", s3_secret="s3", key_secret="key", service_account="workflow")


def packed_in(pipeline: Pipeline[Any, Any], arguments: tuple[Any, ...], home: Home) -> Packed:
    """A pipeline's graph, packed into a store."""
    graph = pipeline.trace(*arguments)
    return pack(graph, open_home(home), bundle=discover(_functions(graph)))


def _functions(graph: Graph) -> list[Any]:
    return [n.function.fn for n in graph.walk() if isinstance(n, CallNode)]


def manifest_of(pipeline: Pipeline[Any, Any], *arguments: Any, **more: Any) -> dict[str, Any]:
    """The manifest of a pipeline whose store is a bucket; it is packed in memory."""
    packed = packed_in(pipeline, arguments, Home(store_url="memory://manifests", project="p", owner="o"))
    given = {"settings": SETTINGS, "runtime": RUNTIME, **more}
    return to_workflow(packed.graph, digest=packed.digest, size=packed.size_bytes, home=S3, **given)


def templates_of(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The templates by name."""
    return {template["name"]: template for template in manifest["spec"]["templates"]}


def size_of(manifest: dict[str, Any]) -> int:
    """Bytes of the manifest as it is sent."""
    return len(json.dumps(manifest, separators=(",", ":")))


@dataclass
class Ran:
    """A run on the stand-in."""

    phase: str
    summary: RunSummary
    pods: list[tuple[str, list[str], int]]
    events: list[Event]
    value: Any
    printed: list[str]


def ran(
    folder: Path,
    pipeline: Pipeline[Any, Any],
    *arguments: Any,
    most: int = 500,
    allow_secrets: str = "",
    environment: dict[str, str] | None = None,
    passes_over: Collection[str] = (),
    loses: Mapping[str, str] = MappingProxyType({}),
) -> Ran:
    """Run a pipeline on the stand-in, with a folder as its store."""
    home = Home(store_url=str(folder), project="p", owner="o", allow_secrets=allow_secrets)
    packed = packed_in(pipeline, arguments, home)
    manifest = to_workflow(
        packed.graph,
        digest=packed.digest,
        size=packed.size_bytes,
        home=home,
        settings=IN_IMAGE,
        runtime=RUNTIME,
        most=most,
    )
    argo = SmallArgo(manifest, environment, passes_over=passes_over, loses=loses)
    phase = argo.run()
    content = open_home(home)
    summary = RunSummary.read(content, argo.uid)
    assert summary is not None
    value = None
    if phase == "Succeeded":
        resolver = Resolver(Program(packed.graph, packed.digest), content, argo.uid, folder / "files")
        value = resolver.value(packed.graph.region.output, Place(None, (), ()), ())  # type: ignore[arg-type]
    return Ran(phase, summary, argo.pods, list(read_events(content, argo.uid)), value, argo.printed)
