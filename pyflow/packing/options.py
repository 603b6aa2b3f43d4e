"""Options as the packed graph has them."""

from __future__ import annotations

from typing import Any, Final

from pyflow.graph import Options, Secret, from_json_text


def plain_options(options: Options) -> dict[str, Any]:
    """The options that need nothing but another spelling to be JSON."""
    plain = {name: getattr(options, name) for name in _AS_THEY_ARE}
    return {
        **plain,
        "env": {name: text for name, text in options.env if isinstance(text, str)},
        "secret_env": {name: [value.name, value.key] for name, value in options.env if isinstance(value, Secret)},
        "labels": dict(options.labels),
        "volumes": [[folder, v.kind, v.name, v.read_only] for folder, v in options.volumes],
        "node_selector": dict(options.node_selector),
        "tolerations": [from_json_text(text) for text in options.tolerations],
        "pod_patch": from_json_text(options.pod_patch),
        "given": sorted(options.given),
    }


_AS_THEY_ARE: Final = (
    "cpus",
    "memory_mib",
    "gpus",
    "retries",
    "backoff_s",
    "timeout_s",
    "outputs",
    "memory_on_oom_mib",
    "disk_mib",
    "image",
    "python",
    "platform",
    "network",
    "service_account",
    "run_as_root",
    "writable_root",
)
