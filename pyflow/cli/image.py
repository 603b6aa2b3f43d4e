"""``pyflow image``: the image that containers run, built, listed and pushed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from pyflow.cli.common import json_option
from pyflow.cli.output import print_json, table
from pyflow.config import Settings, load_settings
from pyflow.errors import ConfigError
from pyflow.images import (
    build_context,
    build_runtime_image,
    default_base,
    list_runtime_images,
    open_engine,
    push,
    runtime_archive,
    runtime_tag,
)


@click.group()
def image() -> None:
    """The image that containers run: pyflow, and a Python of the same minor as this one.

    The executor 'docker' builds it by itself the first time, and pods of 'argo' run it where argo={'registry': ...} says that it
    is there. Nobody needs a Dockerfile, and no pipeline's code is in it.
    """


@image.command()
@click.option(
    "--base",
    metavar="IMAGE",
    help="Build on this image, which has a Python of the same minor; python:MINOR-slim unless said.",
)
@click.option(
    "--registry", metavar="PREFIX", help="Put a registry's prefix before the name, such as registry.example/team."
)
@click.option("--tag", metavar="NAME", help="Call it something else altogether.")
def build(base: str | None, registry: str | None, tag: str | None) -> None:
    """Build the runtime image of this pyflow and Python from what is installed here."""
    settings = _settings()
    name = tag or runtime_tag(registry=_registry(registry, settings))
    usual = _base(settings)
    chosen = base or usual
    engine = open_engine()
    try:
        build_runtime_image(engine, name, base=chosen, tell=lambda line: click.echo(line, err=True))
    finally:
        engine.close()
    click.echo(name)
    if chosen != usual:
        click.echo(f'Runs take it where  base = "{chosen}"  stands in [tool.pyflow.docker].', err=True)


@image.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--base",
    metavar="IMAGE",
    help="Build on this image, which has a Python of the same minor; python:MINOR-slim unless said.",
)
@click.option("--registry", metavar="PREFIX", help="The registry's prefix, for the name that is printed.")
def context(folder: Path, base: str | None, registry: str | None) -> None:
    """Write what the runtime image is built from into a new FOLDER, for machines without a Docker engine.

    A Dockerfile and the files that it takes, for buildah, kaniko, BuildKit or a CI system. The name that runs look for, behind the
    registry's prefix, is printed.
    """
    settings = _settings()
    name = runtime_tag(registry=_registry(registry, settings))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already, and is no empty folder. Name one that is not there yet.")
    for place, data in build_context(base=base or _base(settings)):
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    click.echo(name)


@image.command(name="push")
@click.option("--registry", metavar="PREFIX", help="The registry's prefix, such as registry.example/team.")
@click.option("--tag", metavar="NAME", help="The name that it was built under, if another.")
def push_image(registry: str | None, tag: str | None) -> None:
    """Push the runtime image to a registry, so that it is pulled elsewhere rather than built."""
    prefix = _registry(registry, _settings())
    if not tag and not prefix:
        raise ConfigError(
            'There is no registry to push to. Say --registry PREFIX, or set  registry = "registry.example/team"  in [tool.pyflow.docker] '
            "or [tool.pyflow.argo]."
        )
    name = tag or runtime_tag(registry=prefix)
    engine = open_engine()
    try:
        push(engine, name, tell=lambda line: click.echo(line, err=True))
    finally:
        engine.close()
    click.echo(name)


@image.command()
@json_option
def ls(*, as_json: bool) -> None:
    """List the runtime images that the engine has; * marks those of this pyflow and Python."""
    engine = open_engine()
    try:
        images = list_runtime_images(engine)
    finally:
        engine.close()
    wanted = runtime_archive().digest
    if as_json:
        print_json(
            [
                {
                    "tag": found.tag,
                    "id": found.id,
                    "size_bytes": found.size_bytes,
                    "created_at": int(found.created),
                    "base": found.base,
                    "is_current": found.runtime == wanted,
                }
                for found in images
            ]
        )
        return
    if not images:
        click.echo(
            "There is no runtime image yet. The first run on executor 'docker' builds it, or 'pyflow image build'.",
            err=True,
        )
        return
    rows = [
        (
            ("* " if found.runtime == wanted else "  ") + found.tag,
            found.base,
            f"{found.size_bytes / 1e6:.0f} MB",
            time.strftime("%Y-%m-%d %H:%M", time.localtime(int(found.created))),
        )
        for found in images
    ]
    click.echo("\n".join(table(("  IMAGE", "BASE", "SIZE", "BUILT"), rows)))


def _settings() -> Settings:
    return load_settings(os.environ, Path.cwd())


def _registry(given: str | None, settings: Settings) -> str:
    return given or (settings.docker or {}).get("registry") or (settings.argo or {}).get("registry") or ""


def _base(settings: Settings) -> str:
    return (settings.docker or {}).get("base") or default_base()
