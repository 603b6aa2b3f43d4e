"""What cannot be serialized is named: the part, the variable, the place, and what would work."""

from __future__ import annotations

import collections
import functools
import importlib
import linecache
import socket
import sys
import threading
from dataclasses import dataclass

import pytest

from pyflow.errors import NotSerializableError
from pyflow.payload import encode, encode_function

Pair = collections.namedtuple("Pair", "a b")
CLOSED = socket.socket()
CLOSED.close()


class Conn:
    def __init__(self) -> None:
        self.url = "x"
        self.lock = threading.Lock()


class Slots:
    __slots__ = ("lock", "unset")

    def __init__(self) -> None:
        self.lock = threading.Lock()


@dataclass
class Box:
    content: object


class Raises:
    def __reduce__(self):
        raise ValueError("boom")


class FreshState:
    def __getstate__(self):
        return {"lock": threading.Lock()}


def message_of(value: object, what: str = "argument 'data' of fit()") -> str:
    with pytest.raises(NotSerializableError) as caught:
        encode(value, what=what)
    assert caught.value.__cause__ is not None
    return str(caught.value)


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (threading.Lock, "data is a '_thread.lock'"),
        (lambda: {"conn": Conn()}, "data['conn'].lock is a '_thread.lock'"),
        (lambda: [1, (2, threading.Lock())], "data[1][1] is a '_thread.lock'"),
        (lambda: Pair(1, threading.Lock()), "data.b is a '_thread.lock'"),
        (lambda: Box([Slots()]), "data.content[0].lock is a '_thread.lock'"),
        (lambda: {threading.Lock(): 1}, "data holds a '_thread.lock'"),
        (lambda: {5: {(1, 2): Conn()}}, "data[5][<tuple>].lock is"),
        (lambda: {"k" * 100: Conn()}, "data['kkkkkk"),
        (lambda: {"rows": (i for i in [])}, "data['rows'] is a 'generator'. Make it a list first."),
        (lambda: [CLOSED], "data[0] is a 'socket.socket'"),
        (lambda: [Raises()], "Raises', and pickling it raised ValueError: boom"),
        (lambda: {"a": [FreshState()]}, "data['a'][0] is a "),
        (lambda: functools.partial(print, Conn()), "data.args[0].lock is"),
        (lambda: Conn().__init__, "data.__self__.lock is"),
        (lambda: collections.deque([Conn()]), "data[0].lock is"),
        (lambda: [ValueError(Conn())], "lock"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_the_part_that_cannot_be_serialized_is_named(make, part):
    """The message spells the way to the part as its author would write it."""
    message = message_of(make())
    assert message.startswith("Argument 'data' of fit() cannot be serialized: ")
    assert part in message


def test_without_a_name_the_value_is_called_value():
    """A result has no name; the message says whose it is."""
    assert message_of([threading.Lock()], what="the result of task 'x'").startswith(
        "The result of task 'x' cannot be serialized: value[0] is a '_thread.lock'."
    )


def test_parts_of_arrays_and_frames_are_named():
    """Objects in an array or a column are found, too."""
    np = pytest.importorskip("numpy")
    pd = pytest.importorskip("pandas")
    assert "data[1, 0] is a '_thread.lock'" in message_of(np.array([[1], [threading.Lock()]], dtype=object))
    assert "data['t'][1] is a '_thread.lock'" in message_of(pd.DataFrame({"t": [1, threading.Lock()]}))


def test_an_open_file_is_refused_and_its_content_not_sent(tmp_path):
    """What is in the file would travel otherwise; the error says to hand over its path."""
    with (tmp_path / "secret.txt").open("w+") as file:
        message = message_of({"log": file})
    assert "data['log'] is an open file (TextIOWrapper). Hand over the path" in message
    with (tmp_path / "secret.txt").open("rb") as file:
        assert "an open file (BufferedReader)" in message_of([file])


def test_standard_output_is_no_open_file_of_the_users():
    """A logger's ``sys.stdout`` means the other side's own."""
    encode([sys.stdout])


def test_a_large_value_is_searched_in_bounded_time():
    """Among many parts the culprit is still found, or the error comes without it."""
    value = [{"i": i} for i in range(5_000)]
    value.append({"lock": threading.Lock()})
    assert "data[5000]['lock']" in message_of(value)
    assert "cannot be serialized" in message_of([list(range(1000)), [[object() for _ in range(110_000)], Conn()]])


SOURCE = """\
import threading
class Client:
    def __init__(self):
        self.session = {"pool": [threading.Lock()]}
lock = None
lock = threading.Lock()
if True:
    client = Client()
def fit(x):
    return client.get(x)
def helper():
    return lock
def outer():
    def inner(): return helper()
    return inner()
def default(x, *, conn=client):
    return conn
def around():
    conn = threading.Lock()
    def inner(): return conn
    return inner
class Model:
    def train(self): return lock
log = open(__file__)
def write(): log.write("x")
def hidden(lock): return [lock for lock in [lock]]
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The names of a script that was run as ``__main__``."""
    file = tmp_path_factory.mktemp("script") / "etl.py"
    file.write_text(SOURCE)
    names: dict = {"__name__": "__main__", "__file__": str(file)}
    exec(compile(SOURCE, str(file), "exec"), names)
    yield names
    names["log"].close()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "fit",
            (
                "fit() uses the global 'client' (etl.py:8), which holds a '_thread.lock', client.session['pool'][0]. "
                "Create it inside fit(), or pass its settings."
            ),
        ),
        ("helper", "helper() uses the global 'lock' (etl.py:6), which is a '_thread.lock'. Create it inside helper()"),
        ("outer", "helper() uses the global 'lock' (etl.py:6), which is a '_thread.lock' (outer() → helper())"),
        ("default", "default() uses the default of its parameter 'conn' (etl.py:16), which holds a '_thread.lock'"),
        ("around", "inner() uses the variable 'conn' (etl.py:19), which is a '_thread.lock'"),
        ("Model", "Model.train() uses the global 'lock' (etl.py:6), which is a '_thread.lock'"),
        ("write", "write() uses the global 'log' (etl.py:24), which is an open file (TextIOWrapper). Open it inside"),
    ],
)
def test_a_function_names_the_variable_and_the_line(script, name, sentence):
    """The global, closure or default at fault is named, with where it is assigned and what to do."""
    fn = script[name]() if name == "around" else script[name]
    with pytest.raises(NotSerializableError) as caught:
        encode_function(fn, what="task 'fit'")
    assert str(caught.value).startswith("Task 'fit' cannot be serialized: ")
    assert sentence in str(caught.value)


