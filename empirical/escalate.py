"""Where a verdict is still open: which rows get which methods next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pvq.empirical.bound_rows import CampSum, verdict
from pvq.empirical.effort import Rung
from pvq.empirical.plan import LayerPlan, add_tasks
from pvq.empirical.tasks import Camp
from pvq.solvers.solver import Limits

__all__ = ["PARTS", "applies", "escalated", "next_rows"]

PARTS = 4  # a rung is climbed in so many parts, the rows with most to gain first; it ends once all is proved

Records = Mapping[Camp, Sequence[Mapping[str, Any]]]


def escalated(
    plan: LayerPlan,
    bits: float,
    rung: Rung,
    part: int,
    records: Records,
    sums: Mapping[Camp, CampSum],
    limits: Limits,
) -> LayerPlan:
    """Return the plan with the tasks of one part of a rung that applies, or as it was if it cannot decide.

    Parameters
    ----------
    rung, part : the methods and, from 0 to PARTS - 1, which part of the rows
    records : of each camp, one a row, what is known so far
    sums : of those
    limits : of each solve
    """
    tasks = plan.tasks.get((bits, rung.camp), ())
    done = {row for task in tasks if task.methods == rung.methods for row in task.rows}
    left = [record for record in records[rung.camp] if record["row"] not in done]
    needed = _needed(rung, sums)
    rows = next_rows(left, needed / rung.reach, -(-len(left) // (PARTS - part)))
    if not rows:
        return plan
    more = add_tasks(plan, bits, rung.camp, rows, rung.methods, limits)
    return replace(more, stages={**plan.stages, bits: plan.stages.get(bits, 0) + (part == 0 or not done)})


def applies(rung: Rung, n: int, sums: Mapping[Camp, CampSum]) -> bool:
    """Return whether rows of n inputs are short enough, the verdict is open and the rung's camp has its role.

    >>> from pvq.empirical.effort import EFFORTS
    >>> sums = {"quantize": CampSum(9, 9, 1, 2, certified=True), "prune": CampSum(9, 9, 1, 3, certified=True)}
    >>> [rung.methods.bound for rung in EFFORTS["decide"].ladder if applies(rung, 500, sums)]
    ['', 'block-perspective', 'block-perspective[size=6]']
    """
    if n > rung.largest or set(sums) != {"quantize", "prune"}:
        return False
    said = verdict(sums["quantize"], sums["prune"])
    role = "ahead" if rung.camp == _ahead(sums) else "behind"
    return said is not None and not said.endswith("(proved)") and rung.role == role


def _ahead(sums: Mapping[Camp, CampSum]) -> Camp:
    return min(sums, key=lambda camp: math.inf if sums[camp].upper is None else sums[camp].upper or 0.0)


def _needed(rung: Rung, sums: Mapping[Camp, CampSum]) -> float:
    """Return by how much the sum of the rung's camp must move: its point down, or its bound up."""
    ahead = sums[_ahead(sums)]
    behind = next(camp for camp in sums.values() if camp is not ahead)
    return (ahead.upper or 0.0) - (behind.lower or 0.0)


def next_rows(left: Sequence[Mapping[str, Any]], needed: float, count: int) -> tuple[int, ...]:
    """Return the rows with the widest distance between bound and point, none if all together are too narrow.

    Parameters
    ----------
    left : records of the rows that may be chosen
    needed : what their distances must add up to at least
    count : how many rows are wanted

    >>> rows = [{"row": 0, "error_lower": 1.0, "error_upper": 2.0},
    ...         {"row": 1, "error_lower": 1.0, "error_upper": 4.0}]
    >>> next_rows(rows, 3.5, 1), next_rows(rows, 4.5, 1)
    ((1,), ())
    """
    width = {
        record["row"]: (record["error_upper"] or 0.0) - (record["error_lower"] or 0.0) for record in left
    }
    if not width or not math.fsum(width.values()) >= needed:
        return ()
    widest = sorted(width, key=lambda row: (-width[row], row))
    return tuple(sorted(widest[:count]))
