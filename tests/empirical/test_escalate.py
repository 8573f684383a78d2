"""Open verdicts get more, settled and hopeless ones nothing, and what is added only ever helps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_network as tiny

from pvq.empirical.bound_rows import CampSum
from pvq.empirical.effort import EFFORTS, METHODS, Rung
from pvq.empirical.escalate import PARTS, applies, escalated, next_rows
from pvq.empirical.layerwise import run_bounds
from pvq.empirical.model import LayerWeights
from pvq.empirical.peak_memory import peak_memory
from pvq.empirical.plan import LayerPlan
from pvq.empirical.stored_gram import StoredGram
from pvq.empirical.tasks import Camp, Methods
from pvq.empirical.verify_run import verify_run
from pvq.solvers.solver import Limits
from pvq.solvers.verify import verify_path

BEHIND = Rung("behind", "prune", Methods("block-perspective"), 100, 0.5)
AHEAD = Rung("ahead", "quantize", Methods(points=("local-search",)), 100, 0.5)


def _plan() -> LayerPlan:
    layer = LayerWeights("a", "linear", np.arange(24.0).reshape(8, 3))
    gram = StoredGram(Path("grams"), "key", "digest", groups=1, n=3, positions=9, dead=0, finite=True)
    sets: dict[tuple[float, Camp], str] = {(2.0, "prune"): "sparse[k=1]", (2.0, "quantize"): "int[bits=2]"}
    return LayerPlan(layer, tuple(range(8)), gram, sets=sets)


def _camp(lower: float, upper: float) -> tuple[list[dict[str, Any]], CampSum]:
    """Return eight rows, the wider the later, and their sum."""
    shares = np.arange(1, 9) / 36
    rows = [{"row": i, "error_lower": lower * p, "error_upper": upper * p} for i, p in enumerate(shares)]
    return rows, CampSum(100.0, 100.0, lower, upper, certified=True)


def _added(rung: Rung, quantize: tuple[float, float], prune: tuple[float, float], part: int = 0) -> Any:
    pairs = {"quantize": _camp(*quantize), "prune": _camp(*prune)}
    records: Any = {camp: pair[0] for camp, pair in pairs.items()}
    sums: Any = {camp: pair[1] for camp, pair in pairs.items()}
    plan = _plan()
    if applies(rung, plan.layer.n, sums):
        plan = escalated(plan, 2.0, rung, part, records, sums, Limits())
    return plan, [row for task in plan.tasks.get((2.0, rung.camp), ()) for row in task.rows]


def test_the_bound_of_the_camp_behind_is_tightened_where_it_overlaps_widest_rows_first() -> None:
    plan, rows = _added(BEHIND, (1.0, 2.0), (1.5, 4.0))
    assert rows == [6, 7]
    assert plan.stages == {2.0: 1}
    (task,) = plan.tasks[2.0, "prune"]
    assert task.methods == BEHIND.methods
    assert task.feasible == "sparse[k=1]"
    assert _added(BEHIND, (1.0, 2.0), (1.5, 4.0), PARTS - 1)[1] == list(range(8))


def test_points_of_the_camp_ahead_are_searched_for() -> None:
    assert _added(AHEAD, (1.0, 2.0), (1.8, 4.0))[1] == [6, 7]
    assert _added(AHEAD, (1.5, 4.0), (1.0, 2.0))[1] == []  # behind, it cannot decide anything


@pytest.mark.parametrize(
    ("quantize", "prune", "why"),
    [
        ((1.0, 1.4), (1.5, 4.0), "proved"),
        ((1.0, 3.4), (1.5, 4.0), "more is needed than half of the distance"),
        ((1.5, 4.0), (1.0, 2.0), "pruning is ahead"),
    ],
)
def test_settled_hopeless_and_reversed_verdicts_get_nothing(quantize: Any, prune: Any, why: str) -> None:
    plan, rows = _added(BEHIND, quantize, prune)
    assert (rows, plan.stages) == ([], {}), why


def test_rows_too_long_for_a_method_do_not_get_it() -> None:
    assert _added(Rung("behind", "prune", Methods("exact"), 2, 1.0), (1.0, 2.0), (1.5, 4.0))[1] == []


def test_what_a_rung_has_done_is_not_done_again() -> None:
    plan, _ = _added(BEHIND, (1.0, 1.55), (1.5, 4.0))
    pairs = {"quantize": _camp(1.0, 1.55), "prune": _camp(1.5, 4.0)}
    records: Any = {camp: pair[0] for camp, pair in pairs.items()}
    sums: Any = {camp: pair[1] for camp, pair in pairs.items()}
    for part in range(1, PARTS):
        plan = escalated(plan, 2.0, BEHIND, part, records, sums, Limits())
    rows = [row for task in plan.tasks[2.0, "prune"] for row in task.rows]
    assert sorted(rows) == list(range(8))
    assert plan.stages == {2.0: 1}


def test_no_rows_or_no_distance_are_no_rows() -> None:
    assert next_rows([], 0.0, 3) == ()
    assert next_rows([{"row": 0, "error_lower": None, "error_upper": 1.0}], 0.5, 3) == (0,)


@pytest.mark.parametrize("change", [{"largest": 0}, {"reach": 0.0}, {"reach": 1.5}, {"reach": float("nan")}])
def test_rungs_are_checked(change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {
        "role": "ahead", "camp": "prune", "methods": METHODS["prune"], "largest": 1, "reach": 1.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=next(iter(change))):
        Rung(**(fields | change))


def test_a_ladder_proves_more_is_verified_and_resumes(tmp_path: Path) -> None:
    """At 2 bits the relaxations leave verdicts open on the tiny network; exact search settles some."""
    exact = Methods("exact")
    ladder = tuple(Rung(role, camp, exact, 64, 1.0) for role in ("behind", "ahead") for camp in METHODS)  # type: ignore[arg-type]
    plain = run_bounds(tiny.run_of(tmp_path / "plain", bits=(2.0,)))
    settings = tiny.run_of(tmp_path / "more", bits=(2.0,), ladder=ladder)
    rows = run_bounds(settings)
    for before, after in zip(plain, rows, strict=True):
        assert after["quant_error_lower"] >= before["quant_error_lower"]
        assert after["prune_error_upper"] <= before["prune_error_upper"]
        assert (after["stage"] > 0) == (not before["verdict"].endswith("(proved)"))
    assert any(row["stage"] for row in rows), "nothing was open: the test would prove nothing"
    assert any("exact" in row["quant_bound"] + row["prune_bound"] for row in rows)
    assert sum("proved" in row["verdict"] for row in rows) > sum("proved" in row["verdict"] for row in plain)
    claims = verify_path(settings.out)
    assert all(claim["accepted"] for claim in claims)
    assert verify_run(settings.out, claims) == []
    assert run_bounds(settings) == rows
    assert (
        json.loads((settings.out / "manifest.json").read_text())["run"]["ladder"][0]
        == "quantize behind: exact"
    )


def test_every_method_of_every_effort_exists() -> None:
    from pvq.solvers.solver import SOLVERS

    for effort in EFFORTS.values():
        used = [*effort.methods.values(), *(rung.methods for rung in effort.ladder)]
        for methods in used:
            for name in filter(None, [methods.bound, *methods.points]):
                SOLVERS.build(name)


def test_peak_memory_sees_what_was_held_and_let_go() -> None:
    with peak_memory() as peak:
        before = peak()
        held = np.ones(30_000_000)
        del held
        after = peak()
    if before is None or after is None:
        pytest.skip("data: this platform does not tell a process its peak memory")
    assert after - before > 200
