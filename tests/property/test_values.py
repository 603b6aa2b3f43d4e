"""Whatever a value is made of, it comes back equal and of the same types, or not at all."""

from __future__ import annotations

import datetime as dt
import math
import pickle
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyflow.errors import PyflowError
from pyflow.payload import NOT_SMALL, Payload, decode, encode, encode_small, read_header

# Every character there is, lone surrogates included.
texts = st.text(st.characters(), max_size=20)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**20_000), max_value=2**20_000),
    st.floats(),
    st.complex_numbers(),
    texts,
    st.binary(max_size=50),
    st.decimals(),
    st.fractions(),
    st.uuids(),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.datetimes(timezones=st.none() | st.timezones() | st.just(dt.timezone(dt.timedelta(minutes=-7)))),
    st.builds(bytearray, st.binary(max_size=20)),
    st.builds(range, st.integers(-5, 5), st.integers(-5, 5), st.sampled_from([-2, 1, 3])),
)
hashable = st.one_of(st.none(), st.booleans(), st.integers(), texts, st.binary(max_size=10), st.dates())


def containers(inner: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(
        st.lists(inner, max_size=6),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(texts, inner, max_size=5),
        st.dictionaries(hashable, inner, max_size=5),
        st.sets(hashable, max_size=5),
        st.frozensets(hashable, max_size=5),
        inner.map(lambda item: [item, item]),
        st.builds(ValueError, inner, texts),
    )


values = st.recursive(scalars, containers, max_leaves=25)
json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=20,
)


def bytes_of(payload: Payload) -> bytearray:
    return bytearray(b"".join(payload.parts))


def assert_same(found: object, expected: object) -> None:
    """Equal, and of the same type at every depth; NaN is NaN and -0.0 is -0.0."""
    assert type(found) is type(expected)
    if isinstance(expected, float):
        assert math.isnan(expected) == math.isnan(found)
        assert math.isnan(expected) or (found == expected and math.copysign(1, found) == math.copysign(1, expected))
    elif isinstance(expected, complex):
        assert_same(found.real, expected.real)
        assert_same(found.imag, expected.imag)
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, dict):
        for one, other in zip(found.items(), expected.items(), strict=True):
            assert_same(one, other)
    elif isinstance(expected, BaseException):
        assert_same(found.args, expected.args)
    elif not (hasattr(expected, "is_nan") and expected.is_nan()):
        assert found == expected
        assert not isinstance(expected, dt.datetime) or (found.fold, found.tzinfo) == (expected.fold, expected.tzinfo)


def identity_map(value: object) -> list[int]:
    """For each list and dict in a value, in order, which one it is: equal maps mean equal sharing."""
    order: dict[int, int] = {}
    met: list[int] = []

    def visit(item: object) -> None:
        if isinstance(item, (list, dict)):
            met.append(order.setdefault(id(item), len(order)))
            for part in item.values() if isinstance(item, dict) else item:
                visit(part)

    visit(value)
    return met


@given(values | json_like)
@settings(suppress_health_check=[HealthCheck.too_slow])
@example([[]] * 2)
@example({"": {"\ud800": "\udc00"}})
def test_what_goes_in_comes_out(value):
    """A value comes back equal, of the same types at every depth, and shared where it was shared."""
    payload = encode(value)
    data = bytes_of(payload)
    assert len(data) == payload.size
    assert sum(len(part) for part in payload.parts) == payload.size
    back = decode(memoryview(data))
    assert_same(back, value)
    assert identity_map(back) == identity_map(value)


@given(json_like)
def test_encoding_again_gives_the_same_plain_bytes(value):
    """What travels as JSON or text has one form, so equal values have equal bytes."""
    payload = encode(value)
    if payload.kind in {"json", "text"}:
        assert bytes_of(encode(decode(memoryview(bytes_of(payload))))) == bytes_of(payload)


@given(scalars)
def test_a_small_value_is_itself_in_json(value):
    """What may stand in a reference is exactly what strict JSON gives back."""
    small = encode_small(value)
    if small is not NOT_SMALL:
        assert small is value
        assert encode(value).kind in {"json", "text"}


@given(st.binary(max_size=300))
@example(b"PYFLOW1\n" + b"\xff" * 100)
def test_bytes_at_random_are_refused(data):
    """Bytes that are no payload raise an error of pyflow's, and no other."""
    with pytest.raises(PyflowError):
        decode(memoryview(bytearray(data)))


@given(st.sampled_from([1, "text", b"bytes", [1, {"a": 2}], (1, bytearray(6000))]), st.data())
def test_a_changed_header_never_crashes(value, data):
    """A flipped bit in the header is refused, or changes nothing that matters; no other error escapes."""
    whole = bytes_of(encode(value))
    start = read_header(whole).body_start
    at = data.draw(st.integers(0, start - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    found = _outcome(lambda: decode(memoryview(whole)))
    assert isinstance(found, (PyflowError, pickle.UnpicklingError)) or found is not None


@given(st.sampled_from([1, "text", b"bytes", [1, {"a": 2}], (1, 2)]), st.data())
def test_a_cut_payload_is_refused(value, data):
    """However much is missing at the end, it is noticed."""
    whole = bytes_of(encode(value))
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(PyflowError):
        decode(memoryview(whole[:length]))


def _outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except PyflowError as error:
        return error


def test_arrays_come_back_whatever_their_shape_and_type():
    """Arrays of any dtype, shape, order and stride are equal afterwards, bit by bit."""
    np = pytest.importorskip("numpy")
    arrays = pytest.importorskip("hypothesis.extra.numpy")

    @given(
        arrays.arrays(
            dtype=arrays.scalar_dtypes() | arrays.array_dtypes() | arrays.nested_dtypes(),
            shape=arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        ),
        st.data(),
    )
    @settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    def check(array, data):
        if array.ndim and data.draw(st.booleans()):
            array = array[tuple(slice(None, None, data.draw(st.sampled_from([-1, 1, 2]))) for _ in array.shape)]
        if data.draw(st.booleans()):
            array = array.T
        back = decode(memoryview(bytes_of(encode([array, 1] if data.draw(st.booleans()) else array))))
        back = back[0] if isinstance(back, list) else back
        assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())
        assert isinstance(back, np.ndarray)

    check()
