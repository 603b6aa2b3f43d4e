"""What one pod does of one node: which slots, in which order of things, and what it tells of them."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path
from typing import Final

from pyflow.contract import RETRYABLE, ExitCode, Invocation, Outcome, slot_of
from pyflow.errors import DefinitionError, PyflowError
from pyflow.jsontext import Json
from pyflow.packed import PackedBranch, PackedCall, PackedMap, unequal_lengths
from pyflow.runs import brief_of
from pyflow.runtime import sharing
from pyflow.runtime.attempts import CANCELLED, is_lost
from pyflow.runtime.execution import loading_exit_code
from pyflow.runtime.failure import record_error
from pyflow.runtime.marks import Marks, is_spoilt, mark_failed, read_marks
from pyflow.runtime.pod_container import Collector, stage_in_pod
from pyflow.runtime.pod_place import PodPlace, Reporter, say_memory, say_why
from pyflow.runtime.program import Program
from pyflow.runtime.resolve import Resolver
from pyflow.runtime.supervisor import exit_code_of, run_once
from pyflow.store import about_error

_TELL_NAME: Final = ".pyflow-"


class Work:
    """One pod at one node.

    Args:
        place: The pod.
        program: The graph.
        reporter: Is told what happens.
        attempt: Counted from 1.
        resolver: Looks up facts.
    """

    def __init__(
        self,
        place: PodPlace,
        program: Program,
        reporter: Reporter,
        attempt: int,
        resolver: Resolver,
    ) -> None:
        self._place = place
        self._content = reporter.content
        self._program = program
        self._reporter = reporter
        self._attempt = attempt
        self._resolver = resolver

    @functools.cached_property
    def marks(self) -> Marks:
        """What had failed when the pod started."""
        return read_marks(self._content, self._place.run_id)

    def run(self, node: int, share: sharing.Share) -> int:
        """Run a node for each index vector of a share; the worst of the exit codes, and if one may be mended, that one."""
        codes: list[int] = []
        found = self._program.place(node).node
        if isinstance(found, PackedCall) and self._program.graph.options[found.options].memory_on_oom_mib:
            say_memory()
        vectors = self._vectors(node, share)
        invocations = [self._place.invocation(node, vector, self._attempt) for vector in vectors]

        def choose() -> list[int]:
            """Which of them are to be run; the others have their codes already."""
            if self.marks.is_cancelled:
                codes.append(int(ExitCode.CANCELLED))
                return []
            self._note_expansion(node, share)
            settled = [self._settled(node, vector) for vector in vectors]
            codes.extend(code for code in settled if code is not None)
            return [position for position, code in enumerate(settled) if code is None]

        if invocations:
            outcomes = run_once(
                invocations, program=self._program, choose=choose, on_begun=self._note_begun, on_ended=self._note_end
            )
            codes.append(exit_code_of(outcomes))
        bad = [code for code in codes if code != ExitCode.COMMITTED]
        if not bad and len(vectors) == 1:
            self._tell(node, vectors[0])
        return next((code for code in bad if code in RETRYABLE or code > 128), bad[0] if bad else 0)

    def _vectors(self, node: int, share: sharing.Share) -> list[tuple[int, ...]]:
        if share.part is None:
            return [share.outer]
        around = self._program.map_of(self._program.place(node).maps[-1])
        length = self._resolver.count(around, share.outer)
        return [(*share.outer, item) for item in share.items(length)]

    def _settled(self, node: int, indices: tuple[int, ...]) -> int | None:
        """The exit code for a slot that is not to be run; None for one that is."""
        slot = slot_of(node, indices)
        if self._attempt > 1:
            if self._content.commits(self._place.run_id, self._program.digest).committed(slot) is not None:
                return int(ExitCode.COMMITTED)
            if slot in self.marks.slots:  # it failed for good in an attempt before, among others of this share
                return int(ExitCode.TASK_RAISED_FOR_GOOD)
        if self._program.graph.fail_fast:
            return int(ExitCode.CANCELLED) if self.marks.failed else None
        if is_spoilt(self._program, node, indices, self.marks):
            mark_failed(self._content, self._place.run_id, slot)
            return int(ExitCode.CANCELLED)
        return None

    def _note_begun(self, invocation: Invocation, writer: str) -> None:
        # Whoever follows the log of a task that runs looks for it by this name.
        self._reporter.note("started", slot=invocation.slot, attempt=invocation.attempt, worker=writer)
        # The manifest holds numbers alone: whoever looks at a pod on the cluster's own page learns here whose it is.
        items = "".join(f"[{index}]" for index in invocation.indices)
        name = self._program.place(invocation.node).node.name
        os.write(2, f"pyflow: this is {name}{items}, attempt {invocation.attempt}\n".encode(errors="backslashreplace"))

    def _note_end(self, outcome: Outcome) -> None:
        brief = brief_of(outcome) | {"attempt": self._attempt}
        if outcome.is_committed or outcome.error is None:
            self._reporter.note("ended", **brief, status="succeeded")
            return
        status = "failed"
        if outcome.error.type == CANCELLED:
            status = "cancelled"
        elif is_lost(outcome) and outcome.exit_code != ExitCode.TIMEOUT:
            status = "lost"
        self._reporter.note("ended", **brief, status=status, error=outcome.error.to_wire())
        say_why(outcome.error)
        self._settle(outcome)

    def _settle(self, outcome: Outcome) -> None:
        """Leave a mark of a failure for good; note the pause before another attempt."""
        node = int(outcome.slot.partition(".")[0])
        retries, backoff_s = sharing.retries_of(self._program.graph, node, exit_code=outcome.exit_code)
        may_help = outcome.exit_code in RETRYABLE or outcome.exit_code > 128
        if may_help and self._attempt <= retries:
            self._reporter.note("paused", slot=outcome.slot, seconds=backoff_s * 2 ** (self._attempt - 1))
        else:
            mark_failed(self._content, self._place.run_id, outcome.slot)

    # Container tasks

    def stage(self, node: int, share: sharing.Share) -> int:
        """Before the author's container: bring its inputs."""
        code = self._settled(node, share.outer)
        if code is not None and code != ExitCode.COMMITTED:
            return code
        self._note_expansion(node, share)
        invocation = self._place.invocation(node, share.outer, self._attempt)
        self._note_begun(invocation, self._place.writer)
        outcome = stage_in_pod(invocation, self._program, self._content, self._place.writer)
        if outcome is None:
            return int(ExitCode.COMMITTED)
        self._note_end(outcome)
        return outcome.exit_code

    def collect(self, node: int, share: sharing.Share) -> int:
        """Beside the author's container: keep what it leaves."""
        invocation = self._place.invocation(node, share.outer, self._attempt)
        outcome = Collector(
            invocation, self._program, self._content,
            lambda: read_marks(self._content, self._place.run_id).is_cancelled,
        ).run()  # fmt: skip
        self._note_end(outcome)
        return outcome.exit_code

    # What the cluster and those who watch are told

    def expand(self, node: PackedMap, share: sharing.Share) -> int:
        """Compare the lengths of what is mapped, and tell how many pods the map has."""
        slot = slot_of(node.id, share.outer)
        try:
            lengths = self._resolver.lengths(node, share.outer)
            if len(set(lengths)) > 1:
                raise DefinitionError(unequal_lengths(node, lengths))
        except PyflowError as error:
            about = about_error(self._place.run_id, self._program.digest, slot)
            record = record_error(error, self._content, origins={}, about=about)
            self._reporter.note("failed", slot=slot, error=record.to_wire())
            say_why(record)
            mark_failed(self._content, self._place.run_id, slot)
            return int(loading_exit_code(error, otherwise=ExitCode.TASK_RAISED_FOR_GOOD))
        self._write(0, str(sharing.parts_of(lengths[0], sharing.batch_of(node), self._place.most)))
        return int(ExitCode.COMMITTED)

    def _tell(self, node: int, indices: tuple[int, ...]) -> None:
        tells = sharing.tells_of(self._program.graph).get(node, [])
        if not tells:
            return
        facts = self._resolver.outcome(node, indices).facts
        for number, text in enumerate(sharing.told(tells, facts, self._place.most)):
            self._write(number, text)
        self._note_skipped(node, indices, facts)

    def _write(self, number: int, text: str) -> None:
        Path(tempfile.gettempdir(), f"{_TELL_NAME}{number}").write_text(text)

    def _note_skipped(self, node: int, indices: tuple[int, ...], facts: list[Json]) -> None:
        for branch in self._program.graph.walk():
            if isinstance(branch, PackedBranch) and branch.fact[0] == node:
                region = branch.otherwise if facts[branch.fact[1]] else branch.then
                for skipped in sharing.runnable_in(region):
                    self._reporter.note("skipped", slot=slot_of(skipped.id, indices))

    def _note_expansion(self, node: int, share: sharing.Share) -> None:
        """The first pod of a map's first task says how many items there are."""
        maps = self._program.place(node).maps
        if not maps or self._attempt > 1:
            return
        around = self._program.map_of(maps[-1])
        outer, item = (share.outer[:-1], share.outer[-1]) if share.part is None else (share.outer, share.part)
        first = next(n.id for n in sharing.runnable_in(around.body) if not isinstance(n, PackedBranch))
        if item == 0 and first == node:
            count = self._resolver.count(around, outer)
            self._reporter.note("expanded", slot=slot_of(around.id, outer), count=count)
