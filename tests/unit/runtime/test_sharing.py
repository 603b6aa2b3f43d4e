"""How items are shared out among pods, what failed marks spoil, and where files of container tasks lie."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow import container, pipeline, task
from pyflow.errors import IntegrityError
from pyflow.packed import PackedContainer
from pyflow.packing import pack
from pyflow.runtime import Program, sharing
from pyflow.runtime.marks import Marks, is_spoilt, mark_failed, read_marks
from pyflow.runtime.pod_container import first_unknown, known_words, layout_of
from pyflow.store import ContentStore, Keys, open_blobs


def program_of(p, *arguments):
    content = ContentStore(open_blobs("memory://sharing"), Keys("p", "o"))
    packed = pack(p.trace(*arguments), content)
    return Program(packed.graph, packed.digest)


@task
def give(x):
    return x


@given(length=st.integers(0, 3000), batch=st.integers(1, 400), most=st.integers(1, 600))
def test_parts_hold_each_item_once(length: int, batch: int, most: int) -> None:
    """The parts of a map's items are in order, hold each item once, and are neither too many nor, if that is possible, too large."""
    parts = sharing.parts_of(length, batch, most)
    shares = [sharing.Share((), part, parts).items(length) for part in range(parts)]
    assert [item for share in shares for item in share] == list(range(length))
    assert parts <= most
    assert all(share for share in shares)
    assert max((len(share) for share in shares), default=0) <= max(batch, -(-length // most))


@pytest.mark.parametrize(("text", "share"), [("-", ((), None, 1)), ("3.0", ((3, 0), None, 1)), ("3.1/5", ((3,), 1, 5))])
def test_a_share_is_read_from_one_word(text: str, share: tuple[object, ...]) -> None:
    """An index vector, or a part of the items of the innermost map, is one word."""
    found = sharing.parse_share(text)
    assert (found.outer, found.part, found.parts) == share


@pytest.mark.parametrize("text", ["", "x", "3.", "5/5", "1/0", "-1", "{{item}}"])
def test_a_word_that_is_no_share_is_refused(text: str) -> None:
    """Anything else is an error that shows the word."""
    with pytest.raises(IntegrityError, match="not the index vector of a pod"):
        sharing.parse_share(text)


def test_a_failed_item_spoils_what_is_made_of_it() -> None:
    """Behind a failed item the same item of the next map is spoilt, and what needs the whole map; others are not."""

    @pipeline
    def main(xs):
        first = give.map(xs)
        second = give.map(first)
        return give(second), give(1)

    program = program_of(main, [1, 2, 3])
    by_name = {node.name: node.id for node in program.graph.walk() if program.has(node.id)}
    first, second = (n.id for n in program.graph.region.nodes[:2])
    inner = {n: program.map_of(n).body.nodes[0].id for n in (first, second)}
    marks = Marks(((inner[first], (1,)),))
    assert is_spoilt(program, inner[second], (1,), marks)
    assert not is_spoilt(program, inner[second], (0,), marks)
    assert not is_spoilt(program, by_name["give-4"], (), marks)
    both = Marks((*marks.failed, (inner[second], (1,))))
    assert is_spoilt(program, by_name["give-3"], (), both)


def test_marks_before_the_summary_do_not_count() -> None:
    """A run that has ended and is taken up again starts without the marks of before."""
    content = ContentStore(open_blobs("memory://marks"), Keys("p", "o"))
    assert read_marks(content, "r") == Marks()
    mark_failed(content, "r", "3.1")
    assert read_marks(content, "r") == Marks(((3, (1,)),))
    content.blobs.put(content.keys.summary("r"), [b"{}"])
    assert read_marks(content, "r").failed == ()


def test_files_of_a_container_have_places_in_the_shared_volume() -> None:
    """Folders around inputs and outputs are parts of the shared volume, one for those that lie within each other."""

    @container(image="i", inputs={"a": "/in/deep/a.txt"}, outputs={"x": "/out/x", "y": "/out/more/y", "z": "/tmp/z"})
    def tool(a, b, n):
        return ["run", a, "plain", f"--n={n}", "end"]

    @pipeline
    def main():
        return tool(give("f"), give("g"), give(3))["x"]

    program = program_of(main)
    node = next(n for n in program.graph.walk() if isinstance(n, PackedContainer))
    layout = layout_of(node, program.graph.options[node.options])
    assert [folder for _, folder in layout.parts] == ["/tmp", "/pyflow/inputs", "/out", "/in/deep"]
    assert str(layout.in_shared("/out/more/y")) == "/pyflow-shared/d2/more/y"
    assert layout.in_shared("/elsewhere") is None
    assert known_words(node) == ["run", "/in/deep/a.txt", "plain", None, "end"]
    assert first_unknown(node) == 3


_LAYOUT = """
from pyflow.packed import PackedContainer, PackedOptions
from pyflow.runtime.pod_container import layout_of
outputs = tuple((name, f"/{name}/out") for name in ("data", "work", "more", "bits", "last"))
node = PackedContainer.__new__(PackedContainer, **{f: () for f in PackedContainer._fields} | {"outputs": outputs})
print(layout_of(node, PackedOptions()).parts)
"""


def test_the_manifest_and_its_pods_agree_where_files_lie() -> None:
    """Each is another process, and the order of a set of names is another in each: folders of equal length have one order."""
    printed = {
        subprocess.run(
            [sys.executable, "-c", _LAYOUT],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in range(1, 5)
    }
    assert len(printed) == 1


@pytest.mark.parametrize(
    ("least", "most", "retries", "exit_code", "expected"),
    [(64, 512, 0, 137, 3), (64, 100, 0, 137, 1), (64, 512, 0, 70, 0), (64, 512, 2, 137, 2), (64, None, 0, 137, 0)],
)
def test_a_killed_attempt_may_be_followed_by_one_with_more_memory(least, most, retries, exit_code, expected):
    """As often as doubling it helps, unless the author says how often; other failures are not tried again for that."""
    grows = {} if most is None else {"memory_on_oom": f"{most}Mi"}

    @task(memory=f"{least}Mi", retries=retries, **grows)
    def hungry():
        return 1

    @pipeline
    def flow():
        return hungry()

    assert sharing.retries_of(program_of(flow).graph, 0, exit_code=exit_code)[0] == expected
