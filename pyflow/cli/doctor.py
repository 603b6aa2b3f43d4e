"""``pyflow doctor``: is everything there that a run needs? Each answer comes from trying."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from pyflow.api import Workplace, hello, open_workplace, probe
from pyflow.cli.common import json_option, store_option
from pyflow.cli.failures import FAILED
from pyflow.cli.output import has_colour, print_json
from pyflow.config import Settings, find_pyproject
from pyflow.errors import ConfigError, PyflowError
from pyflow.executors import REMOTE, Finding, machine_cpus, machine_memory_mib, open_executor, open_remote
from pyflow.terminal import clean, coloured, duration_text, size_text
from pyflow.version import VERSION

OLDEST: Final = (3, 10)
NEWEST: Final = (3, 13)
_LITTLE_DISK: Final = 1 << 30
_LITTLE_MEMORY_MIB: Final = 512
_PATIENCE_S: Final = 60.0
_CORRECT: Final = "Correct the setting that it names."
_NOT_TRIED: Final = "not tried, because the settings are wrong"


@click.command()
@click.option("--executor", metavar="NAME", help="Look at this one, too: argo.")
@store_option
@json_option
def doctor(executor: str | None, store: str | None, *, as_json: bool) -> None:
    """Look whether pyflow can work here, by trying. Ends with 1 when something is wrong."""
    findings: list[Finding] = []
    for finding in _looked(executor, store):
        findings.append(finding)
        if not as_json:
            _tell(finding)
    is_ok = all(finding.is_ok for finding in findings)
    if as_json:
        checks = [{"name": f.name, "ok": f.is_ok, "detail": f.detail, "fix": f.fix or None} for f in findings]
        print_json({"ok": is_ok, "checks": checks})
    if not is_ok:
        sys.exit(FAILED)


def _looked(executor: str | None, store: str | None) -> Iterator[Finding]:
    """One finding after the other, each when it is known."""
    is_remote = executor in REMOTE
    if executor is not None and not is_remote:
        open_executor(executor)
    for look in (_python, _settings(store), _key(store), _store(store)):
        yield look()
    if executor is not None and is_remote:
        yield from _of_place(executor, store)
        return
    for look in (_disk(store), _machine, _workers):
        yield look()


def _of_place(executor: str, store: str | None) -> Iterator[Finding]:
    """What a cluster says, and whether a pod of ours works there."""
    is_well = True
    try:
        for finding in open_remote(executor, open_workplace(Settings(store=store)).settings).findings():
            is_well = is_well and finding.is_ok
            yield finding
    except PyflowError as error:
        is_well = False
        yield Finding("cluster", is_ok=False, detail=str(error), fix=_CORRECT)
    yield (
        probe(executor, store)
        if is_well
        else Finding("probe", is_ok=False, detail="not tried, because of what is wrong above")
    )


def _tell(finding: Finding) -> None:
    symbol, colour = ("✓", "green") if finding.is_ok else ("✗", "red")
    click.echo(f"{coloured(symbol, colour, is_on=has_colour())} {finding.name:<9} {clean(finding.detail)}")
    if finding.fix:
        click.echo(f"  {'':<9} {clean(finding.fix)}")


def _python() -> Finding:
    minor = sys.version_info[:2]
    text = f"{sys.version.split()[0]} ({sys.executable}), pyflow {VERSION}"
    if minor < OLDEST or minor > NEWEST:
        known = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
        return Finding("python", minor > NEWEST, text, f"pyflow is tested on Python {known}. Use one of these.")
    return Finding("python", is_ok=True, detail=text)


def _settings(store: str | None) -> Callable[[], Finding]:
    def look() -> Finding:
        try:
            workplace = open_workplace(Settings(store=store))
        except PyflowError as error:
            return Finding("settings", is_ok=False, detail=str(error), fix=_CORRECT)
        file = find_pyproject(Path.cwd())
        names = sorted(name for name in os.environ if name.startswith("PYFLOW_"))
        sources = [*([str(file)] if file is not None else []), *names]
        detail = f"executor {workplace.settings.executor or 'local'}, project {workplace.home.project}, owner {workplace.home.owner}"
        return Finding("settings", is_ok=True, detail=detail + (f" (from {', '.join(sources)})" if sources else ""))

    return look


def _key(store: str | None) -> Callable[[], Finding]:
    def look() -> Finding:
        try:
            workplace = open_workplace(Settings(store=store))
            trust = workplace.content.trust
            if not trust.keys:
                return Finding("key", is_ok=True, detail="none, and the store is trusted")
        except PyflowError as error:
            return Finding("key", is_ok=False, detail=str(error))
        believed = f", and believes {len(trust.keys) - 1} more" if len(trust.keys) > 1 else ""
        trusted = "; the store is trusted, so what is not signed is believed, too" if trust.trusts_store else ""
        detail = f"{trust.key_file}, which signs as {trust.keys[0].id}{believed}{trusted}"
        return Finding("key", is_ok=True, detail=detail)

    return look


def _store(store: str | None) -> Callable[[], Finding]:
    def look() -> Finding:
        try:
            workplace = open_workplace(Settings(store=store))
            took = _write_and_read(workplace)
        except ConfigError:
            return Finding("store", is_ok=False, detail=_NOT_TRIED)
        except (PyflowError, OSError) as error:
            fix = "Give yourself the right to write there, or choose another: --store, PYFLOW_STORE or store in [tool.pyflow]."
            return Finding("store", is_ok=False, detail=str(error), fix=fix)
        return Finding(
            "store", is_ok=True, detail=f"{workplace.home.store_url}, written and read in {duration_text(took)}"
        )

    return look


def _write_and_read(workplace: Workplace) -> float:
    """Seconds that it took to put a blob of 1 MiB and to read it back."""
    content, data, began = workplace.content, os.urandom(1 << 20), time.monotonic()
    digest = content.put_blob([data])
    try:
        same = bytes(content.read_blob(digest.hex, digest.size_bytes)) == data
    finally:
        content.blobs.delete([content.keys.blob(digest.hex)])
    if not same:
        raise OSError(f"The store {content.blobs.url} gave back other bytes than it was given.")
    return time.monotonic() - began


def _disk(store: str | None) -> Callable[[], Finding]:
    def look() -> Finding:
        places = {"temporary files": tempfile.gettempdir()}
        try:
            url = open_workplace(Settings(store=store)).home.store_url
        except PyflowError:
            url = "://"
        if "://" not in url or url.startswith("file://"):
            places["store"] = url.removeprefix("file://")
        free = {what: shutil.disk_usage(_existing(Path(place))).free for what, place in places.items()}
        detail = ", ".join(f"{size_text(size)} free for {what}" for what, size in free.items())
        little = [what for what, size in free.items() if size < _LITTLE_DISK]
        fix = f"Make room for {' and '.join(little)}: results are written there." if little else ""
        return Finding("disk", not little, detail, fix)

    return look


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def _machine() -> Finding:
    cpus, memory = machine_cpus(), machine_memory_mib()
    free = _free_memory_mib()
    detail = f"{cpus:g} CPUs, {size_text(memory * 2**20)} of memory" + (
        f", {size_text(free * 2**20)} of it free" if free is not None else ""
    )
    is_ok = free is None or free >= _LITTLE_MEMORY_MIB
    return Finding("machine", is_ok, detail, "" if is_ok else "End other programs: a worker alone takes some 50 MiB.")


def _free_memory_mib() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) / 1024 if found else None


def _workers() -> Finding:
    """Run a task in a worker of its own, with a store of its own."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pyflow-doctor-") as folder:
        try:
            said = _said_by_worker(folder)
        except ConfigError:
            return Finding("workers", is_ok=False, detail=_NOT_TRIED)
        except Exception as error:  # noqa: BLE001  whatever it is, it is what is wrong
            fix = "Look at the message; 'ulimit -a' and a full /tmp are common causes."
            return Finding("workers", is_ok=False, detail=f"{type(error).__name__}: {error}", fix=fix)
    is_ok = said.startswith("hello doctor")
    return Finding("workers", is_ok, f"a task ran in a worker process in {duration_text(time.monotonic() - began)}")


def _said_by_worker(folder: str) -> Any:
    run = hello.with_options(executor="local", store=folder, progress=False).submit("doctor")
    if run.wait(_PATIENCE_S) == "running":
        run.cancel()
        raise TimeoutError(f"a task of one line did not end within {duration_text(_PATIENCE_S)}")
    return run.result()
