"""Arrays travel without being copied, and come back writable."""

from __future__ import annotations

import sys
import tracemalloc

import pytest

from pyflow.errors import IntegrityError
from pyflow.late import late
from pyflow.payload import decode, encode
from pyflow.payload.header import write_header

np = pytest.importorskip("numpy")


def round_trip(value: object) -> object:
    return decode(memoryview(bytearray(b"".join(encode(value).parts))))


PLAIN = [
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array(3.5),
    np.array([], dtype="i2"),
    np.zeros((0, 3)),
    np.array([np.nan, -0.0, np.inf]),
    np.array([1, 2], dtype=">i4"),
    np.array(["a", "üü"]),
    np.array([b"a", b"bc"]),
    np.array(["2024-01-01", "NaT"], dtype="M8[s]"),
    np.array([1, 2], dtype="m8[25s]"),
    np.array([1 + 2j], dtype="c8"),
    np.array([True, False]),
    np.arange(3, dtype="f2"),
    np.zeros((2, 0, 4), order="F"),
]
OTHERS = [
    np.arange(10)[::3],
    np.arange(12).reshape(3, 4).T[1:, ::2],
    np.broadcast_to(np.arange(3), (4, 3)),
    np.zeros(2, dtype=[("a", "i4"), ("b", "f8", (2,))]),
    np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    np.array([1, None, {"a": 1}], dtype=object),
    np.zeros(2, dtype="V5"),
    np.zeros(2, dtype="S0"),
    np.arange(3).view(np.recarray),
    np.ma.masked_array([1, 2], mask=[True, False]),
    np.zeros(2, dtype=np.dtype("i4", metadata={"unit": "m"})),
]


@pytest.mark.parametrize("array", [*PLAIN, *OTHERS], ids=lambda array: f"{array.dtype}{array.shape}")
def test_an_array_comes_back_equal(array):
    """Class, dtype, shape and every element are the same, bit by bit."""
    back = round_trip(array)
    assert type(back) is type(array)
    assert back.dtype == array.dtype
    assert back.dtype.isalignedstruct == array.dtype.isalignedstruct
    assert back.dtype.metadata == array.dtype.metadata
    assert back.shape == array.shape
    assert (back.tolist() == array.tolist()) if array.dtype.hasobject else (back.tobytes() == array.tobytes())


@pytest.mark.parametrize("array", PLAIN, ids=lambda array: f"{array.dtype}{array.shape}")
def test_a_plain_array_is_a_npy_file_and_writable(array):
    """The body is what np.load reads, the array can be written to, and keeps its order in memory."""
    payload = encode(array)
    assert payload.kind == "npy"
    assert payload.length == (len(array) if array.ndim else None)
    back = round_trip(array)
    assert back.flags.writeable
    assert back.flags.f_contiguous == array.flags.f_contiguous


@pytest.mark.parametrize("scalar", [np.float64(1.5), np.int8(3), np.bool_(True), np.str_("x"), np.datetime64("2024")])
def test_numpy_scalars_keep_their_type(scalar):
    """A NumPy scalar does not turn into Python's own, although some are subclasses of it."""
    back = round_trip([scalar])[0]
    assert type(back) is type(scalar)
    assert back == scalar


@pytest.mark.parametrize("wrap", [lambda array: array, lambda array: {"a": [array, 1]}], ids=["alone", "inside"])
def test_a_large_array_is_never_copied(wrap):
    """Encoding aliases the array, decoding aliases the data: neither takes memory of its own."""
    array = np.zeros(32 * 1024 * 1024, dtype="u1")
    tracemalloc.start()
    try:
        payload = encode(wrap(array))
        assert any(np.shares_memory(np.frombuffer(part, "u1"), array) for part in payload.parts if len(part))
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
        data = bytearray(b"".join(payload.parts))
        start = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        back = decode(memoryview(data))
        assert tracemalloc.get_traced_memory()[1] - start < 1024 * 1024
    finally:
        tracemalloc.stop()
    found = back if isinstance(back, np.ndarray) else back["a"][0]
    assert np.shares_memory(found, np.frombuffer(data, "u1"))
    found[0] = 7


def test_buffers_are_aligned():
    """Each large buffer begins at a multiple of 64 in the payload, so that a mapped array is aligned."""
    arrays = [np.arange(n, dtype="f8") for n in (1001, 2003, 3001)]
    payload = encode(arrays)
    whole = b"".join(payload.parts)
    assert all(whole.index(array.tobytes()) % 64 == 0 for array in arrays)
    assert whole.index(arrays[0].tobytes()) > 0


def test_data_that_is_read_only_gives_a_writable_array_all_the_same():
    """Inputs are the task's own, even from bytes that cannot be written to."""
    for value in (np.arange(3), [np.arange(3000)]):
        back = decode(memoryview(b"".join(encode(value).parts)))
        assert (back if isinstance(back, np.ndarray) else back[0]).flags.writeable


def test_two_views_of_one_array_are_equal_afterwards():
    """An array and a part of it in one value keep their contents."""
    array = np.arange(5000.0)
    back = round_trip([array, array, array[::2]])
    assert back[0] is back[1]
    assert back[2].tolist() == array[::2].tolist()


@pytest.mark.parametrize(
    "head",
    [
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<q9', 'fortran_order': False, 'shape': (1,), }",
        "__import__('os')",
        "(" * 5000,
    ],
)
def test_a_hostile_array_header_is_refused(head):
    """A header that promises more than there is, or objects, allocates nothing and runs nothing."""
    text = head.encode() + b"\n"
    body = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(8)
    with pytest.raises(IntegrityError):
        decode(memoryview(bytearray(write_header("npy", len(body)) + body)))


def test_something_that_is_only_called_ndarray_is_no_array():
    """A class of the same name goes through pickle."""
    ndarray = type("ndarray", (), {"__module__": "__main__"})
    assert encode(ndarray()).kind == "pickle"
    assert "numpy" in sys.modules


def test_a_missing_library_is_not_taken_for_damage(monkeypatch):
    """Where NumPy is not installed an array cannot be read, and its bytes are not to blame."""
    data = memoryview(bytearray(b"".join(encode(np.arange(3)).parts)))
    monkeypatch.setattr("pyflow.payload.arrays.np", late("no_such_numpy"))
    with pytest.raises(ModuleNotFoundError, match="no_such_numpy"):
        decode(data)
