"""Frames come back equal, whichever format carries them."""

from __future__ import annotations

import functools

import pytest

from pyflow.late import late
from pyflow.payload import decode, encode

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")

MANY = 10_000


def round_trip(value: object) -> object:
    return decode(memoryview(bytearray(b"".join(encode(value).parts))))


@functools.cache
def frames() -> dict:
    texts = [f"t{i % 7}" for i in range(MANY)]
    number = pd.DataFrame({"a": range(MANY), "b": np.linspace(0, 1, MANY)})
    named = number.assign(t=texts)
    named.columns.name = "columns"
    marked = number.assign(t=texts)
    marked.attrs["unit"] = "m"
    return {
        "numbers": number,
        "texts": number.assign(t=texts),
        "objects": pd.DataFrame({"t": pd.Series(texts, dtype=object), "n": 1}),
        "mixed objects": pd.DataFrame({"t": pd.Series([1, "a", None, 2.5] * (MANY // 4), dtype=object)}),
        "none and nan": pd.DataFrame({"t": pd.Series([None, float("nan"), "x", "y"] * (MANY // 4), dtype=object)}),
        "surrogates": pd.DataFrame({"t": pd.Series(["\ud800"] * MANY, dtype=object)}),
        "missing texts": number.assign(t=[None, *texts[1:]]),
        "own index": number.assign(t=texts).set_index("a"),
        "dates": number.assign(t=texts, d=pd.date_range("2024", periods=MANY, freq="h", tz="Europe/Berlin")),
        "categories": number.assign(t=pd.Categorical(texts)),
        "levels": number.assign(t=texts).set_index(["a", "t"]),
        "twice": pd.DataFrame([texts, texts]).T.set_axis(["t", "t"], axis=1),
        "column name": named,
        "attrs": marked,
        "int columns": pd.DataFrame({0: texts}),
        "nullable": number.assign(t=texts, i=pd.array([None, *range(MANY - 1)], dtype="Int64")),
        "empty": pd.DataFrame(),
        "no rows": pd.DataFrame({"a": [], "t": pd.Series([], dtype=object)}),
    }


@pytest.mark.parametrize("name", frames())
def test_a_frame_comes_back_equal_and_writable(name):
    """Values, dtypes, index, columns and attrs are the same, and the frame can be written to."""
    frame = frames()[name]
    back = round_trip(frame)
    pd.testing.assert_frame_equal(back, frame, check_exact=True, check_freq=True, check_flags=True)
    assert type(back.index) is type(frame.index)
    assert back.attrs == frame.attrs
    if len(back) and "a" in back:
        back.loc[0, "a"] = 5
        assert back.loc[0, "a"] == 5


def test_texts_travel_as_arrow_and_numbers_as_buffers():
    """Arrow is used where it gains something and changes nothing; a frame of numbers needs no copy at all."""
    table = frames()
    kinds = {name: encode(frame).kind for name, frame in table.items()}
    assert kinds["texts"] == "arrow"
    assert kinds["numbers"] == kinds["mixed objects"] == kinds["attrs"] == kinds["categories"] == "pickle"
    assert encode(table["texts"]).length == MANY


def test_none_and_nan_stay_apart():
    """A column of objects keeps None as None and NaN as NaN."""
    back = round_trip(frames()["none and nan"])
    assert back["t"][0] is None
    assert isinstance(back["t"][1], float)


def test_series_and_indices_come_back_equal():
    """So do the other things of pandas."""
    series = pd.Series([1.5, None], index=pd.Index(["a", "b"], name="i"), name="s")
    pd.testing.assert_series_equal(round_trip(series), series)
    index = pd.MultiIndex.from_product([[1, 2], ["a"]], names=["x", None])
    pd.testing.assert_index_equal(round_trip(index), index, exact=True)


def test_a_missing_library_is_not_taken_for_damage(monkeypatch):
    """Where pyarrow is not installed such a frame cannot be read, and its bytes are not to blame."""
    payload = encode(frames()["texts"])
    assert payload.kind == "arrow"
    monkeypatch.setattr("pyflow.payload.frames.pa", late("no_such_arrow"))
    with pytest.raises(ModuleNotFoundError, match="no_such_arrow"):
        decode(memoryview(bytearray(b"".join(payload.parts))))
