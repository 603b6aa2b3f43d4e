"""Python objects ⇄ bytes.

    payload = encode(value)            # payload.parts are the bytes, in pieces that may alias the value
    value = decode(memoryview(data))   # a value of one's own, that may alias the data

What the bytes look like is told in ``header``, which codec makes them in ``codecs``. Where they are kept, and
that they are the ones that were written, is the store's affair: nothing here is to be decoded unverified.
"""

from pyflow.payload.classes import own_code
from pyflow.payload.coding import decode, encode, encode_function
from pyflow.payload.explain import LargeCaptureWarning
from pyflow.payload.files import LeftOutWarning
from pyflow.payload.header import KINDS, Header, read_header
from pyflow.payload.model import Payload
from pyflow.payload.plain import NOT_SMALL, encode_small
from pyflow.payload.state import seen_by, watch
from pyflow.payload.trail import spell_key

__all__ = [
    "KINDS",
    "Header",
    "LargeCaptureWarning",
    "LeftOutWarning",
    "NOT_SMALL",
    "Payload",
    "decode",
    "encode",
    "encode_function",
    "encode_small",
    "own_code",
    "read_header",
    "seen_by",
    "spell_key",
    "watch",
]