def test_a_local_name_is_not_taken_for_a_global(script):
    """A function that only calls its parameter by the same name serializes."""
    encode_function(script["hidden"], what="task 'hidden'")


def test_a_value_whose_class_uses_a_global_says_so(script):
    """The class of ``__main__`` travels with the value, and so do the globals of its methods."""
    message = message_of([script["Model"]()])
    assert "data[0] needs Model.train(), and Model.train() uses the global 'lock' (etl.py:6)" in message


def test_a_global_of_another_cell_is_found():
    """In a notebook the cell that assigns a global is another than the one that uses it."""
    cells = {"<cell-1>": "import threading\n\nlock = threading.Lock()\n", "<cell-2>": "def fit(): return lock\n"}
    names: dict = {"__name__": "__main__"}
    for file, source in cells.items():
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec"), names)
    try:
        with pytest.raises(NotSerializableError, match=r"the global 'lock' \(line 3 of its cell\)"):
            encode_function(names["fit"], what="task 'fit'")
    finally:
        for file in cells:
            del linecache.cache[file]


def test_without_source_the_line_is_left_out():
    """A function typed into a plain prompt has no source to look at."""
    names: dict = {"__name__": "__main__", "threading": threading}
    exec("lock = threading.Lock()\ndef fit(): return lock", names)
    with pytest.raises(NotSerializableError, match="the global 'lock', which is a"):
        encode_function(names["fit"], what="task 'fit'")


def test_the_users_memory_error_and_interrupt_pass():
    """Running out of memory, and Ctrl-C, are not the value's fault."""

    class Fails:
        def __init__(self, error):
            self.error = error

        def __reduce__(self):
            raise self.error

    for error in (MemoryError(), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            encode(Fails(error))


def test_the_walk_leaves_modules_alone():
    """A function that uses a module names the module's lock nowhere: modules travel by name."""
    names: dict = {"__name__": "__main__", "logging": importlib.import_module("logging")}
    exec("def fit(): return logging.getLogger()", names)
    encode_function(names["fit"], what="task 'fit'")
