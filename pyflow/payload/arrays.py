"""Codec of NumPy arrays: the body is a ``.npy`` file, so that any tool can read it.

Only plain arrays of plain numbers, texts and times, in one block of memory. Others keep their class, fields
or order better in a pickle, which takes their buffers along without a copy as well. NumPy is not imported
to encode: where it has not been imported yet, no value can be one of its arrays.
"""

from __future__ import annotations

import io
import math
import pickle
import sys
from typing import TYPE_CHECKING, Any, Final

from pyflow.errors import IntegrityError
from pyflow.late import late
from pyflow.payload import restore
from pyflow.payload.model import Body, Payload, Request, make_payload

if TYPE_CHECKING:
    import numpy as np
else:
    np = late("numpy")

_PLAIN_KINDS: Final = "biufcmMSU"
_BUILT_IN_TYPES: Final = 24  # NumPy counts its own types below this (NPY_NTYPES_LEGACY); others register above


def encode_array(value: Any, _request: Request) -> Payload | None:
    """A plain array, aliased; None when a pickle keeps it better."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or type(value) is not numpy.ndarray or not _is_plain(value) or not _is_one_block(value):
        return None
    header = io.BytesIO()
    form = numpy.lib.format
    try:
        form.write_array_header_1_0(header, form.header_data_from_array_1_0(value))
    except ValueError:  # more dimensions or longer names than this version of the format has room for
        return None
    data = memoryview(_flat_bytes(value))
    length = len(value) if value.ndim else None
    return make_payload("npy", (header.getvalue(), data), length=length)


def decode_array(body: Body) -> object:
    """An array on top of the payload's own bytes."""
    form = np.lib.format  # where NumPy is missing, this line says so
    head = io.BytesIO(body.data[:65536])  # the longest header of version 1.0, and the size before it
    try:
        if form.read_magic(head) != (1, 0):
            raise IntegrityError("A payload of the kind 'npy' is not in version 1.0 of that format.")
        shape, is_fortran, dtype = form.read_array_header_1_0(head)
    except Exception as error:  # NumPy's parser of such a header raises whatever Python's own parsers do
        raise IntegrityError(f"A payload of the kind 'npy' has no header of that format: {error}.") from error
    data = body.data[head.tell() :]
    if dtype.hasobject or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data):
        raise IntegrityError(f"A payload holds {len(data)} bytes for an array of {shape} × {dtype}.")
    if not len(data):
        return np.empty(shape, dtype, "F" if is_fortran else "C")
    return np.ndarray(shape, dtype, buffer=data, order="F" if is_fortran else "C")


def reduce_array(array: Any) -> Any:
    """How a pickle holds a plain array that NumPy itself would copy into the stream.

    Those of times, which offer no buffer, and those with gaps. NumPy also forgets the order of their bytes.
    """
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or type(array) is not numpy.ndarray or not _is_plain(array):
        return NotImplemented
    if _is_one_block(array) and array.dtype.kind not in "mM":
        return NotImplemented
    block = array if _is_one_block(array) else array.copy("C")
    order = "C" if block.flags.c_contiguous else "F"
    return restore.array, (pickle.PickleBuffer(_flat_bytes(block)), array.dtype.str, array.shape, order)


def _is_plain(array: Any) -> bool:
    dtype = array.dtype
    return dtype.kind in _PLAIN_KINDS and dtype.num < _BUILT_IN_TYPES and dtype.itemsize > 0 and dtype.metadata is None


def _is_one_block(array: Any) -> bool:
    return bool(array.flags.c_contiguous or array.flags.f_contiguous)


def _flat_bytes(array: Any) -> Any:
    """The memory of an array in one block, as one row of bytes."""
    in_order = array if array.flags.c_contiguous else array.T
    return in_order.reshape(-1).view("u1")
