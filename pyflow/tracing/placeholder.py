"""What a task call returns while a pipeline is traced, and what every Python operator does with it.

Parts (``[…]``, attributes, unpacking of a known length) are placeholders, comparisons are conditions,
``>>`` says an order. Everything else raises one error that says where, and what to write instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, NoReturn

from pyflow.errors import DefinitionError
from pyflow.graph import CallNode, Compare, CompareOp, Location, Path, Truth
from pyflow.tracing.condition import Condition, misplaced
from pyflow.tracing.drafts import Draft, InputOrigin, LeafDraft
from pyflow.tracing.location import here
from pyflow.tracing.order import add_edges, calls_of
from pyflow.tracing.recorder import active
from pyflow.tracing.traced import Traced, describe, part_text, refused
from pyflow.tracing.values import express

_IN_A_TASK: Final = "Do it inside a task, where the value is there: @task def total(a, b): return a + b."


class Placeholder(Traced):
    """Stands for the result of a call, or a part of it, while a pipeline is traced."""

    __slots__ = ()

    def __init__(
        self,
        origin: Draft | InputOrigin,
        path: Path = (),
        length: int | None = None,
        span: tuple[Draft, ...] | None = None,
        at: Location | None = None,
    ) -> None:
        _set_origin(self, origin)
        _set_path(self, path)
        _set_length(self, length)
        _set_span(self, span)
        _set_at(self, at)

    def __repr__(self) -> str:
        origin = self.__pyflow_origin__
        kind = "result of" if isinstance(origin, Draft) else "parameter"
        return f"<{kind} {origin.name}{part_text(self.__pyflow_path__)}>"

    # Parts

    def __getitem__(self, key: Any) -> Placeholder:
        if isinstance(key, Traced):
            raise refused(
                self,
                f"[{key!r}]",
                "The key is a placeholder, too: pick the item in a task, @task def pick(items, key): return items[key].",
            )
        if isinstance(key, Condition):
            raise misplaced(key, what="An index")
        return self.__pyflow_part__("item", key)

    def __getattr__(self, name: str) -> Placeholder:
        # Python, notebooks and libraries probe for protocols by these names; a part would look like a "yes".
        if name.startswith(("__", "_repr_", "_ipython")):
            raise AttributeError(f"A placeholder has no {name!r}.")
        return self.__pyflow_part__("attr", name)

    def __pyflow_part__(self, kind: Any, key: object) -> Placeholder:
        origin = self.__pyflow_origin__
        if not origin.scope.trace.is_open:
            raise refused(self, part_text(((kind, key),)), "")
        path = self.__pyflow_path__
        return Placeholder(origin, (*path, origin.step(path, (kind, key))), None, self.__pyflow_span__, here())

    def __iter__(self) -> Iterator[Placeholder]:
        length = self.__pyflow_length__
        if length is None:
            raise refused(
                self,
                "iteration or unpacking",
                "To unpack a known number of parts, say it: @task(outputs=2), or annotate the task `-> tuple[A, B]`. "
                "To do something for each item, write other_task.map(value); what needs all of them, such as sum() or sorted(), belongs in a task.",
            )
        _fix_length(self, length)
        return iter([self.__pyflow_part__("item", index) for index in range(length)])

    def __len__(self) -> int:
        if self.__pyflow_length__ is None:
            raise refused(self, "len()", "Count inside a task: @task def count(items): return len(items).")
        return self.__pyflow_length__

    # Conditions

    def __lt__(self, other: object) -> Condition:
        return _compare(self, "lt", other)

    def __le__(self, other: object) -> Condition:
        return _compare(self, "le", other)

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return _compare(self, "eq", other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return _compare(self, "ne", other)

    def __gt__(self, other: object) -> Condition:
        return _compare(self, "gt", other)

    def __ge__(self, other: object) -> Condition:
        return _compare(self, "ge", other)

    def __and__(self, other: object) -> Condition:
        return truth(self, "&") & _operand(self, other, "&")

    def __or__(self, other: object) -> Condition:
        return truth(self, "|") | _operand(self, other, "|")

    def __rand__(self, other: object) -> Condition:
        return _operand(self, other, "&") & truth(self, "&")

    def __ror__(self, other: object) -> Condition:
        return _operand(self, other, "|") | truth(self, "|")

    def __invert__(self) -> Condition:
        return ~truth(self, "~")

    # Order

    def __rshift__(self, other: Any) -> Any:
        add_edges(calls_of(self, ">>"), calls_of(other, ">>"), ">>")
        return other

    def __rrshift__(self, other: Any) -> Placeholder:
        add_edges(calls_of(other, ">>"), calls_of(self, ">>"), ">>")
        return self

    # A copy stands for the same value, and every task gets one of its own anyway.

    def __copy__(self) -> Placeholder:
        return self

    def __deepcopy__(self, memo: object) -> Placeholder:
        return self

    def __hash__(self) -> NoReturn:
        raise refused(
            self,
            "hash() (a set, or the key of a dict)",
            "A set cannot hold a placeholder, since it compares what it holds: use a list, or make the set in a task.",
        )

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """Refuse: what a task returned can only be called in another task."""
        path = self.__pyflow_path__
        if not path or path[-1][0] != "attr":
            raise refused(self, "a call, (),", "Call what the task returned inside another task.")
        name = path[-1][1]
        advice = f"Call the method inside a task: @task def {name}(value): return value.{name}()."
        if name == "keys":  # Python asks for them to unpack
            advice = f"For f(**value), name the arguments: f(x=value['x']). {advice}"
        raise refused(Placeholder(self.__pyflow_origin__, path[:-1]), f".{name}()", advice)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise DefinitionError(
            f"A function, a data frame or another object holds {describe(self)}, and a placeholder cannot be pickled. Give the value to the "
            "task as an argument of its own; inside lists, tuples, dicts, dataclasses and named tuples placeholders are found."
        )

    def __array_ufunc__(self, ufunc: Any, *_: object, **__: object) -> NoReturn:
        raise refused(self, f"numpy.{getattr(ufunc, '__name__', ufunc)}", _IN_A_TASK)

    def __array_function__(self, function: Any, *_: object, **__: object) -> NoReturn:
        raise refused(self, f"{function.__module__}.{function.__name__}", _IN_A_TASK)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise refused(self, f".{name} = …", "Change the value in a task, and return it.")

    def __delattr__(self, name: str) -> NoReturn:
        raise refused(self, f"del .{name}", "Change the value in a task, and return it.")


# The slots' own setters: the class refuses assignments from outside.
_set_origin: Final = Traced.__dict__["__pyflow_origin__"].__set__
_set_path: Final = Traced.__dict__["__pyflow_path__"].__set__
_set_length: Final = Traced.__dict__["__pyflow_length__"].__set__
_set_span: Final = Traced.__dict__["__pyflow_span__"].__set__
_set_at: Final = Traced.__dict__["__pyflow_at__"].__set__


def _compare(left: Placeholder, op: CompareOp, right: object) -> Condition:
    sign = {"lt": "<", "le": "<=", "eq": "==", "ne": "!=", "gt": ">", "ge": ">="}[op]
    trace = active.trace
    if trace is None:
        raise refused(left, sign, "Compare in a task.")
    needs: set[int] = set()
    mine = express(left, trace.scope, needs, "the left side of a comparison")
    theirs = express(right, trace.scope, needs, "the right side of a comparison")
    return Condition(trace, Compare(op, mine, theirs), needs, f"{_short(left)} {sign} {_short(right)}")


def _short(value: object) -> str:
    if isinstance(value, Traced):
        return f"{value.__pyflow_origin__.name}{part_text(value.__pyflow_path__)}"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def truth(value: Placeholder, operation: str) -> Condition:
    """The condition that a value is true in Python's sense."""
    trace = active.trace
    if trace is None:
        raise refused(value, operation, "Ask for it in a task.")
    needs: set[int] = set()
    return Condition(trace, Truth(express(value, trace.scope, needs, "a condition")), needs, _short(value))


