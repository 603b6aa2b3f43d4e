"""Random programs, as ``programs.build`` and ``reference.Reference`` take them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

number = st.integers(0, 99)
an_int, a_list = st.tuples(number, st.just(False)), st.tuples(number, st.just(True))
call = st.one_of(
    st.tuples(st.just("add"), an_int, an_int),
    st.tuples(st.just("risky"), an_int),
    st.tuples(st.just("heal"), an_int),
    st.tuples(st.just("numbers"), an_int),
    st.tuples(st.just("numbers"), an_int),
    st.tuples(st.just("total"), a_list),
    st.tuples(st.just("first"), a_list),
    st.tuples(st.just("after"), number, number),
    st.tuples(st.just("map"), number, st.sampled_from(["plus", "plus", "risky"]), st.integers(1, 3)),
)
rare = st.tuples(st.just("dead"), an_int)
statement = st.deferred(
    lambda: st.one_of(
        call,
        call,
        call,
        rare,
        st.tuples(st.just("sub"), number, number, program),
        st.tuples(st.just("inline"), number, program),
        st.tuples(st.just("when"), number, st.integers(0, 8), program, st.none() | program, st.none() | st.just(7)),
    )
)
program = st.lists(statement, max_size=5)


def size(statements: list[Any]) -> int:
    """How many statements a program has, those inside of others included."""
    return sum(1 + sum(size(part) for part in parts if isinstance(part, list)) for _, *parts in statements)
