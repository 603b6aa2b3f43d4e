"""Every check, each in its own environment: ``nox`` runs them all, ``nox -s lint types layers tests`` the short loop."""

from pathlib import Path

import nox

PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
FAST = [folder for folder in ("tests/unit", "tests/property", "tests/laws", "tests/surface") if Path(folder).is_dir()]
TOOLS = {
    requirement.partition("~")[0].partition(">")[0]: requirement
    for requirement in nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]["dev"]
}

nox.needs_version = ">=2024.10"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False  # a Python that is not here is skipped with a word, in CI as well
nox.options.sessions = ["lint", "types", "layers", "tests", "docs"]


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    session.install(TOOLS["ruff"])
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    session.install(".", TOOLS["mypy"])
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """Imports point down only."""
    session.install(TOOLS["import-linter"])
    session.run("lint-imports", "--no-cache")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The fast folders on every Python that is here; ``-- tests/laws -k folder`` runs others."""
    session.install("-e", ".[dev]")
    session.run("pytest", *(session.posargs or FAST))


@nox.session
def docs(session: nox.Session) -> None:
    """The code blocks of README, docs and examples."""
    session.install("-e", ".[dev]")
    session.run("pytest", "tests/examples", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Pyflow beside its peers; by hand, since it takes its time and wants a quiet machine.

    The script makes an environment for each of them, and needs none itself.
    """
    session.run("python", "benchmarks/run.py", *session.posargs)
