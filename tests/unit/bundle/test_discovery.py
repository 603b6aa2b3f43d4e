"""Which local code travels with a function."""

import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest

from pyflow.bundle import discover
from pyflow.bundle.shipping import MAX_FILE_BYTES
from pyflow.errors import DefinitionError

REPORT = """
import json
from pyflow.bundle import discover
bundle = discover([f])
print(json.dumps({"files": [name for name, _ in bundle.files], "modules": bundle.modules}))
"""


def names(bundle):
    return [name for name, _ in bundle.files]


def test_function_of_installed_code_ships_nothing():
    """A function that reaches only installed packages and the standard library needs no bundle."""
    bundle = discover([zipfile.is_zipfile, pytest.raises])
    assert not bundle
    assert bundle.write() is None


def test_package_travels_whole_with_its_data(load):
    """A function's own package travels whole, with the data beside its code."""
    flow = load(
        {"pkg/__init__.py": "", "pkg/flow.py": "def f(): ...", "pkg/unused.py": "", "pkg/data/words.txt": "a"},
        name="pkg.flow",
    )
    bundle = discover([flow.f])
    assert names(bundle) == ["pkg/__init__.py", "pkg/data/words.txt", "pkg/flow.py", "pkg/unused.py"]
    assert bundle.modules == ("pkg", "pkg.flow")
    assert bundle.origin["pkg/flow.py"] == flow.__file__


def test_lone_module_travels_alone(load):
    """A module beside others brings only what it imports: the folder it lies in is not walked."""
    flow = load({"flow.py": "import helper\ndef f(): ...", "helper.py": "", "stranger.py": "", "notes.txt": ""})
    assert names(discover([flow.f])) == ["flow.py", "helper.py"]


def test_imports_inside_functions_count(load):
    """An import inside a function of a module that travels counts, although it has not run."""
    flow = load({"flow.py": "def f():\n    from late import x", "late.py": "import later as l", "later.py": "x = 1"})
    assert names(discover([flow.f])) == ["flow.py", "late.py", "later.py"]
    assert "late" not in sys.modules


def test_modules_imported_by_literal_name_count(load):
    """import_module() with a literal name is an import."""
    flow = load(
        {
            "flow.py": "import importlib\ndef f(): return importlib.import_module('plug.one')",
            "plug/__init__.py": "",
            "plug/one.py": "",
        }
    )
    assert names(discover([flow.f])) == ["flow.py", "plug/__init__.py", "plug/one.py"]


def test_relative_imports_and_circles(load):
    """Relative imports are followed, and modules that import each other end."""
    files = {
        "pkg/__init__.py": "from . import a",
        "pkg/a.py": "from .b import x",
        "pkg/b.py": "x = 1\nfrom . import a\nimport beside",
        "beside.py": "",
    }
    load(files, name="pkg.a")
    bundle = discover([sys.modules["pkg"]])
    assert bundle.modules == ("beside", "pkg", "pkg.a", "pkg.b")


def test_src_layout_ships_by_import_name(load):
    """A package in src/ is named in the bundle as it is imported."""
    flow = load({"src/pkg/__init__.py": "def f(): ...", "README": ""}, path="src", name="pkg")
    assert names(discover([flow.f])) == ["pkg/__init__.py"]


def test_namespace_package_ships_what_is_reached(load):
    """Of a folder without __init__.py only the modules that are reached travel."""
    flow = load(
        {
            "flow.py": "from space.one import x\ndef f(): ...",
            "space/one.py": "x = 1",
            "space/two.py": "",
            "space/big.csv": "",
        }
    )
    bundle = discover([flow.f])
    assert names(bundle) == ["flow.py", "space/one.py"]
    assert bundle.modules == ("flow", "space", "space.one")


def test_installed_packages_stay(load):
    """What lies in site-packages stays, and so does what it imports."""
    flow = load({"flow.py": "import lib\ndef f(): ...", "site-packages/lib.py": "import helper", "helper.py": ""})
    assert names(discover([flow.f])) == ["flow.py"]


