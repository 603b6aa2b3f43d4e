"""The runner of pages itself: what it reads as a block, and which faults it finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs_runner import blocks_of, matches, run_page


def test_blocks_carry_line_and_language() -> None:
    """A block knows its language, its text and the line it starts on."""
    (block,) = blocks_of("# Title\n\n```python\nx = 1\ny = 2\n```\n")
    assert (block.language, block.text, block.line) == ("python", "x = 1\ny = 2\n", 4)


@pytest.mark.parametrize("heading", ["Output:", "**Output:**", "It gives this Output:", "<!-- output -->"])
def test_output_joins_the_block_above(heading: str) -> None:
    """A text block announced as output belongs to the code above it."""
    (block,) = blocks_of(f"```python\nprint(1)\n```\n\n{heading}\n\n```text\n1\n```\n")
    assert block.expected == "1\n"


def test_other_text_stands_alone() -> None:
    """A text block after any other sentence is nobody's output."""
    blocks = blocks_of("```python\nprint(1)\n```\n\nA picture:\n\n```text\n1\n```\n")
    assert [block.expected for block in blocks] == [None, None]


def test_directives_stand_in_front() -> None:
    """Comments directly before a block say how it is treated."""
    page = "<!-- not run: far away -->\n\n```sh\nrm\n```\n<!-- file: a.toml -->\n```toml\nx = 1\n```\n"
    far, file = blocks_of(page)
    assert (far.directives, far.is_run) == ({"not run": "far away"}, False)
    assert (file.directives, file.is_run) == ({"file": "a.toml"}, False)


def test_console_splits_commands_from_output() -> None:
    """In a console block the lines behind a dollar sign are run, the others are expected."""
    (block,) = blocks_of("```console\n$ echo a\na\n$ echo b\nb\n```\n")
    assert (block.text, block.expected) == ("echo a\necho b\n", "a\nb\n")


def test_indented_blocks_lose_their_indent() -> None:
    """A block inside a list item starts at the fence's column."""
    (block,) = blocks_of("- item\n  ```python\n  if x:\n      y\n  ```\n")
    assert block.text == "if x:\n    y\n"


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a", "a  \n", True),
        ("run ... done", "run 20260101-ab done", True),
        ("first\n...\nlast", "first\n2\n3\nlast", True),
        ("a", "b", False),
        ("a", "a\nb", False),
        ("1.5", "125", False),
    ],
)
def test_matches(expected: str, printed: str, same: bool) -> None:
    """Three dots stand for anything, everything else for itself."""
    assert matches(expected, printed) is same


GOOD = """
```python
import inspect

def double(x):
    return 2 * x

if __name__ == "__main__":
    print(inspect.getsource(double).splitlines()[1].strip())
```

Output:

```text
return 2 * x
```

<!-- file: box/tool.py -->

```python
print("from a file")
```

```sh
python box/tool.py
ls examples/data/penguins.csv
```

<!-- output -->

```text
from a file
examples/data/penguins.csv
```

<!-- raises: ValueError -->

```python
raise ValueError(double(4))
```

<!-- output -->

```text
ValueError: 8
```

<!-- exits: 3 -->

```sh
exit 3
```
"""


def test_page_that_is_right_has_no_faults(tmp_path: Path) -> None:
    """Blocks share a namespace and a folder, have a source, and may raise when the page says so."""
    page = tmp_path / "good.md"
    page.write_text(GOOD)
    (tmp_path / "run").mkdir()
    assert run_page(page, tmp_path / "run") == []


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("```python\n1 / 0\n```\n", "got ZeroDivisionError"),
        ("```sh\nfalse\n```\n", "got 1"),
        ("<!-- raises: KeyError -->\n```python\nx = 1\n```\n", "expected KeyError, got no error"),
        ("```python\nprint(1)\n```\nOutput:\n```text\n2\n```\n", "but it printed:\n1\n"),
        ("```console\n$ echo a\nb\n```\n", "but it printed:\na\n"),
        ("```python\nimport os\nos._exit(9)\n```\n", "the process ended with 9"),
        ("text\n\n```python\nx = 1\n```\n\n```python\nx.y\n```\n", 'page.py", line 8'),
    ],
)
def test_faults_are_named(tmp_path: Path, page: str, said: str) -> None:
    """An error, another output and a process that dies are all told, with the line of the page."""
    path = tmp_path / "bad.md"
    path.write_text(page)
    (tmp_path / "run").mkdir()
    (fault,) = run_page(path, tmp_path / "run")
    assert fault.startswith(f"{path}:")
    assert said in fault