def _operand(value: Placeholder, other: object, operation: str) -> Condition:
    if isinstance(other, Condition):
        return other
    if isinstance(other, Placeholder):
        return truth(other, operation)
    raise refused(value, operation, f"`{operation}` puts conditions together. {_IN_A_TASK}")


def _fix_length(value: Placeholder, length: int) -> None:
    """Remember that the result was unpacked: another number of parts must fail the task, as it does in Python."""
    origin = value.__pyflow_origin__
    if value.__pyflow_path__ or not isinstance(origin, LeafDraft) or not isinstance(origin.node, CallNode):
        return
    if origin.node.options.outputs is None:
        origin.node = replace(origin.node, options=replace(origin.node.options, outputs=length))


def _refuse(operation: str, advice: str) -> Callable[..., NoReturn]:
    def refuse(self: Placeholder, *_: object, **__: object) -> NoReturn:
        __tracebackhide__ = True  # IPython and pytest leave frames out that say so
        raise refused(self, operation, advice)

    return refuse


_TEXT: Final = "Make the text in a task: @task def text(value): return f'{value}'. For a label while tracing, use repr() or {value!r}."
_NUMBER: Final = "Convert it inside the task that uses it."
_BOOL: Final = (
    "Instead of `if`, write `with when(value):` and `with otherwise():`; instead of `and`, `or`, `not` write `&`, `|`, `~` "
    "between conditions."
)
_PATH: Final = "Open the file inside a task: a task that is given a path gets one of its own."
_CHANGE: Final = "Change the value in a task, and return it."