def test_ignore_files_are_honoured(load):
    """What .gitignore or .pyflowignore names stays; .pyflowignore has the last word."""
    flow = load(
        {
            ".gitignore": "*.csv\nbuild/\ngenerated.txt\n",
            ".pyflowignore": "drafts/\n!kept.csv\n",
            "pkg/.gitignore": "local.txt",
            "pkg/__init__.py": "def f(): ...",
            "pkg/rows.csv": "",
            "pkg/kept.csv": "",
            "pkg/build/x.txt": "",
            "pkg/drafts/x.py": "",
            "pkg/local.txt": "",
            "pkg/generated.txt": "",
            "pkg/plain.txt": "",
        },
        name="pkg",
    )
    assert names(discover([flow.f])) == ["pkg/__init__.py", "pkg/kept.csv", "pkg/plain.txt"]


def test_settings_and_hidden_files_never_travel(load):
    """No .env file and nothing hidden travels, whatever .pyflowignore says."""
    flow = load(
        {
            ".pyflowignore": "!.env\n!*",
            "pkg/__init__.py": "def f(): ...",
            "pkg/.env": "PASSWORD=1",
            "pkg/.env.local": "",
            "pkg/prod.env": "",
            "pkg/.netrc": "",
            "pkg/.aws/credentials": "",
            "pkg/venv/pyvenv.cfg": "",
            "pkg/venv/x.py": "",
            "pkg/__pycache__/x.txt": "",
        },
        name="pkg",
    )
    assert names(discover([flow.f])) == ["pkg/__init__.py"]


def test_imported_module_travels_though_git_ignores_it(load):
    """A module that the code imports travels though git ignores it (_version.py), unless .pyflowignore names it."""
    files = {
        ".gitignore": "_version.py\nsecret.py",
        ".pyflowignore": "secret.py",
        "pkg/_version.py": "",
        "pkg/secret.py": "",
    }
    flow = load({**files, "pkg/__init__.py": "from . import _version\nfrom . import secret\ndef f(): ..."}, name="pkg")
    assert names(discover([flow.f])) == ["pkg/__init__.py", "pkg/_version.py"]


def test_home_folder_is_never_walked(load, monkeypatch):
    """A home directory that happens to be a package gives the modules that are reached, and nothing else."""
    flow = load({"home/__init__.py": "", "home/flow.py": "def f(): ...", "home/diary.txt": ""}, name="home.flow")
    monkeypatch.setenv("HOME", flow.__file__.rpartition("/")[0])
    assert names(discover([flow.f])) == ["home/__init__.py", "home/flow.py"]


def test_large_file_is_refused_by_name(load):
    """One file above 10 MiB is an error that names it and says where to name it."""
    flow = load(
        {
            "pkg/__init__.py": "def f(): ...",
            "pkg/model.bin": "x" * (MAX_FILE_BYTES + 1),
            "pkg/other.bin": "x" * (MAX_FILE_BYTES + 1),
        },
        name="pkg",
    )
    with pytest.raises(DefinitionError, match=r"model\.bin' \(10\.0 MiB\).*other\.bin.*\.pyflowignore"):
        discover([flow.f])


def test_large_bundle_is_refused_with_its_largest_files(load):
    """A bundle above 50 MiB is an error that names the largest files."""
    files = {f"pkg/part{i}.bin": "x" * (MAX_FILE_BYTES - i) for i in range(6)}
    flow = load({"pkg/__init__.py": "def f(): ...", **files}, name="pkg")
    with pytest.raises(DefinitionError, match=r"60\.0 MiB; at most 50 MiB.*part0\.bin"):
        discover([flow.f])


def test_links_that_lead_in_circles_end(load, tmp_path):
    """A link to a folder above is followed once."""
    flow = load({"pkg/__init__.py": "def f(): ...", "pkg/sub/a.txt": ""}, name="pkg")
    (tmp_path / "elsewhere.txt").write_text("linked")
    package = flow.__file__.rpartition("/")[0]
    (Path(package) / "sub" / "up").symlink_to(package)
    (Path(package) / "link.txt").symlink_to(tmp_path / "elsewhere.txt")
    assert names(discover([flow.f])) == ["pkg/__init__.py", "pkg/link.txt", "pkg/sub/a.txt"]


