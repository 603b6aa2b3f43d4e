"""Packages of a task's own, with the real uv and the package index, through whole runs on ``local``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from indexes import need_index
from integration.packaged import in_process, leaky, mapped, packaged_only, three_places, with_child

from pyflow.environments import Target, build, locked, prune, read_request, this_target
from pyflow.environments.uv import find_uv
from pyflow.errors import DefinitionError, ExecutorError
from pyflow.images import has_engine
from pyflow.store import ContentStore, Keys, open_blobs

pytestmark = [pytest.mark.slow]

OTHER = Target("3.12", "linux/arm64")


@pytest.fixture(scope="session", autouse=True)
def index() -> None:
    """Some package index answers, or what follows cannot be tried."""
    need_index()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of each test's own; uv keeps its one, so that nothing is downloaded twice."""
    home = (
        os.environ.get("UV_CACHE_DIR")
        or subprocess.run([find_uv(), "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    )
    monkeypatch.setenv("UV_CACHE_DIR", home)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def content(tmp_path):
    return ContentStore(open_blobs(str(tmp_path / "store")), Keys("project", "owner"))


def make(content, packages, folder, target=None, **how):
    return build(
        read_request(packages, [folder], "option 'packages' of task 'fit'"), target or this_target(), content, **how
    )


def run(pipe, *args, **options):
    return pipe.with_options(executor="local", progress=False, **options)(*args)


def test_each_task_sees_its_own_packages_and_nothing_else(cache):
    """Two versions of a package and the caller's own environment, side by side in one run."""
    (file, path, for_children), (version, visible), here = run(three_places)
    assert file.startswith(str(cache))
    assert not [entry for entry in path if entry.endswith("site-packages")]
    assert for_children.startswith(str(cache))
    assert (version, visible, here) == ("1.1.1", ["iniconfig"], pytest.__version__)


@pytest.mark.docker
@pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")
def test_a_container_has_the_same_packages_as_a_local_process(tmp_path):
    """The archive that served on this machine serves in containers: same digest, same versions, and it is not unpacked there again."""
    store = str(tmp_path / "s")
    digests, seen = [], []
    for executor in ("local", "docker"):
        done = packaged_only.with_options(executor=executor, progress=False, store=store).submit()
        (file, _, _), (version, _) = done.result()
        digests.append([options.environment["digest"] for options in done.graph.options if options.environment])
        seen.append((Path(file).parts[-3:], version))
    assert digests[0] == digests[1]
    assert len(digests[0]) == 2
    assert seen == [(("tree", "iniconfig", "__init__.py"), "1.1.1")] * 2


def test_what_is_installed_here_does_not_leak_in():
    """An import that only works here fails as it would in a container."""
    with pytest.raises(ModuleNotFoundError, match="pytest"):
        run(leaky)


def test_a_process_that_a_task_starts_sees_its_packages(cache):
    """By ``PYTHONPATH``, which such a process inherits."""
    assert run(with_child).startswith(str(cache))


def test_values_of_its_types_go_from_task_to_task():
    """Objects whose classes come from the packages, in lists and maps, helpers between them included."""
    counts, configs = run(mapped, ["[a]\nx=1\n[b]\ny=2\n", "[c]\nz=3\n"])
    assert counts == [2, 1]
    assert [c.sections["c"] for c in configs[1:]] == [{"z": "3"}]


def test_the_outcome_says_in_which_packages_it_came_to_be(tmp_path):
    """Each commit holds the minor of Python and the digest of the packages; the graph holds where their lock lies."""
    done = leaky.with_options(executor="local", progress=False, store=str(tmp_path / "s")).submit()
    done.wait(120)
    [failed] = done.nodes["misses"].slots["0"].attempts
    assert failed.status == "failed"
    run_ = with_child.with_options(executor="local", progress=False, store=str(tmp_path / "s")).submit()
    run_.wait(120)
    blobs = open_blobs(str(tmp_path / "s"))
    keys = Keys(*_home_of(tmp_path / "s"))
    [(_, record)] = list(ContentStore(blobs, keys).commits(run_.id, run_.record.graph_digest).all())
    assert json.loads(record)["environment"].split()[0] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert len(json.loads(record)["environment"].split()[1]) == 64


def _home_of(store: Path) -> tuple[str, str]:
    [runs] = store.glob("v1/*/runs/*")
    return runs.parts[-3], runs.parts[-1]


def test_a_choice_that_was_made_anew_is_what_is_installed(content, tmp_path):
    """After ``pyflow env lock --upgrade`` what was built of the choice before is not taken for the new one's."""
    make(content, ["six"], tmp_path)
    locked(read_request(["six"], [tmp_path], "option 'packages' of task 'fit'"), this_target(), is_anew=True)
    assert make(content, ["six"], tmp_path).is_new


def test_an_unchanged_request_costs_no_uv_and_no_upload(content, tmp_path, monkeypatch):
    """The second time neither uv is started nor a blob written; another store gets the archive without a new choice."""
    first = make(content, ["iniconfig==2.0.0"], tmp_path)
    assert first.is_new
    before = {info.key: info.modified_at for info in content.blobs.list("v1")}
    monkeypatch.setattr("pyflow.environments.uv.find_uv", lambda: pytest.fail("uv was asked for"))
    second = make(content, ["iniconfig==2.0.0"], tmp_path)
    assert not second.is_new
    assert second.wire == first.wire
    assert second.lock == first.lock
    assert {info.key: info.modified_at for info in content.blobs.list("v1")} == before


def test_the_same_lock_gives_the_same_archive(content, tmp_path, monkeypatch):
    """Made twice, on another cache, it has the same digest: nothing of the moment or the machine is in it."""
    first = make(content, ["f2py-free==0; python_version<'3'", "pygments==2.18.0"], tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere" / "cache"))
    second = make(content, ["pygments==2.18.0"], tmp_path)
    assert second.is_new
    assert second.wire["digest"] == first.wire["digest"]
    tree = _unpacked(content, second, tmp_path / "look")
    assert (tree / "bin/pygmentize").read_bytes().startswith(b"#!/usr/bin/env python3\n")
    assert not list(tree.glob("*.dist-info/INSTALLER"))
    assert not list(tree.glob("*.dist-info/direct_url.json"))


def _unpacked(content, environment, folder):
    from pyflow.environments import unpacked

    folder.mkdir()
    return unpacked(environment.wire, content, folder)


def test_packages_are_chosen_for_the_target_and_not_for_this_machine(content, tmp_path):
    """For another processor and Python the files of that one are taken."""
    other = make(content, ["markupsafe==3.0.2"], tmp_path, OTHER)
    here = make(content, ["markupsafe==3.0.2"], tmp_path)
    assert (other.wire["python"], other.wire["platform"]) == ("3.12", "linux/arm64")
    assert other.wire["digest"] != here.wire["digest"]


def test_a_saved_lock_is_used_as_it_is(content, tmp_path):
    """No choice is made any more: the lock's versions hold, also where newer ones would do."""
    lock = make(content, ["iniconfig<2"], tmp_path).lock
    (tmp_path / "team.lock").write_text(lock.text)
    again = make(content, "team.lock", tmp_path)
    assert again.lock.versions() == lock.versions() == [("iniconfig", "1.1.1")]
    with pytest.raises(DefinitionError, match=r"is for Python 3.* and the task runs with Python 3.12 on linux/arm64"):
        make(content, "team.lock", tmp_path, OTHER)


def test_each_kind_of_file_leads_to_packages(content, tmp_path):
    """A requirements file with another in it, a script's own block, a project's lock."""
    (tmp_path / "r.txt").write_text("-r more.txt\n")
    (tmp_path / "more.txt").write_text("iniconfig==2.0.0\n")
    (tmp_path / "tool.py").write_text('# /// script\n# dependencies = ["iniconfig==1.1.1"]\n# ///\n')
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["iniconfig==2.0.0"]\n'
        '[dependency-groups]\ndev = ["six"]\n'
    )
    subprocess.run([find_uv(), "lock", "--quiet", "--python", sys.executable], cwd=project, check=True)
    found = [make(content, name, tmp_path).lock.versions() for name in ("r.txt", "tool.py", "project/pyproject.toml")]
    assert found == [[("iniconfig", "2.0.0")], [("iniconfig", "1.1.1")], [("iniconfig", "2.0.0")]]
    (project / "pyproject.toml").write_text((project / "pyproject.toml").read_text().replace("2.0.0", "1.1.1"))
    with pytest.raises(DefinitionError, match=r"lockfile.*needs to be updated"):
        make(content, "project/pyproject.toml", tmp_path)


@pytest.mark.parametrize(
    ("packages", "message"),
    [
        (["pandas==2.2.3", "numpy<1.22"], r"cannot be met for Python.*uv says: Because.*pandas==2\.2\.3"),
        (["docopt==0.6.2"], r"offered as source code only.*uv says: Because docopt==0\.6\.2 has no usable wheels"),
        (["no-such-package-of-pyflows"], "no-such-package-of-pyflows was not found"),
        (["iniconfig === = 1"], "cannot be met"),
        (["tensorflow-macos==2.16.2"], "is not built for Python"),
    ],
)
def test_what_cannot_be_had_is_told_with_uvs_reason(content, tmp_path, packages, message):
    """The author learns who disagrees, and which task asks for it."""
    with pytest.raises(DefinitionError, match=message) as raised:
        make(content, packages, tmp_path, Target("3.12", "linux/amd64"))
    assert "option 'packages' of task 'fit'" in str(raised.value)


def test_an_index_that_does_not_answer_is_told_without_its_password(content, tmp_path, monkeypatch):
    """Nobody listens there; what stands in front of the host is left out of the message."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://me:s3cret@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with pytest.raises(ExecutorError, match="no package index answered") as raised:
        make(content, ["iniconfig"], tmp_path)
    assert "s3cret" not in str(raised.value)


def test_an_index_that_wants_a_password_is_told_as_that(content, tmp_path, monkeypatch, private_index):
    """Without the password the index refuses, and the message says what uv reads it from."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://me:wr0ng@127.0.0.1:{private_index}/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with pytest.raises(ExecutorError, match=r"refused.*UV_INDEX_<NAME>_PASSWORD") as raised:
        make(content, ["hidden-gem"], tmp_path)
    assert "wr0ng" not in str(raised.value)


def test_a_private_index_leaves_no_trace(content, tmp_path, monkeypatch, private_index):
    """An index that wants a password gives a package; neither lock, archive, store nor cache knows the password or the address."""
    port = private_index
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://me:s3cret@127.0.0.1:{port}/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    made = make(content, ["hidden-gem"], tmp_path)
    assert made.lock.versions() == [("hidden-gem", "1.0")]
    tree = _unpacked(content, made, tmp_path / "look")
    assert (tree / "hidden_gem.py").read_text() == "VALUE = 7\n"
    kept = [*(tmp_path / "store").rglob("*"), *(tmp_path / "cache").rglob("*"), *tree.rglob("*")]
    for path in kept:
        if path.is_file():
            data = path.read_bytes()
            assert b"s3cret" not in data, path
            assert f"127.0.0.1:{port}".encode() not in data, path


@pytest.fixture
def private_index(tmp_path):
    """A package index on this machine that asks for a password and has one package."""
    import base64
    import hashlib
    import http.server
    import threading
    import zipfile

    wheel = tmp_path / "hidden_gem-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("hidden_gem.py", "VALUE = 7\n")
        file.writestr("hidden_gem-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: hidden-gem\nVersion: 1.0\n")
        file.writestr(
            "hidden_gem-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr("hidden_gem-1.0.dist-info/RECORD", "")
    data = wheel.read_bytes()
    page = f'<a href="/files/{wheel.name}#sha256={hashlib.sha256(data).hexdigest()}">{wheel.name}</a>'.encode()

    class Index(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = "Basic " + base64.b64encode(b"me:s3cret").decode()
            if self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
                self.end_headers()
                return
            found = {"/simple/hidden-gem/": page, f"/files/{wheel.name}": data}.get(self.path)
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html" if found is page else "application/octet-stream")
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(found or b"")

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_auto_takes_what_the_code_imports_at_the_versions_here(tmp_path):
    """Imports of the function and of a local module it uses; the module itself travels as code."""
    (tmp_path / "helper.py").write_text(
        "import iniconfig\n\ndef version():\n    from importlib.metadata import version\n    return version('iniconfig')\n"
    )
    (tmp_path / "flow.py").write_text(
        textwrap.dedent(
            """
            from pyflow import pipeline, task
            import helper

            @task(packages="auto")
            def fit():
                import pluggy
                from importlib.metadata import version
                return helper.version(), version("pluggy")

            @pipeline
            def main():
                return fit()

            if __name__ == "__main__":
                print(*main.with_options(executor="local")())
            """
        )
    )
    done = subprocess.run([sys.executable, "flow.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    from importlib.metadata import version

    assert done.stdout.split() == [version("iniconfig"), version("pluggy")], done.stderr
    assert "for the option 'packages' of task 'fit'." in done.stderr


def test_in_process_says_that_it_takes_what_is_here():
    """Nothing is chosen or installed there, and the author is told so."""
    with pytest.warns(
        UserWarning, match="option 'packages' of 'without_effect': tasks see the packages of this process"
    ):
        assert in_process.with_options(executor="inprocess")() == pytest.__version__


def test_the_packages_of_a_run_can_be_shown_saved_and_used_again(tmp_path):
    """``env lock`` chooses and saves, a task uses what was saved, ``env show`` tells what it was, and for which tasks."""

    def pyflow(*words):
        command = [sys.executable, "-m", "pyflow.cli", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    made = pyflow("env", "lock", "iniconfig<2", "-o", "team.lock")
    assert made.stderr.endswith(f"team.lock: 1 package for {this_target()}.\n"), made.stderr
    (tmp_path / "flow.py").write_text(
        textwrap.dedent(
            """
            from pyflow import pipeline, task

            @task(packages="team.lock")
            def old():
                from importlib.metadata import version
                return version("iniconfig")

            @task
            def other():
                return 1

            @pipeline
            def main():
                return old(), other()
            """
        )
    )
    ran = pyflow("run", "flow.py", "--no-progress")
    assert "1.1.1" in ran.stdout, ran.stderr
    shown = pyflow("env", "show", "latest")
    assert shown.stdout.startswith(f"old: 1 package for {this_target()}, "), shown.stderr
    assert shown.stdout.splitlines()[1:] == ["PACKAGE    VERSION", "iniconfig  1.1.1"]
    assert pyflow("env", "show", "latest", "old", "--lock").stdout == (tmp_path / "team.lock").read_text()
    [told] = json.loads(pyflow("env", "show", "latest", "--json").stdout)
    assert (told["tasks"], told["packages"]) == (["old"], {"iniconfig": "1.1.1"})
    assert "no task 'new'" in pyflow("env", "show", "latest", "new").stderr
    assert "asked for packages" in pyflow("env", "show", "latest", "other").stderr


CHECKED = """
    from pyflow import pipeline, task
    import helper

    @task(packages=["iniconfig==2.0.0"])
    def fine():
        import iniconfig
        return helper.double(iniconfig)

    @task(packages=["iniconfig==1.1.1"])
    def misses():
        import pytest
        return pytest

    @task
    def here():
        import pytest
        return pytest

    @task(packages=["iniconfig<1", "iniconfig>2"])
    def torn():
        return 1

    @task(packages=["iniconfig"], python="3.99", platform="linux/arm64")
    def elsewhere():
        import no_such_module_of_ours

    @task(packages=[], image="team/tool:1")
    def in_an_image():
        import no_such_module_of_ours

    @pipeline
    def main():
        return fine(), misses(), here(), here.with_options(packages=["iniconfig"])()
"""


def test_the_check_loads_each_task_beside_its_own_packages(tmp_path):
    """A module that only this machine has is missing where ``packages`` leave it out; what cannot be loaded here is a note."""
    (tmp_path / "flow.py").write_text(textwrap.dedent(CHECKED))
    (tmp_path / "helper.py").write_text("def double(x):\n    return x, x\n")
    told = subprocess.run(
        [sys.executable, "-m", "pyflow.cli", "check", "flow.py", "--json"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 1, told.stderr
    answer = json.loads(told.stdout)
    line = {text.strip(): number for number, text in enumerate((tmp_path / "flow.py").read_text().splitlines(), 1)}
    faults = {(one["task"], one["module"], Path(one["at"]).name) for one in answer["missing"]}
    assert faults == {
        ("misses", "pytest", f"flow.py:{line['def misses():'] + 1}"),
        ("here", "pytest", f"flow.py:{line['def here():'] + 1}"),
        ("torn", "", f"flow.py:{line['def torn():'] - 1}"),
    }
    texts = "\n".join(one["error"] for one in answer["missing"])
    assert "Its packages= do not bring it." in texts
    assert "cannot be met" in texts
    notes = "\n".join(answer["notes"])
    assert "the packages of elsewhere() are for Python 3.99 on linux/arm64 and cannot be loaded here" in notes
    assert "Its image 'team/tool:1' may have it" in notes
    assert answer["modules"] == ["flow", "helper"]


def test_a_check_leaves_nothing_in_a_store_or_installed(tmp_path, cache):
    """The packages are installed for the moment of the check only."""
    (tmp_path / "flow.py").write_text(
        "from pyflow import task\n@task(packages=['iniconfig'])\ndef f():\n    import iniconfig\n"
    )
    told = subprocess.run(
        [sys.executable, "-m", "pyflow.cli", "check", "flow.py"], cwd=tmp_path, capture_output=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert not (tmp_path / ".pyflow").exists()
    assert [path.name for path in (cache / "pyflow" / "environments").iterdir()] == ["requests"]


SLOW = """
    import sys, time
    from pathlib import Path
    from pyflow import pipeline, task

    @task(packages=["iniconfig==2.0.0"])
    def late(folder):
        Path(folder, "begun").write_text("")
        while not Path(folder, "go").exists():
            time.sleep(0.05)
        import iniconfig
        return iniconfig.IniConfig("x", data="[a]").sections["a"]

    @pipeline
    def main(folder):
        return late(folder)

    if __name__ == "__main__":
        print(main.with_options(executor=sys.argv[1], store=sys.argv[2], progress=False)(sys.argv[3]))
"""


@pytest.mark.parametrize(
    "executor",
    [
        "local",
        pytest.param(
            "docker",
            marks=[pytest.mark.docker, pytest.mark.skipif(not has_engine(), reason="no Docker engine answers")],
        ),
    ],
)
def test_packages_of_a_running_task_are_not_pruned(tmp_path, executor):
    """Not before it has ended, however short the age; then they go, and the next run fetches them from the store."""
    (tmp_path / "flow.py").write_text(textwrap.dedent(SLOW))
    shared = tmp_path / "store" / "shared"
    shared.mkdir(parents=True)
    command = [sys.executable, "flow.py", executor, str(tmp_path / "store"), str(shared)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 120
        while not (shared / "begun").exists():
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.05)
        assert [one.state for one in prune(0, time.time() + 1, is_meant=True)] == ["in use"]
        (shared / "go").write_text("")
        assert process.communicate()[0] == "{}\n"
    assert [one.state for one in prune(0, time.time() + 1, is_meant=True)] == ["removed"]
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert again.stdout == "{}\n"
    assert "Choosing" not in again.stderr
