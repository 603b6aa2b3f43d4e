"""Settings for Argo come from the table and from the variables of Argo's own command, and a token never shows."""

from __future__ import annotations

import pytest

from pyflow import config
from pyflow.config import Settings, checked, configure, load_settings
from pyflow.errors import ConfigError
from pyflow.executors.argo.settings import ArgoSettings, argo_names, argo_settings
from pyflow.version import VERSION


@pytest.fixture(autouse=True)
def _forgotten():
    """What a test configures is forgotten after it."""
    config.reset()
    yield
    config.reset()


def complaint(table=None, environment=None) -> str:
    with pytest.raises(ConfigError) as caught:
        argo_settings(table, environment or {})
    return str(caught.value)


def test_the_table_and_the_dataclass_know_the_same_names():
    """Each setting that may be written is one that is read, and the other way round."""
    assert sorted(argo_names()) == sorted(config.ARGO)


@pytest.mark.parametrize(
    ("environment", "url", "verify"),
    [
        ({"ARGO_SERVER": "argo.example.org:2746"}, "https://argo.example.org:2746", True),
        ({"ARGO_SERVER": "127.0.0.1:2746", "ARGO_SECURE": "false"}, "http://127.0.0.1:2746", True),
        ({"ARGO_SERVER": "https://argo.example.org/"}, "https://argo.example.org", True),
        ({"ARGO_SERVER": "https://example.org/argo/"}, "https://example.org/argo", True),
        ({"ARGO_SERVER": "example.org:443", "ARGO_BASE_HREF": "/argo/"}, "https://example.org:443/argo", True),
        ({"ARGO_SERVER": "a:1", "ARGO_INSECURE_SKIP_VERIFY": "true"}, "https://a:1", False),
    ],
)  # fmt: skip
def test_the_variables_of_argos_own_command_say_where_the_server_is(environment, url, verify):
    """Host and port, or a URL; the scheme, the path below it and the check of the certificate from their variables."""
    settings = argo_settings(None, environment)
    assert (settings.api, settings.url, settings.verify_ssl) == ("server", url, verify)


@pytest.mark.parametrize("token", ["abc.def", "Bearer abc.def", "bearer  abc.def\n"])
def test_a_token_is_taken_with_and_without_the_word_before_it(token):
    """As the user page shows it, and as ``kubectl create token`` prints it."""
    assert argo_settings({"host": "a:1"}, {"ARGO_TOKEN": token}).token == "abc.def"


def test_the_table_wins_over_the_variables():
    """What the user has written for pyflow comes first; the rest stays."""
    settings = argo_settings({"namespace": "mine"}, {"ARGO_SERVER": "a:1", "ARGO_NAMESPACE": "theirs"})
    assert (settings.namespace, settings.host) == ("mine", "https://a:1")


def test_without_a_server_the_way_is_kubernetes():
    """Nothing but a kubeconfig is needed then."""
    assert argo_settings(None, {}).api == "kubernetes"
    assert argo_settings({"api": "kubernetes"}, {"ARGO_SERVER": "a:1"}).api == "kubernetes"


