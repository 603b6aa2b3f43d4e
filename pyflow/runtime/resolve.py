"""Packed expressions → values, by looking up what has been committed.

Nobody hands values to a worker: it reads each from the store, so that its inputs are its own, wherever
it runs. A value that several arguments share is loaded once and shared, as in a plain call.
"""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any, Final

from pyflow.artifacts import load
from pyflow.contract import Outcome, result_in, slot_of
from pyflow.errors import DefinitionError, IntegrityError, NotFoundError, add_note
from pyflow.jsontext import Json, parse
from pyflow.packed import PackedCall, PackedMap, PackedSelect, nodes_in
from pyflow.runtime.program import Place, Program
from pyflow.store import ContentStore

Indices = tuple[int, ...]

EXIT_SLOT: Final = "exit"
"""Where the outcome of the whole run is committed for the exit handler."""

# As many records as a store can hold near while they are used.
_AT_ONCE: Final = 1000


class Resolver:
    """Values for one node at one index vector of one run.

    Args:
        program: The graph.
        content: The store of the run.
        run_id: The run.
        scratch: Folder for files that values consist of; made only if there are any.
    """

    def __init__(self, program: Program, content: ContentStore, run_id: str, scratch: Path) -> None:
        self._program = program
        self._content = content
        self._commits = content.commits(run_id, program.digest)
        self._run_id = run_id
        self._scratch = scratch
        self._values: dict[tuple[int, Indices], object] = {}
        self._outcomes: dict[str, Outcome] = {}

    def value(self, expr: Json, place: Place, indices: Indices) -> Any:
        """The value of an expression that stands at a place, for an index vector of that place."""
        if not isinstance(expr, dict):
            return expr
        if "ref" in expr:
            return self._walk(self.node_value(expr["ref"], indices), expr, place, indices)
        if "in" in expr:
            return self._walk(self._input(expr["in"], place, indices), expr, place, indices)
        if "artifact" in expr:
            return self._load(expr["artifact"], "a constant")
        if "list" in expr:
            return self._list(expr["list"], place, indices)
        if "tuple" in expr:
            return tuple(self.value(item, place, indices) for item in expr["tuple"])
        if "dict" in expr:
            return {self.value(k, place, indices): self.value(v, place, indices) for k, v in expr["dict"]}
        return self._object(expr, place, indices)

    def _list(self, items: list[Json], place: Place, indices: Indices) -> list[Any]:
        found: list[Any] = []
        for start in range(0, len(items), _AT_ONCE):
            part = items[start : start + _AT_ONCE]
            if len(part) > 1:
                wanted = (node for node in nodes_in(part) if isinstance(self._program.place(node).node, PackedCall))
                self._commits.prefetch(slot_of(node, indices) for node in wanted)
            found += [self.value(item, place, indices) for item in part]
        return found

    def count(self, node: PackedMap, indices: Indices) -> int:
        """How many items a map has."""
        return self._length(next(i["value"] for i in node.inputs if i["each"]), indices)

    def _length(self, value: Json, indices: Indices) -> int:
        if "sequence" in value:
            return int(value["sequence"]["length"])
        if "list" in value:
            return len(value["list"])
        if "items" in value:
            return int(self._fact(value["items"], indices)["length"])
        return self.count(self._program.map_of(value["ref"]), indices)

    def lengths(self, node: PackedMap, indices: Indices) -> list[int]:
        """How long each of the mapped inputs of a map is; they should be equal."""
        return [self._length(i["value"], indices) for i in node.inputs if i["each"]]

    def holds(self, condition: Json, place: Place, indices: Indices) -> bool:
        """Whether a packed condition is true."""
        op, *operands = condition
        if op == "not":
            return not self.holds(operands[0], place, indices)
        if op == "and":
            return all(self.holds(operand, place, indices) for operand in operands)
        if op == "or":
            return any(self.holds(operand, place, indices) for operand in operands)
        values = [self.value(operand, place, indices) for operand in operands]
        return bool(values[0]) if op == "truth" else bool(getattr(operator, op)(*values))

    def know(self, node: int, indices: Indices, value: object) -> None:
        """Use this value for a node, rather than look it up."""
        self._values[node, indices] = value

    def outcome(self, node: int, indices: Indices) -> Outcome:
        """What was committed for a node.

        Raises:
            IntegrityError: Nothing was, though somebody waited for it.
        """
        slot = slot_of(node, indices)
        found = self._outcomes.get(slot)
        if found is None:
            found = self._outcomes[slot] = Outcome.from_wire(parse(self._committed(node, slot)))
        return found

    def _committed(self, node: int, slot: str) -> bytes:
        record = self._commits.committed(slot)
        if record is None:
            name = self._program.place(node).node.name
            self._commits.check_missing(slot, repr(name))
            raise IntegrityError(
                f"Run {self._run_id} has no committed result for {name!r} (slot {slot}) in "
                f"{self._content.blobs.url}, though a task that needs it was started."
            )
        return record

    def node_value(self, node: int, indices: Indices) -> object:
        """The result of a node; of a map the list of its items' results."""
        key = (node, indices)
        if key not in self._values:
            self._values[key] = self._make_node_value(node, indices)
        return self._values[key]

    def _make_node_value(self, node: int, indices: Indices) -> object:
        place = self._program.place(node)
        if isinstance(place.node, PackedMap):
            return self._map_results(place, indices)
        if isinstance(place.node, PackedSelect):
            return self._select(place.node, place, indices)
        return self._result(node, slot_of(node, indices))

    def _map_results(self, place: Place, indices: Indices) -> list[object]:
        assert isinstance(place.node, PackedMap)
        output, count = place.node.body.output, self.count(place.node, indices)
        inside = Place(place.node, (*place.maps, place.node.id), ())
        # Nearly always a map gives what one task in it has returned, and nobody else can ask for that item.
        task: int = output["ref"] if isinstance(output, dict) and output.keys() == {"ref"} else -1
        is_plain = task >= 0 and isinstance(self._program.place(task).node, PackedCall)
        found: list[object] = []
        for start in range(0, count, _AT_ONCE):
            items = range(start, min(start + _AT_ONCE, count))
            if count > 1:
                self._commits.prefetch(slot_of(node, (*indices, i)) for node in nodes_in(output) for i in items)
            if is_plain:
                found += [self._result(task, slot_of(task, (*indices, i))) for i in items]
            else:
                found += [self.value(output, inside, (*indices, i)) for i in items]
        return found

    def _result(self, node: int, slot: str) -> object:
        # Of a fan-in's many results nothing else is of interest: the whole outcome would cost twice as much.
        return self._load(result_in(self._committed(node, slot)), node, slot)

    def _select(self, node: PackedSelect, place: Place, indices: Indices) -> object:
        for candidate in node.candidates:
            if all(self.was_taken(n, indices) for n in nodes_in(candidate)):
                return self.value(candidate, place, indices)
        if not node.has_default:
            raise DefinitionError(node.none_made)
        return self.value(node.default, place, indices)

    def was_taken(self, node: int, indices: Indices) -> bool:
        """Whether the branches around a node were decided its way, from the outside in."""
        guards = self._program.place(node).guards
        return all(bool(self._fact(branch.fact, indices)) is side for branch, side in guards)

    def _fact(self, which: list[int], indices: Indices) -> Any:
        node, index = which
        return self.outcome(node, indices).facts[index]

    def _input(self, index: int, place: Place, indices: Indices) -> object:
        if not place.maps:
            return self._load(self._exit_outcome(), "the outcome of the run")
        around = self._program.place(place.maps[-1])
        source = self._program.map_of(place.maps[-1]).inputs[index]
        outer, item = indices[:-1], indices[-1]
        if not source["each"]:
            return self.value(source["value"], around, outer)
        return self._item(source["value"], around, outer, item)

    def _item(self, value: Json, around: Place, outer: Indices, item: int) -> object:
        if "sequence" in value:
            return self._load(self._program.items(value["sequence"], self._content)[item], "an item of a map")
        if "list" in value:
            return self.value(value["list"][item], around, outer)
        if "items" in value:
            node, fact = value["items"][0], self._fact(value["items"], outer)
            try:
                artifact = self._program.items(fact, self._content)[item]
            except (IntegrityError, NotFoundError) as error:
                raise self._unusable(error, node, slot_of(node, outer)) from error
            return self._load(artifact, node, slot_of(node, outer))
        source = self._program.map_of(value["ref"])
        inside = Place(source, (*self._program.place(source.id).maps, source.id), ())
        return self.value(source.body.output, inside, (*outer, item))

    def _exit_outcome(self) -> Json:
        record = self._commits.committed(EXIT_SLOT)
        if record is None:
            self._commits.check_missing(EXIT_SLOT, "how the run ended")
            raise IntegrityError(f"Run {self._run_id} has not ended, so its exit handler has no outcome to get.")
        return parse(record)["result"]

    def _walk(self, value: Any, expr: Json, place: Place, indices: Indices) -> Any:
        taken: list[tuple[str, Any]] = []
        for kind, packed_key in expr.get("path", ()):
            key = self.value(packed_key, place, indices)
            taken.append((kind, key))
            try:
                value = value[key] if kind == "item" else getattr(value, key)
            except Exception as error:  # indexing runs the user's code, which may raise anything
                add_note(error, self._part_text(taken, expr, place))
                raise
        return value

    def _part_text(self, taken: list[tuple[str, Any]], expr: Json, place: Place) -> str:
        """Which part of what could not be taken, where in the author's file that stands, and who needed it."""
        part = "".join(f"[{key!r}]" if kind == "item" else f".{key}" for kind, key in taken)
        maker = self._program.place(expr["ref"]).node if "ref" in expr else None
        whose = "an item of a map" if maker is None else f"the result of {maker.name!r}"
        at = f" at {expr['at']}" if expr.get("at") else ""
        is_own = place.node in (None, maker) or self._program.graph.is_helper(place.node)
        return f"This was raised by taking {part} of {whose}{at}{'' if is_own else f', for {place.node.name!r}'}."

    def _object(self, expr: Json, place: Place, indices: Indices) -> object:
        made_of = {name: self.value(value, place, indices) for name, value in expr["fields"]}
        cls: Any = self._load(expr["object"], "a class")
        if issubclass(cls, tuple):
            return cls._make(made_of.values())
        # The author's object was initialised while tracing; doing it again could have other effects.
        made = object.__new__(cls)
        for name, value in made_of.items():
            object.__setattr__(made, name, value)
        return made

    def _load(self, artifact: Json, whose: int | str, slot: str = "") -> object:
        if "json" in artifact:
            return artifact["json"]
        try:
            return load(artifact, self._content, scratch=self._scratch)
        except (IntegrityError, NotFoundError) as error:
            raise self._unusable(error, whose, slot) from error

    def _unusable(self, error: Exception, whose: int | str, slot: str) -> IntegrityError:
        """What to raise for bytes that are damaged, or missing: the store's own error knows neither run nor node."""
        what = (
            whose if isinstance(whose, str) else f"the result of {self._program.place(whose).node.name!r} (slot {slot})"
        )
        return IntegrityError(f"In run {self._run_id} {what} cannot be used. {error}")
