"""``pyflow env``: packages of tasks, chosen ahead and saved, shown as a run had them, or removed from this machine."""

from __future__ import annotations

import dataclasses
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from pyflow.api import Run
from pyflow.cli.common import age, json_option, run_of, store_option, workplace_of
from pyflow.cli.failures import Wrong
from pyflow.cli.output import print_json, table
from pyflow.environments import (
    Lock,
    OnHost,
    Target,
    environments_folder,
    locked,
    on_host,
    parse_lock,
    prune,
    prune_beside,
    read_request,
    this_target,
)
from pyflow.graph import Options
from pyflow.jsontext import Json
from pyflow.packed import PackedCall
from pyflow.store import ContentStore
from pyflow.terminal import clean, counted, size_text


@click.group()
def env() -> None:
    """Choose packages for tasks ahead and save them, show those of a run, or make room."""


@env.command()
@click.argument("packages", metavar="FILE|REQUIREMENT...", nargs=-1, required=True)
@click.option("--output", "-o", metavar="FILE", help="Write the lock there; otherwise it is printed.")
@click.option(
    "--python", metavar="MINOR", help="For this minor of Python, such as 3.12; otherwise the one that runs now."
)
@click.option("--platform", metavar="OS/ARCH", help="For this platform, such as linux/arm64; otherwise this machine's.")
@click.option("--upgrade", is_flag=True, help="Choose anew, also if the same was asked for before.")
def lock(
    packages: tuple[str, ...], output: str | None, python: str | None, platform: str | None, *, upgrade: bool
) -> None:
    """Choose versions that fit together, with the hashes of their files.

    FILE is a requirements.txt, a project's pyproject.toml with its uv.lock, or a script with inline metadata.
    A task uses what was saved by packages="FILE".
    """
    is_file = len(packages) == 1 and (
        Path(packages[0]).exists() or packages[0].endswith((".txt", ".toml", ".py", ".lock"))
    )
    request = read_request(packages[0] if is_file else packages, [Path.cwd()], "command 'pyflow env lock'")
    # Checked and spelled as the options of a task are.
    options = Options.of(
        {key: value for key, value in (("python", python), ("platform", platform)) if value is not None}
    )
    here = this_target()
    target = Target(options.python or here.python, options.platform or here.platform)
    found = locked(request, target, is_anew=upgrade, tell=lambda line: click.echo(line, err=True))
    if output is None:
        click.echo(found.text, nl=False)
        return
    Path(output).write_text(found.text, encoding="utf-8")
    click.echo(f"{output}: {counted(len(found.versions()), 'package')} for {target}.", err=True)


@env.command()
@click.argument("run_id", metavar="RUN")
@click.argument("node", metavar="[NODE]", required=False)
@click.option("--lock", "is_lock", is_flag=True, help="Print the lock itself, to save and use again.")
@store_option
@json_option
def show(run_id: str, node: str | None, store: str | None, *, is_lock: bool, as_json: bool) -> None:
    """Show which packages the tasks of a run had.

    NODE is a task's name in the run; without it all tasks with packages of their own are shown.
    """
    run = run_of(run_id, store)
    found = _environments(run, node)
    content = workplace_of(store).content
    locks = [_lock_of(content, environment) for environment, _ in found]
    if as_json:
        print_json([_to_wire(*one, told) for one, told in zip(found, locks, strict=True)])
    elif not found:
        click.echo("No task of the run asked for packages: they had those of the place where they ran.", err=True)
    elif is_lock:
        if len(found) > 1:
            raise Wrong(
                f"The tasks of the run have {len(found)} different sets of packages. Name a task: {', '.join(found[0][1])}, …"
            )
        click.echo(locks[0].text, nl=False)
    else:
        click.echo("\n\n".join(_told(*one, told) for one, told in zip(found, locks, strict=True)))