def test_sources_are_merged_name_by_name(tmp_path, monkeypatch):
    """``configure`` adds to what the project's file says, and wins where both say something."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pyflow.argo]\nhost = "a:1"\nnamespace = "file"\nimage_pull_secrets = ["r"]\n', encoding="utf-8"
    )
    configure(argo={"namespace": "configured"})
    configure(argo={"image": "python:3.11-slim"})
    found = load_settings({}, tmp_path).argo
    assert found == {
        "host": "a:1", "namespace": "configured", "image": "python:3.11-slim", "image_pull_secrets": ["r"],
    }  # fmt: skip
    assert argo_settings(found, {}).image_pull_secrets == ("r",)


def test_an_unknown_name_is_an_error_with_a_suggestion():
    """A slip of the keyboard does not go unnoticed, and the message says where it was made."""
    with pytest.raises(ConfigError, match=r"configure\(\): argo has no setting 'hsot'. Did you mean 'host'\?"):
        configure(argo={"hsot": "x"})
    with pytest.raises(ConfigError, match="argo must be a table of settings, got str"):
        configure(argo="https://argo")


def test_a_wrong_type_is_told_without_the_value():
    """The value may be a token."""
    with pytest.raises(ConfigError, match=r"argo\.token must be of type str, got bytes") as caught:
        configure(argo={"token": b"s3cret"})
    assert "s3cret" not in str(caught.value)


def test_a_table_does_not_fit_into_a_variable():
    """The message says which variables there are instead."""
    with pytest.raises(ConfigError, match=r"PYFLOW_ARGO cannot hold a table\. Set ARGO_SERVER"):
        load_settings({"PYFLOW_ARGO": "x"}, config.Path("/"))


@pytest.mark.parametrize(
    ("table", "environment", "message"),
    [
        ({"namespace": "Team A"}, {}, "'Team A' cannot be a namespace"),
        ({"host": "ftp://x"}, {}, "'ftp://x' is not the address of an Argo Server"),
        ({"host": "https://me:pw@x"}, {}, "'https://…@x' is not the address"),
        ({"token": "two words"}, {}, "has spaces or line breaks"),
        ({"s3_credentials": "secret"}, {}, "argo.s3_secret does not say which one"),
        ({"run_as": 0}, {}, "run_as_root=True"),
        ({"run_as": "jovyan"}, {}, "argo.run_as must be a user's number"),
        ({"run_as": "1:2147483648"}, {}, "argo.run_as must be a user's number"),
        ({"s3_credentials": "magic"}, {}, "must be one of 'secret', 'workload-identity', 'node'"),
        ({"registry": "https://registry.example/team"}, {}, "with no https:// before it"),
        ({"registry": "registry.example/team:1"}, {}, "no tag behind it"),
        ({"registry": "registry.example/My-Team"}, {}, "in lower case"),
        ({"parallelism": 0}, {}, "argo.parallelism must be 1 or more"),
        ({"run_timeout": "soon"}, {}, "argo.run_timeout must be a duration"),
        ({"labels": {"a": 1}}, {}, "argo.labels must hold text only"),
        ({"api": "server"}, {}, "nothing says where the Argo Server is"),
        (None, {"ARGO_SERVER": "a:1", "ARGO_SECURE": "maybe"}, "ARGO_SECURE must be true or false, got 'maybe'"),
    ],
)
def test_a_wrong_value_is_told_with_what_would_work(table, environment, message):
    """Nothing is asked of a cluster before all settings are right."""
    assert message in complaint(table, environment)


def test_durations_are_read_as_options_are():
    """``"2h"`` and numbers of seconds alike."""
    settings = argo_settings({"run_timeout": "2h", "keep_for": 90}, {})
    assert (settings.run_timeout_s, settings.keep_for_s) == (7200.0, 90.0)


def test_a_token_is_in_no_repr():
    """Neither of the settings nor of the table that they come from."""
    table = {"host": "a:1", "token": "s3cret"}
    assert "s3cret" not in repr(argo_settings(table, {})) + repr(checked({"argo": table}, source="here"))
    assert "s3cret" not in repr(Settings(argo=table))
    assert ArgoSettings().token is None


@pytest.mark.parametrize("target", ["3.6", "latest", "4"])
def test_a_target_is_a_version_that_is_supported(target):
    """Manifests are made for 3.7 and newer."""
    assert "must be a version of Argo from 3.7 on" in complaint({"target": target})


@pytest.mark.parametrize(
    "registry",
    ["registry.example/team", "registry.example:5000/a/b-c/", "localhost:5000", "[::1]:5000/a", "my_team/eo"],
)
def test_a_registry_leads_to_the_runtime_image(registry):
    """Tasks that name no image run in it, and so does one that names it; others have to be given pyflow."""
    site = ArgoSettings(registry=registry)
    image = f"{registry.rstrip('/')}/pyflow-runtime:{VERSION}-py3.12"
    assert [site.image_for(wanted, "3.12") for wanted in (None, "team/gdal:3.9")] == [image, "team/gdal:3.9"]
    assert [site.has_runtime(wanted, "3.12") for wanted in (None, image, "team/gdal:3.9")] == [True, True, False]
    assert site.bare_image_for(None, "3.12") is None
    assert not ArgoSettings(image=image).has_runtime(None, "3.12")
    assert not ArgoSettings(registry="").has_runtime(None, "3.12")
    of_its_own = ArgoSettings(image="team/gdal:3.9", registry=registry)
    assert of_its_own.image_for(None, "3.12") == "team/gdal:3.9"
    assert [of_its_own.has_runtime(wanted, "3.12") for wanted in (None, image)] == [False, True]
