"""What the benchmark makes of its rows: ratios, spreads, quality and growth, from numbers made up."""

from __future__ import annotations

from typing import Any

import pytest

from pvq.solvers.bench.summary import growth_exponent, summarise

SET = "int[bits=2]"


def _row(**values: Any) -> dict[str, Any]:
    """A measured row with one second and nothing known."""
    base: dict[str, Any] = {
        "suite": "s", "source": "conv", "n": 8, "seed": 0, "set": SET, "method": "a", "versus": "a",
        "case": "0", "status": "bound", "certified": True, "finished": True, "error_lower": None,
        "error_upper": None, "claimed": None, "cpu_seconds": 1.0, "wall_seconds": 1.0, "runs": 1,
        "iterations": 0, "note": "",
    }  # fmt: skip
    return base | values


def test_ratios_are_formed_case_by_case() -> None:
    """Ratios 4, 9 and 2, though the median times would give 30/5 = 6."""
    seconds = {0: (10.0, 40.0), 1: (3.0, 27.0), 2: (5.0, 10.0)}
    rows = [
        _row(method=method, seed=seed, case=str(seed), cpu_seconds=spent)
        for seed, pair in seconds.items()
        for method, spent in zip("ab", pair, strict=True)
    ]
    ours, theirs = summarise(rows)
    assert (ours["ratio_median"], ours["ratio_min"], ours["ratio_max"]) == (1.0, 1.0, 1.0)
    assert (theirs["ratio_median"], theirs["ratio_min"], theirs["ratio_max"]) == (4.0, 2.0, 9.0)
    assert (theirs["cpu_median"], theirs["cpu_min"], theirs["cpu_max"]) == (27.0, 10.0, 40.0)
    assert theirs["seeds"] == theirs["finished"] == 3
    assert theirs["ratio_at_least"] is False


def test_methods_are_compared_within_their_own_case() -> None:
    """Two comparisons of one problem, with different first methods, do not mix."""
    one = [_row(method="a", cpu_seconds=1.0), _row(method="c", cpu_seconds=6.0)]
    two = [
        _row(method="b", versus="b", case="1", cpu_seconds=2.0),
        _row(method="c", versus="b", case="1", cpu_seconds=6.0),
    ]
    ratios = {(row["versus"], row["method"]): row["ratio_median"] for row in summarise([*one, *two])}
    assert ratios == {("a", "a"): 1.0, ("a", "c"): 6.0, ("b", "b"): 1.0, ("b", "c"): 3.0}


def test_the_first_method_of_a_case_is_known_by_name_not_by_place() -> None:
    rows = summarise([_row(method="b", cpu_seconds=6.0), _row(cpu_seconds=2.0)])
    assert {row["method"]: row["ratio_median"] for row in rows} == {"a": 1.0, "b": 3.0}


def test_a_run_that_was_cut_off_bounds_the_ratio_from_below() -> None:
    ours, theirs = summarise([_row(), _row(method="b", cpu_seconds=60.0, finished=False)])
    assert theirs["ratio_at_least"] is True
    assert theirs["finished"] == 0
    assert ours["ratio_at_least"] is False


def test_no_ratio_to_a_first_method_that_did_not_finish() -> None:
    for base in ({"finished": False}, {"status": "missing", "finished": False, "cpu_seconds": None}):
        _, theirs = summarise([_row(**base), _row(method="b")])
        assert theirs["ratio_median"] is None
        assert theirs["ratio_at_least"] is None


def test_quality_is_relative_to_the_best_point_of_the_case() -> None:
    rows = [
        _row(error_lower=3.0, error_upper=8.0),
        _row(method="b", error_lower=2.0, error_upper=4.0, claimed=6.0),
    ]
    ours, theirs = summarise(rows)
    assert (ours["bound_share"], ours["excess"]) == (0.75, 1.0)
    assert (theirs["bound_share"], theirs["excess"]) == (0.5, 0.0)
    assert ours["claim_share_min"] is None
    assert theirs["claim_share_min"] == theirs["claim_share_max"] == 0.5


def test_growth_is_the_slope_of_the_large_sizes() -> None:
    cubic = [(n, 1e-9 * n**3.2) for n in (64, 128, 256, 512)]
    assert growth_exponent(cubic) == pytest.approx(3.2)
    assert growth_exponent([(8, 1.0), (16, 1.0), *cubic]) == pytest.approx(3.2)
    assert growth_exponent([*cubic, (512, 9.0), (512, 1e-9)]) == pytest.approx(3.2)  # medians
    assert growth_exponent(cubic[:2]) is None
    assert growth_exponent([(8, None), (16, None), (32, None)]) is None