@env.command(name="prune")
@click.option(
    "--unused-for",
    callback=age,
    default="30d",
    show_default=True,
    metavar="AGE",
    help="Leave what was used since: 30d, 12h, 4w; 0h leaves nothing.",
)
@click.option("--yes", "is_meant", is_flag=True, help="Remove it. Without this, it is only said what would be removed.")
@json_option
def prune_here(unused_for: timedelta, *, is_meant: bool, as_json: bool) -> None:
    """Say which unpacked packages on this machine were not used for long, and with --yes remove them.

    What a running task uses always stays. What was removed is fetched from the store again when a task needs it.
    So go pyflow's own runtimes and notes in the cache, after 30 days at least.
    """
    old = prune(unused_for.total_seconds(), time.time(), is_meant=is_meant)
    beside, beside_bytes = prune_beside(unused_for.total_seconds(), time.time(), is_meant=is_meant)
    if as_json:
        wire = [{**dataclasses.asdict(one), "path": str(one.path)} for one in old]
        print_json({"removed": is_meant, "environments": wire, "others": beside, "others_bytes": beside_bytes})
        return
    for one in old:
        click.echo(clean(_told_of(one, is_meant=is_meant)))
    gone = [one for one in old if one.state == "removed"]
    size = size_text(sum(one.size_bytes for one in gone))
    stay = len(on_host()) - (0 if is_meant else sum(one.is_whole for one in gone))
    word = "Removed" if is_meant else "Would remove"
    click.echo(f"{word}: {counted(len(gone), 'environment')} ({size}) in {environments_folder()}. {stay} stay.")
    if beside:
        click.echo(
            f"{word}: {counted(beside, 'other')} ({size_text(beside_bytes)}), which pyflow makes again by itself."
        )
    if (gone or beside) and not is_meant:
        click.echo("Nothing was removed; --yes does it.", err=True)


def _told_of(one: OnHost, *, is_meant: bool) -> str:
    used = time.strftime("%Y-%m-%d", time.localtime(one.used_at))
    what = ", ".join(one.packages[:4]) + (f" and {len(one.packages) - 4} more" if len(one.packages) > 4 else "")
    about = f"{one.digest[:12]}, {size_text(one.size_bytes)}, last used {used}" + (f": {what}" if what else "")
    if one.state == "removed":
        return f"{'removed' if is_meant else 'would remove'} {about}"
    why = (
        "a process uses it"
        if one.state == "in use"
        else "the file system has no locks, so nobody knows whether it is in use"
    )
    return f"kept {about} ({why})"


def _environments(run: Run, node: str | None) -> list[tuple[Json, list[str]]]:
    """The different environments of a run, each with the tasks that have it."""
    nodes = [n for n in run.graph.walk_all() if isinstance(n, PackedCall)]
    if node is not None and node not in {n.name for n in nodes}:
        raise Wrong(f"Run {run.id} has no task {node!r}. There are: {', '.join(n.name for n in nodes)}.")
    names_by_digest: dict[str, tuple[Json, list[str]]] = {}
    for one in nodes:
        environment = run.graph.options[one.options].environment
        if environment is not None and node in {None, one.name}:
            names_by_digest.setdefault(environment["digest"], (environment, []))[1].append(one.name)
    return list(names_by_digest.values())


def _lock_of(content: ContentStore, environment: Json) -> Lock:
    where = environment["lock"]
    return parse_lock(bytes(content.read_blob(where["digest"], where["size"])).decode(), what="of the run")


def _to_wire(environment: Json, names: list[str], lock: Lock) -> dict[str, Any]:
    return {"tasks": names, **environment, "packages": dict(lock.versions())}


def _told(environment: Json, names: list[str], lock: Lock) -> str:
    head = (
        f"{', '.join(names)}: {counted(len(lock.versions()), 'package')} for {lock.target}, "
        f"{size_text(environment['size'])} packed, {size_text(environment['unpacked'])} unpacked, {environment['digest'][:12]}"
    )
    return "\n".join(clean(line) for line in (head, *table(("PACKAGE", "VERSION"), lock.versions())))
