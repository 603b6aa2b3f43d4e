"""pyflow beside one peer: both warm, rounds alternating, medians, a ratio.

What a task costs is the time of a round divided by its tasks, after one round that nobody counts. A peer that
starts anew for each run (`by_difference`) does one task as well each time, and only what the others add counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from statistics import median

from figures import Figure
from processes import NotSupportedError, Peer, PeerError
from workloads import PeerPlan, Workload

SEEDS = count(1, 100_003)
FORM_TITLES = {"fan_map": "map", "fan_calls": "calls"}


def compare(ours: Peer | None, theirs: Peer, plan: PeerPlan, workload: Workload, rounds: int) -> Iterable[Figure]:
    """Figures of one workload: one for each form that pyflow has of it.

    Args:
        ours: pyflow; without it the peer is measured alone.
        theirs: The peer.
        plan: How the peer is measured.
        workload: What both do.
        rounds: How often, at most.
    """
    size = plan.sizes.get(workload.name, workload.size)
    rounds = min(rounds, workload.rounds, plan.most_rounds)
    theirs_s: list[float] = []
    ours_s: dict[str, list[float]] = {form: [] for form in workload.forms}
    problems: dict[str, str] = {}
    for number in range(-1, rounds):
        for form in workload.forms:
            if ours is None or form in problems:
                continue
            try:
                seconds = cost(ours, form, workload, workload.size)
            except PeerError as error:
                problems[form] = f"pyflow: {error}"
                continue
            if number >= 0:
                ours_s[form].append(seconds)
        try:
            seconds = cost(theirs, workload.request, workload, size, by_difference=plan.by_difference)
        except NotSupportedError:
            return
        except PeerError as error:
            problems = dict.fromkeys(workload.forms, f"{plan.title}: {error}")
            break
        if number >= 0:
            theirs_s.append(seconds)
    for form in workload.forms:
        yield figure(plan, workload, form, ours_s[form], theirs_s, problems.get(form, ""))


def cost(peer: Peer, request: str, workload: Workload, size: int, *, by_difference: bool = False) -> float:
    """Seconds for a task, or for the whole where that is what is asked.

    Raises:
        PeerError: It failed, or gave another value than it should.
    """
    whole = checked(peer, request, workload, size)
    if not workload.per_task:
        return whole
    if by_difference:
        return max(whole - checked(peer, request, workload, 1), 0.0) / (size - 1)
    return whole / size


def checked(peer: Peer, request: str, workload: Workload, size: int) -> float:
    """Seconds of one round whose value was right."""
    seed = next(SEEDS)
    reply = peer.ask(request, size, seed)
    expected = workload.expected(size, seed)
    if reply.value != expected:
        raise PeerError(f"{request} of {size} gave {reply.value!r} instead of {expected!r}")
    return reply.seconds


def figure(
    plan: PeerPlan, workload: Workload, form: str, ours_s: list[float], theirs_s: list[float], problem: str
) -> Figure:
    """The ratio of two medians, with both beside it."""
    scale, unit = (1e6, "µs") if workload.per_task else (1.0, "s")
    both = bool(ours_s and theirs_s)
    notes = [problem] if problem else []
    if not ours_s and not problem:
        notes.append("pyflow was not measured")
    if plan.by_difference and workload.per_task:
        notes.append("by difference to a run of one task")
    if workload.name in plan.sizes:
        notes.append(f"reduced to {plan.sizes[workload.name]} tasks")
    return Figure(
        work=workload.name,
        what=f"{workload.title} ({FORM_TITLES[form]})" if form in FORM_TITLES else workload.title,
        peer=plan.title,
        value=median(ours_s) / median(theirs_s) if both and median(theirs_s) else None,
        limit=workload.limits.get(plan.name),
        note="; ".join(notes),
        details={
            "pyflow": median(ours_s) * scale if ours_s else None,
            "peer": median(theirs_s) * scale if theirs_s else None,
            "of_unit": f"{unit} a task" if workload.per_task else unit,
            "pyflow_rounds_s": ours_s,
            "peer_rounds_s": theirs_s,
        },
    )
