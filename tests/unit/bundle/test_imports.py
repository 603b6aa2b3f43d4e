"""What code imports, read without running it."""

import pytest

from pyflow.bundle.imports import imports_in_code, imports_in_source, tops_mentioned

SAMPLES = [
    ("import a", ["a"]),
    ("import a.b as c, d", ["a.b", "d"]),
    ("from a import b, c as d", ["a", "a.b", "a.c"]),
    ("from a import *", ["a"]),
    ("from . import x", ["pkg.sub", "pkg.sub.x"]),
    ("from .. import x", ["pkg", "pkg.x"]),
    ("from ..y import x", ["pkg.y", "pkg.y.x"]),
    ("from .... import x", []),
    ("def f():\n  if 1:\n    import a", ["a"]),
    ("class C:\n  def f(self):\n    from a import b", ["a", "a.b"]),
]


@pytest.mark.parametrize(("source", "expected"), SAMPLES)
def test_source_and_bytecode_agree(source, expected):
    """Imports are the same whether read from source or from bytecode, relative ones made absolute."""
    from_source = [name for one in imports_in_source(source) for name in one.absolute("pkg.sub")]
    from_code = [name for one in imports_in_code(compile(source, "<s>", "exec")) for name in one.absolute("pkg.sub")]
    assert from_source == from_code == expected


def test_calls_with_literal_names_count():
    """importlib.import_module("a") and __import__("b") are imports; computed names cannot be."""
    source = "import_module('a')\nimportlib.import_module('.b', 'pkg')\n__import__('c')\nimport_module(name)"
    assert [(one.module, one.level) for one in imports_in_source(source)] == [("a", 0), ("b", 1), ("c", 0)]


def test_lines_and_guards_are_known():
    """Each import knows its line, and whether the code catches its failure."""
    source = "import a\ntry:\n  import b\nexcept (KeyError, ImportError):\n  import c\nelse:\n  import d\ntry:\n  import e\nexcept KeyError: ..."
    found = [(one.module, one.line, one.is_guarded) for one in imports_in_source(source)]
    assert found == [("a", 1, False), ("b", 3, True), ("c", 5, False), ("d", 7, False), ("e", 9, False)]
    code = compile("\n\ndef f():\n\n  import a", "<s>", "exec")
    assert [one.line for one in imports_in_code(code)] == [5]


def test_text_that_is_no_python_imports_nothing():
    """A file that does not compile is left to the importer, which says it better."""
    assert imports_in_source("import a\nimport") == ()
    assert imports_in_source(b"\xff\xfe") == ()


@pytest.mark.parametrize("source", [source for source, _ in SAMPLES] + ["x = 1; import a", "if 1: from a.b import c"])
def test_quick_look_finds_at_least_what_parsing_finds(source):
    """The search without parsing never misses a first name; where it cannot tell, it says so."""
    tops = tops_mentioned(source.encode())
    exact = {one.module.partition(".")[0] for one in imports_in_source(source)}
    assert tops is None or exact <= tops


def test_quick_look_leaves_hard_cases_to_parsing():
    """Relative imports, continued lines and calls need the parser."""
    for source in (
        b"from . import a",
        b"from \\\n a import b",
        b"import a, \\\n b",
        b"import \\\n a",
        b"x = import_module('a')",
    ):
        assert tops_mentioned(source) is None
