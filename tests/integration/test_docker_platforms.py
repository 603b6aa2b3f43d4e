"""Images for another Python or another platform than the caller's: refused on a real engine, before anything runs."""

from __future__ import annotations

import pytest
from integration.docker_tasks import double

from pyflow import container, errors, pipeline
from pyflow.images import default_base, has_engine, open_engine, this_minor

pytestmark = [pytest.mark.docker, pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")]
OTHER_PYTHON, OTHER_PLATFORM = "pyflow-test-python:1", "pyflow-test-platform:1"


@pytest.fixture(scope="module", autouse=True)
def images(tmp_path_factory):
    """An image whose Python says that it is another minor, and one for a platform that no engine here runs."""
    engine = open_engine()
    runs = engine.version()["Arch"]
    other = "linux/s390x" if runs != "s390x" else "linux/amd64"
    says = r"printf '#!/bin/sh\\necho 3.8 /usr/local/bin/python3\\n' > /usr/local/bin/python3"
    recipes = {
        OTHER_PYTHON: (f'FROM {default_base()}\nRUN ["sh", "-c", "{says}"]\n', None),
        OTHER_PLATFORM: ("FROM scratch\nCOPY Dockerfile /\n", other),
    }
    for tag, (dockerfile, platform) in recipes.items():
        folder = tmp_path_factory.mktemp("image")
        (folder / "Dockerfile").write_text(dockerfile)
        for line in engine.api.build(path=str(folder), tag=tag, platform=platform, rm=True, decode=True):
            assert "error" not in line, line
    yield f"linux/{runs}", other
    for tag in recipes:
        engine.api.remove_image(tag, force=True)
    engine.close()


def refused(tmp_path, call, *args):
    """Why a pipeline of one call is refused; nothing of it is recorded then."""

    @pipeline
    def flow():
        return call(*args)

    with pytest.raises(errors.ExecutorError) as raised:
        flow.with_options(executor="docker", store=str(tmp_path / "store"), progress=False)()
    assert not list((tmp_path / "store").glob("v1/*/runs/*/*"))
    return str(raised.value)


def test_another_minor_is_found_before_the_run(tmp_path):
    """The image is asked, whatever ``python=`` says; and what says another minor is not asked."""
    for options in ({}, {"python": this_minor()}):
        why = refused(tmp_path, double.with_options(image=OTHER_PYTHON, **options), 1)
        assert f"has Python 3.8, and this is Python {this_minor()}" in why
    for options in ({}, {"image": "no-such-image-of-ours:1"}):
        why = refused(tmp_path, double.with_options(python="3.8", **options), 1)
        assert f"is to have Python 3.8, and this is Python {this_minor()}" in why


def test_an_image_that_is_here_for_another_platform_is_told(tmp_path, images):
    """Of a Python task and of a container task, with the command that gets the right one."""
    here, other = images

    @container(image=OTHER_PLATFORM, platform=here)
    def say():
        return ["echo"]

    for call, *args in ((double.with_options(image=OTHER_PLATFORM, platform=here), 1), (say,)):
        why = refused(tmp_path, call, *args)
        assert f"is here for {other}, and platform= asks for {here}" in why
        assert f"docker pull --platform {here} {OTHER_PLATFORM}" in why


def test_an_image_that_the_engine_cannot_start_is_told(tmp_path, images):
    """It is no lack of Python that the engine has another processor."""
    here, other = images
    why = refused(tmp_path, double.with_options(image=OTHER_PLATFORM), 1)
    assert f"is for {other}, and the engine cannot start it: it runs {here}" in why


def test_the_runtime_image_is_for_the_engines_platform_only(tmp_path, images):
    """Another platform takes an image of the user's own."""
    here, other = images
    why = refused(tmp_path, double.with_options(platform=other), 1)
    assert f"The runtime image is for {here}, as the engine is. Leave platform= out, or name an image= for" in why


def test_packages_for_another_platform_than_the_images_are_told(tmp_path, images):
    """They are chosen for the caller's platform unless ``platform=`` says which one the image is for."""
    here, other = images
    why = refused(tmp_path, double.with_options(image=OTHER_PLATFORM, packages=[]), 1)
    assert f"'double' were chosen for {here}. Image '{OTHER_PLATFORM}' is for {other}: say platform='{other}'" in why


def test_which_c_library_an_image_has_is_no_matter_of_dockers(tmp_path, images):
    """``/musl`` chooses packages, and the engine is asked for the platform without it."""
    here, _ = images

    @pipeline
    def flow():
        return double.with_options(image=default_base(), platform=f"{here}/musl")(4)

    assert flow.with_options(executor="docker", store=str(tmp_path / "store"), progress=False)() == 8
