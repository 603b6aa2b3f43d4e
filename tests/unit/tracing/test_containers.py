"""``@container``: the command in pieces, the files, and what the call stands for."""

# ruff: noqa: PLW0108 (bodies are lambdas, and unpack as users do)

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyflow.errors import DefinitionError
from pyflow.graph import ContainerNode, Input, Literal, MapInput, Ref, Volume
from pyflow.tracing import container, task

HERE = __file__


@task
def one(x=0):
    return x


@container(image="docker/whalesay")
def cowsay(message: str, times=2):
    return ["cowsay", message, f"-n{times}:{message}!"]


@container(image="busybox:1.36", outputs={"hello": "/tmp/hello.txt"})
def create():
    return ["sh", "-c", "echo Hello >> /tmp/hello.txt"]


@container(image="busybox:1.36", outputs={"a": "/tmp/a", "b": "/tmp/b"})
def split(source):
    return ["split", source]


@container(image="busybox:1.36", inputs={"message": "/tmp/artifact/hello.txt"}, stdout=True, retries=2)
def read(message: Path, other: Path = Path("x")):
    return ["cat", message, other]


def test_the_command_is_in_pieces(traced):
    """Parameters alone and in f-strings become expressions between pieces of text; defaults count as given."""
    node = traced(lambda: cowsay(one())).region.nodes[1]
    assert isinstance(node, ContainerNode)
    assert node.command == (("cowsay",), (Ref(0),), ("-n", Literal(2), ":", Ref(0), "!"))
    assert (node.image, node.name, node.inputs, node.outputs, node.stdout) == (
        "docker/whalesay",
        "cowsay",
        (),
        (),
        False,
    )


def test_files_are_inputs(traced):
    """A path that is said stands in the command; a Path, by annotation or by origin, is a file that pyflow places."""

    def body():
        parts = split(create())
        return read(parts.a, other=parts["b"])

    graph = traced(body)
    _, middle, last = graph.region.nodes
    assert middle.inputs == (("source", Ref(0), None),)
    assert middle.command == (("split",), (Ref(0),))
    a, b = Ref(1, (("item", "a"),)), Ref(1, (("item", "b"),))
    assert last.inputs == (("message", a, "/tmp/artifact/hello.txt"), ("other", b, None))
    assert last.command == (("cat",), ("/tmp/artifact/hello.txt",), (b,))
    assert last.options.retries == 2


def test_an_unknown_output_is_refused(fault):
    """A part that the container does not keep is named, with those that it keeps."""
    assert "'c'" in fault(lambda: split(1).c)
    assert "It has: 'a', 'b'" in fault(lambda: split.map([1])[0].c)


def test_a_container_that_keeps_nothing_gives_none(traced, fault):
    """Without outputs the call stands for None: it can be returned and waited for, and has no parts."""
    assert "keeps nothing" in fault(lambda: cowsay("x").text)
    assert traced(lambda: one.after(cowsay("x"))(1)).region.nodes[1].after == (0,)
    assert traced(lambda: cowsay("x")).region.output == Ref(0)


def test_containers_can_be_mapped(traced):
    """The map of a container has one container node as its body."""
    graph = traced(lambda: split.map([1, 2])[0].b)
    node = graph.region.nodes[0]
    assert node.inputs == (MapInput(Literal([1, 2]), True),)
    assert node.body.nodes[0].command == (("split",), (Input(0),))
    assert graph.region.output == Ref(0, (("item", 0), ("item", "b")))


def test_a_container_runs_in_pipelines_only():
    """A plain call says so; `.fn` gives the command line."""
    with pytest.raises(DefinitionError, match="outside of a pipeline's body"):
        cowsay("x")
    with pytest.raises(DefinitionError, match="outside of a pipeline's body"):
        cowsay.map(["x"])
    assert create.fn() == ["sh", "-c", "echo Hello >> /tmp/hello.txt"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (lambda x: "cat x", "must return the command line as a list of text"),
        (lambda x: None, "got None"),
        (lambda x: [], "list of text"),
        (lambda x: ["head", 5, x], "with 5 in it, which is not text"),
        (lambda x: ["a" if x else "b"], "uses bool()"),
        (lambda x: [x.name], "uses .name"),
        (lambda x: [x[0]], "uses [0]"),
        (lambda x: [f"{x:>3}"], "the format '>3'"),
        (lambda x: [str(x)[:4]], "changes the text of an argument"),
        (lambda x: [*x], "uses iteration"),
        (lambda x: ["x" if x == "a" else "b"], "uses =="),
    ],
)
def test_a_command_is_made_before_the_values_are_known(fault, command, words):
    """What needs a value, and what is no list of text, is refused with the function's line."""
    message = fault(lambda: container(image="x")(command)(one()))
    assert words in message
    assert HERE in message


def test_joined_paths_are_pieces(traced):
    """A parameter may be added to text and joined to a path."""

    @container(image="x")
    def show(folder):
        return ["ls", folder / "a.txt", "--in=" + folder, folder + "!"]

    assert traced(lambda: show("d")).region.nodes[0].command == (
        ("ls",),
        (Literal("d"), "/a.txt"),
        ("--in=", Literal("d")),
        (Literal("d"), "!"),
    )


@pytest.mark.parametrize(
    ("volumes", "words"),
    [
        ({"/tmp": Volume.scratch("1Gi")}, None),
        ({"/tmp/artifact": Volume.scratch("1Gi")}, None),
        ({"/tmp/artifact": Volume.claim("a")}, r"at '/tmp/artifact/hello.txt', in a folder that is Volume\(kind='claim'.*such as '/work/hello.txt'"),
        ({"/tmp/artifact/hello.txt": Volume.scratch("1Gi")}, "which is a scratch volume itself. Let it be"),
    ],
)  # fmt: skip
def test_files_lie_in_no_volume_of_others(fault, traced, volumes, words):
    """What pyflow brings or keeps may lie in a scratch volume, and in none that others use."""

    def body():
        return read.with_options(volumes=volumes)(create())

    if words is None:
        traced(body)
    else:
        assert re.search(words, fault(body))


def test_all_faults_of_a_container_are_named(fault):
    """Image, paths, names and options are checked at decoration, together."""
    with pytest.raises(DefinitionError) as caught:

        @container(image="", inputs={"y": "rel/path", "x": "/a/../b"}, outputs={"1": "/tmp"}, stdout=True, cpu=2)  # type: ignore
        def bad(x): ...

    message = str(caught.value)
    for words in (
        "image must be",
        "inputs names 'y', which is no parameter of bad(x)",
        "inputs['y'] must be an absolute path",
        "inputs['x'] must be an absolute path",
        "outputs has '1'",
        "exclude each other",
        "Did you mean 'cpus'?",
        f"@container of 'bad' at {HERE}",
    ):
        assert words in message
    with pytest.raises(DefinitionError, match="no Python exceptions"):
        cowsay.with_options(retry_on=ValueError)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'message'"):
        fault(lambda: cowsay())