def test_zip_on_the_path_ships_its_package(load, tmp_path, monkeypatch):
    """A package imported from a zip file travels as files."""
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as archive:
        archive.writestr("zipped/__init__.py", "from . import part\nimport beside_zip")
        archive.writestr("zipped/part.py", "")
        archive.writestr("zipped/data.txt", "in the zip")
        archive.writestr("beside_zip.py", "")
    monkeypatch.syspath_prepend(str(tmp_path / "lib.zip"))
    flow = load({"flow.py": "import zipped\ndef f(): ..."})
    bundle = discover([flow.f])
    assert names(bundle) == ["beside_zip.py", "flow.py", "zipped/__init__.py", "zipped/data.txt", "zipped/part.py"]
    assert dict(bundle.files)["zipped/data.txt"] == b"in the zip"
    for name in ("zipped", "zipped.part", "beside_zip"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_extension_modules_travel_and_are_listed(load):
    """A compiled module beside the code travels, and is listed for whoever ships to another platform."""
    flow = load({"flow.py": "def f():\n    import fast", "fast.abi3.so": "not really one"})
    bundle = discover([flow.f])
    assert names(bundle) == ["fast.abi3.so", "flow.py"]
    assert bundle.extensions == ("fast.abi3.so",)


def test_class_ships_its_module(load):
    """A class is shipped with the module that defines it."""
    flow = load({"flow.py": "import mark", "mark.py": "class Mark: ..."})
    assert names(discover([flow.mark.Mark])) == ["mark.py"]


def test_script_ships_what_it_imports(run_script):
    """The imports of a script count, also inside functions, and the script itself does not travel."""
    report = run_script(
        {
            "flow.py": "import helper\ndef f(): ...\ndef other():\n    import late\nif 1: import cont, \\\n    inued"
            + REPORT,
            "helper.py": "",
            "late.py": "",
            "cont.py": "",
            "inued.py": "",
            "stranger.py": "",
        }
    )
    assert report["files"] == ["cont.py", "helper.py", "inued.py", "late.py"]


def test_values_that_a_script_function_holds_count(run_script):
    """Globals, closures, defaults, partials, methods, containers and objects of local classes are followed."""
    modules = ("one", "two", "three", "four", "five", "six")
    files = {f"{name}.py": "class C:\n    def m(self): ...\ndef g(*a): ..." for name in modules}
    # Read from text and run by exec, the script has no imports that could be seen in its source.
    body = f"""
import functools
m = {{name: __import__(name) for name in {modules}}}
held = {{'deep': [m['one'].C()]}}
part = functools.partial(m['two'].g, m['three'].C)
bound = m['four'].C().m
def outer(x):
    def f(y=m['six'].g): return x, held, part, bound
    return f
f = outer(m['five'].C)
"""
    script = f"source = {body!r}\nexec(compile(source, '<cell>', 'exec'))\ndel __file__" + REPORT
    assert run_script({**files, "flow.py": script})["modules"] == sorted(modules)


def test_module_run_with_m_ships_its_package(run_script):
    """Relative imports of a script that belongs to a package are resolved in that package."""
    files = {"pkg/__init__.py": "", "pkg/steps.py": "", "pkg/flow.py": "def f():\n    from . import steps" + REPORT}
    report = run_script({**files, "flow.py": "import runpy; runpy.run_module('pkg.flow', run_name='__main__')"})
    assert report["files"] == ["pkg/__init__.py", "pkg/flow.py", "pkg/steps.py"]


def test_editable_install_counts_as_local(load, tmp_path, monkeypatch):
    """A package that an editable install finds outside site-packages travels, though it is not loaded."""
    (tmp_path / "edited.py").write_text("")

    class EditableFinder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            return importlib.util.spec_from_file_location(name, tmp_path / "edited.py") if name == "edited" else None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, EditableFinder])
    flow = load({"flow.py": "def f():\n    import edited"})
    assert names(discover([flow.f])) == ["edited.py", "flow.py"]


def test_objects_that_answer_to_every_name_are_harmless(load):
    """A global that has every attribute, or raises on each, does not disturb the search."""
    source = """
class Proxy:
    def __getattr__(self, name): return self
class Rude:
    __slots__ = ()
    def __getattr__(self, name): raise RuntimeError(name)
def outer(*held):
    def f(): return held
    return f
"""
    flow = load({"flow.py": source})
    held = flow.outer(flow.Proxy(), flow.Rude())
    held.__globals__["__name__"] = held.__module__ = "__main__"
    assert not discover([held]) or names(discover([held])) == ["flow.py"]
