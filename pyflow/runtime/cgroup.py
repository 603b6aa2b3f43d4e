"""What the control group around this process says of memory: in a container, the container's own."""

from __future__ import annotations

from typing import Final

# Of version 2 and version 1 of control groups (Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst).
_LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_USES: Final = ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes")
_KILLS: Final = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")

# Version 1 spells "no limit" as the largest number of whole pages.
_NO_LIMIT: Final = 2**60


def memory_limit_bytes() -> int | None:
    """How much memory there may be; None for no limit, and where the system does not say."""
    text = _first(_LIMITS)
    if not text.strip().isdigit() or int(text) >= _NO_LIMIT:
        return None
    return int(text)


def memory_used_bytes() -> int:
    """How much there is now, with what the system keeps of files; 0 where it does not say."""
    text = _first(_USES)
    return int(text) if text.strip().isdigit() else 0


def oom_kills() -> int:
    """How many processes were killed in this group because there was no more memory."""
    for line in _first(_KILLS).splitlines():
        name, _, number = line.partition(" ")
        if name == "oom_kill" and number.isdigit():
            return int(number)
    return 0


def _first(paths: tuple[str, ...]) -> str:
    for path in paths:
        try:
            with open(path, encoding="ascii") as file:
                return file.read()
        except OSError:
            continue
    return ""
