"""Codec of pandas frames with texts: an Arrow stream, but only where it gives back the same frame.

Frames of numbers go through pickle, whose buffers need no copy at all. Texts are Python objects there, one
by one, and Arrow is smaller and faster. It is tried when pyarrow is loaded anyway, on large frames with
a plain index, and what it wrote is read back and compared before it is trusted.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from pyflow.errors import IntegrityError
from pyflow.late import late
from pyflow.payload.model import Body, Payload, Request, make_payload

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = late("pyarrow")

_MIN_ROWS: Final = 10_000
_PLAIN_NUMBERS: Final = "biuf"


def encode_frame(value: Any, _request: Request) -> Payload | None:
    """A frame as an Arrow stream; None when a pickle serves it better."""
    pandas, pyarrow = sys.modules.get("pandas"), sys.modules.get("pyarrow")
    if pandas is None or pyarrow is None or type(value) is not getattr(pandas, "DataFrame", None):
        return None
    if len(value) < _MIN_ROWS or not _is_plain(value, pandas):
        return None
    stream = _write(value, pyarrow)
    if stream is None or not _is_same(_read(memoryview(stream)), value):
        return None
    return make_payload("arrow", (memoryview(stream),), length=len(value))


def decode_frame(body: Body) -> object:
    """A frame of the caller's own."""
    signs_of_damage = (pa.ArrowException, ValueError, OSError)  # where pyarrow is missing, this line says so
    try:
        return _read(body.data)
    except signs_of_damage as error:
        raise IntegrityError(f"A payload of the kind 'arrow' is damaged: {error}.") from error


def _is_plain(frame: Any, pandas: Any) -> bool:
    """True when Arrow has a chance to keep the frame, and something to gain."""
    columns, index = frame.columns, frame.index
    plain_labels = (
        type(columns) is pandas.Index
        and columns.is_unique
        and columns.name is None
        and all(type(name) is str for name in columns)
        and type(index) is pandas.RangeIndex
        and index.name is None
    )
    if not plain_labels or frame.attrs or not frame.flags.allows_duplicate_labels:
        return False
    texts = [column for _, column in frame.items() if not _is_number(column.dtype)]
    return bool(texts) and all(_is_text(column) for column in texts)


def _is_number(dtype: Any) -> bool:
    return type(dtype).__module__.partition(".")[0] == "numpy" and dtype.kind in _PLAIN_NUMBERS


def _is_text(column: Any) -> bool:
    if str(column.dtype) in {"str", "string"}:
        return True
    return str(column.dtype) == "object" and set(map(type, column)) == {str}


def _write(frame: Any, pyarrow: Any) -> Any:
    try:
        table = pyarrow.Table.from_pandas(frame)
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    except (pyarrow.ArrowException, ValueError, TypeError, AttributeError):  # surrogates, among others
        return None
    return sink.getvalue()


def _read(data: memoryview) -> Any:
    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        frame = reader.read_all().to_pandas()
    return frame.copy()  # Arrow's own memory is read-only, and a task may write to its inputs


def _is_same(found: Any, frame: Any) -> bool:
    return (
        type(found) is type(frame)
        and list(found.dtypes) == list(frame.dtypes)
        and type(found.index) is type(frame.index)
        and found.index.equals(frame.index)
        and found.columns.equals(frame.columns)
        and found.columns.dtype == frame.columns.dtype
        and not found.attrs
        and bool(found.equals(frame))
    )