_REFUSED: Final = {
    "bool": ("bool() (as in if, while, and, or, not)", _BOOL),
    "contains": ("`in`", "Look inside the value in a task, and use its answer in `when`."),
    "reversed": ("reversed()", _IN_A_TASK),
    "next": ("next()", _IN_A_TASK),
    "str": ("str(), print() or an f-string", _TEXT),
    "format": ("an f-string or format()", _TEXT),
    "bytes": ("bytes()", _TEXT),
    "int": ("int()", _NUMBER),
    "float": ("float()", _NUMBER),
    "complex": ("complex()", _NUMBER),
    "index": ("a count or an index (range(), [i], slices)", "To do something n times, map over a task that returns a list."),
    "fspath": ("open(), Path() or os.path", _PATH),
    "array": ("a numpy or pandas call", _IN_A_TASK),
    "dataframe": ("a data frame call", _IN_A_TASK),
    "setitem": ("[…] = …", _CHANGE),
    "delitem": ("del […]", _CHANGE),
    "enter": ("`with`", "Use `with` inside a task."),
    "exit": ("`with`", "Use `with` inside a task."),
    "aenter": ("`async with`", "Use it inside a task; a task may be an async function."),
    "aexit": ("`async with`", "Use it inside a task; a task may be an async function."),
    "aiter": ("`async for`", "Use it inside a task; a task may be an async function."),
    "anext": ("anext()", "Use it inside a task; a task may be an async function."),
    "await": ("`await`", "A task may be an async function; its caller gets the result without await."),
    "round": ("round()", _NUMBER),
    "trunc": ("math.trunc()", _NUMBER),
    "floor": ("math.floor()", _NUMBER),
    "ceil": ("math.ceil()", _NUMBER),
    "neg": ("-", _IN_A_TASK),
    "pos": ("+", _IN_A_TASK),
    "abs": ("abs()", _IN_A_TASK),
    "divmod": ("divmod()", _IN_A_TASK),
    "lshift": ("<<", "To say that b comes after a, write a >> b."),
    "xor": ("^", "Put conditions together by &, | and ~."),
}  # fmt: skip
_ARITHMETIC: Final = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**", "matmul": "@",
}  # fmt: skip


def _add_refusals() -> None:
    for name, (operation, advice) in _REFUSED.items():
        setattr(Placeholder, f"__{name}__", _refuse(operation, advice))
    for name, sign in _ARITHMETIC.items():
        setattr(Placeholder, f"__{name}__", _refuse(sign, _IN_A_TASK))
        setattr(Placeholder, f"__r{name}__", _refuse(sign, _IN_A_TASK))
    for name in ("divmod", "lshift", "xor"):
        setattr(Placeholder, f"__r{name}__", _refuse(*_REFUSED[name]))


_add_refusals()
