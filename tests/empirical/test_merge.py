"""Several records of one row say no more than their best, and never contradict each other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvq.empirical.merge import merge_rows
from pvq.errors import PvqError

Record = dict[str, Any]


def _record(row: int = 0, lower: float | None = 0.1, upper: float | None = 0.3, **changes: Any) -> Record:
    record = {
        "row": row, "problem": "p", "set": "s", "signal_lower": 1.0, "signal_upper": 1.0,
        "errors": {"gptq": upper}, "error_lower": lower, "error_upper": upper, "method": "gptq",
        "bound": "hull", "certified": lower is not None, "seconds": 1.0, "note": "", "claim": 0,
        "peak_mb": 1.0,
    }  # fmt: skip
    return record | changes


def test_the_best_bound_and_the_best_point_are_kept_with_their_makers() -> None:
    rows = merge_rows(
        [
            _record(lower=0.1, upper=0.3),
            _record(lower=0.2, upper=0.4, bound="exact", method="exact", errors={}, peak_mb=7.0),
            _record(lower=None, upper=0.25, bound=None, method="local-search", errors={"local-search": 0.25}),
        ]
    )
    (row,) = rows
    assert (row["error_lower"], row["bound"], row["certified"]) == (0.2, "exact", True)
    assert (row["error_upper"], row["method"]) == (0.25, "local-search")
    assert row["errors"] == {"gptq": 0.3, "local-search": 0.25}
    assert (row["seconds"], row["peak_mb"]) == (3.0, 7.0)


def test_rows_stay_apart_and_come_in_order() -> None:
    rows = merge_rows([_record(2, upper=0.5), _record(0), _record(2, upper=0.4)])
    assert [(row["row"], row["error_upper"]) for row in rows] == [(0, 0.3), (2, 0.4)]


def test_what_failed_is_forgotten_once_something_proved_a_bound() -> None:
    failed = _record(lower=None, note="hull proves nothing: why", certified=False)
    assert merge_rows([failed])[0]["note"] == "hull proves nothing: why"
    assert merge_rows([failed, failed])[0]["note"] == "hull proves nothing: why"
    assert merge_rows([failed, _record()])[0]["note"] == ""


def test_a_bound_above_another_records_point_is_a_defect() -> None:
    with pytest.raises(
        PvqError, match=r"row 0: the bound 0\.[0-9]+ of hull exceeds the error 0\.[0-9]+ of gptq"
    ):
        merge_rows([_record(lower=0.2, upper=0.3), _record(lower=0.1, upper=0.15)])


@pytest.mark.parametrize("name", ["problem", "set", "signal_lower", "signal_upper"])
def test_records_of_different_problems_are_no_row(name: str) -> None:
    with pytest.raises(PvqError, match=f"row 0 has records with different values of {name}"):
        merge_rows([_record(), _record(**{name: 2.0})])


BOUNDS = st.one_of(st.none(), st.floats(0, 1))
POINTS = st.one_of(st.none(), st.floats(1, 2))


@given(st.lists(st.tuples(BOUNDS, POINTS), min_size=1, max_size=5))
def test_merging_is_the_largest_bound_and_the_smallest_error(
    pairs: list[tuple[float | None, float | None]],
) -> None:
    (row,) = merge_rows([_record(lower=lower, upper=upper) for lower, upper in pairs])
    lowers = [lower for lower, _ in pairs if lower is not None]
    uppers = [upper for _, upper in pairs if upper is not None]
    assert row["error_lower"] == max(lowers, default=None)
    assert row["error_upper"] == min(uppers, default=None)
    assert row["certified"] == bool(lowers)
