"""The command line of a container task, made once while tracing, with a stand-in for each parameter.

A stand-in put into an f-string leaves a token there; the tokens are then cut out of the command, so that
each argument is a list of pieces, text or expression, to be put together when the values are known.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, NoReturn

from pyflow.errors import DefinitionError
from pyflow.graph import Expr, Function
from pyflow.tracing.drafts import Scope
from pyflow.tracing.traced import Traced
from pyflow.tracing.values import express


class CommandCall:
    """One call of a container task: its arguments as expressions, and the command made of stand-ins for them."""

    def __init__(
        self,
        function: Function,
        scope: Scope,
        needs: set[int],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        paths: Mapping[str, str],
        is_output_file: Callable[[Traced], bool],
    ) -> None:
        self._function = function
        self._paths = paths
        self._is_output_file = is_output_file
        self._signature = inspect.signature(function.fn)
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        self._values: list[Expr] = []
        self._nonce = os.urandom(6).hex()
        self._file_by_index: dict[int, tuple[str, str | None]] = {}
        for name, value in bound.arguments.items():
            bound.arguments[name] = self._stand_in(name, value, scope, needs)
        self._bound = bound

    def _stand_in(self, name: str, value: Any, scope: Scope, needs: set[int]) -> Any:
        kind = self._signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            return tuple(self._one(name, item, scope, needs) for item in value)
        if kind is inspect.Parameter.VAR_KEYWORD:
            return {key: self._one(key, item, scope, needs) for key, item in value.items()}
        return self._one(name, value, scope, needs)

    def _one(self, name: str, value: Any, scope: Scope, needs: set[int]) -> StandIn:
        index = len(self._values)
        self._values.append(express(value, scope, needs, f"argument {name!r} of {self._function.name!r}"))
        if name in self._paths or self._is_file(name, value):
            self._file_by_index[index] = (name, self._paths.get(name))
        return StandIn(name, f"\x02{self._nonce}.{index}\x03", self._function)

    def _is_file(self, name: str, value: Any) -> bool:
        parameter = self._signature.parameters.get(name)
        annotation = parameter.annotation if parameter is not None else None
        if isinstance(annotation, str):
            annotated = annotation.rpartition(".")[2] in ("Path", "PurePath", "PosixPath")
        else:
            annotated = isinstance(annotation, type) and issubclass(annotation, PurePath)
        return annotated or isinstance(value, PurePath) or (isinstance(value, Traced) and self._is_output_file(value))

    def files(self) -> tuple[tuple[str, Expr, str | None], ...]:
        """The arguments that are files or folders, each once."""
        return tuple((name, self._values[index], path) for index, (name, path) in self._file_by_index.items())

    def command(self) -> tuple[tuple[str | Expr, ...], ...]:
        """The command line, each argument in pieces."""
        function = self._function
        line = function.fn(*self._bound.args, **self._bound.kwargs)
        where = f"Container task {function.name!r} (at {function.at})"
        if not isinstance(line, (list, tuple)) or not line:
            raise DefinitionError(
                f"{where} must return the command line as a list of text, got {line!r}. Write ['sh', '-c', '...'] for a shell's line."
            )
        wrong = [word for word in line if not isinstance(word, (str, StandIn))]
        if wrong:
            listed = ", ".join(repr(word) for word in wrong)
            raise DefinitionError(
                f"{where} returned a command with {listed} in it, which is not text. Write str(...) around it."
            )
        return tuple(self._pieces(word if isinstance(word, str) else word.token, where) for word in line)

    def _pieces(self, word: str, where: str) -> tuple[str | Expr, ...]:
        pieces: list[str | Expr] = []
        # Text and indexes take turns: the pattern has one group.
        for position, piece in enumerate(re.split(f"\x02{self._nonce}\\.(\\d+)\x03", word)):
            if position % 2:
                pieces.append(self._value_in_command(int(piece)))
            elif piece:
                pieces.append(piece)
        if any(
            isinstance(piece, str) and (self._nonce in piece or "\x02" in piece or "\x03" in piece) for piece in pieces
        ):
            raise DefinitionError(
                f"{where} changes the text of an argument, which is not known yet. Arguments may stand alone or in f-strings; "
                "change the value in a task before."
            )
        return tuple(pieces) or ("",)

    def _value_in_command(self, index: int) -> str | Expr:
        _, path = self._file_by_index.get(index, ("", None))
        return self._values[index] if path is None else path


class StandIn:
    """Stands for a parameter of a container task while its command line is made."""

    __slots__ = ("_function", "_name", "token")

    def __init__(self, name: str, token: str, function: Function) -> None:
        self._name = name
        self.token = token
        self._function = function

    def __repr__(self) -> str:
        return f"<parameter {self._name} of container {self._function.name}>"

    def __str__(self) -> str:
        return self.token

    def __fspath__(self) -> str:
        return self.token

    def __format__(self, spec: str) -> str:
        if spec:
            raise self._refused(f"the format {spec!r}")
        return self.token

    def __add__(self, other: object) -> str:
        return self.token + str(other)

    def __radd__(self, other: object) -> str:
        return str(other) + self.token

    def __truediv__(self, other: object) -> str:
        return f"{self.token}/{other}"

    def __bool__(self) -> NoReturn:
        raise self._refused("bool(), if, and, or, not")

    def __iter__(self) -> NoReturn:
        raise self._refused("iteration")

    def __len__(self) -> NoReturn:
        raise self._refused("len()")

    def __eq__(self, other: object) -> NoReturn:
        raise self._refused("==")

    def __hash__(self) -> int:
        return id(self)

    def __getitem__(self, key: object) -> NoReturn:
        raise self._refused(f"[{key!r}]")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self._refused(f".{name}")

    def _refused(self, operation: str) -> DefinitionError:
        return DefinitionError(
            f"Container task {self._function.name!r} (at {self._function.at}) uses {operation} on its parameter {self._name!r}. The command "
            "line is made before the value is known: put the parameter into the list, alone or in an f-string, and do the rest in a task."
        )
