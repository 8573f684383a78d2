"""Sums over rows and the verdicts drawn from them."""

from __future__ import annotations

import itertools
import math
import sys
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvq.empirical.bound_rows import CampSum, bound_row, sum_camp, verdict
from pvq.empirical.model import LayerWeights
from pvq.empirical.plan import LayerPlan

ERRORS = st.floats(min_value=0, max_value=1e6, allow_subnormal=False)


def _record(**changes: Any) -> dict[str, Any]:
    record = {
        "signal_lower": 1.0, "signal_upper": 1.0, "error_lower": 0.1, "error_upper": 0.2,
        "errors": {"nearest": 0.4}, "method": "m", "bound": "b", "certified": True, "seconds": 0.5,
        "note": "", "peak_mb": 100.0,
    }  # fmt: skip
    return record | changes


@given(st.lists(st.tuples(ERRORS, ERRORS), min_size=1, max_size=30))
def test_sums_enclose_the_exact_ones(pairs: list[tuple[float, float]]) -> None:
    numbers = [{"error_lower": a, "error_upper": b, "signal_lower": a, "signal_upper": b} for a, b in pairs]
    total = sum_camp([_record(**values) for values in numbers])
    assert total.lower is not None
    assert total.upper is not None
    least, most = (sum(map(Fraction, column), Fraction(0)) for column in zip(*pairs, strict=True))
    assert max(Fraction(total.lower), Fraction(total.signal_lower)) <= least
    assert min(Fraction(total.upper), Fraction(total.signal_upper)) >= most


def test_sums_beyond_the_range_of_floats_stay_on_their_side() -> None:
    total = sum_camp([_record(error_lower=1e308, error_upper=1e308, errors={"nearest": math.inf})] * 2)
    assert total.lower == sys.float_info.max
    assert total.upper == total.errors["nearest"] == math.inf
    assert total.achieved(total.upper) == -math.inf


def test_the_ceiling_takes_the_larger_signal_and_the_point_the_smaller() -> None:
    """Rounding leaves w'Hw in doubt where H is nearly singular; a ceiling from one float would be low."""
    total = sum_camp([_record(signal_lower=0.5, signal_upper=2.0, error_lower=0.125, error_upper=0.25)])
    assert total.at_most is not None
    assert total.at_most == pytest.approx(10 * math.log10(16))
    assert Decimal(total.at_most) >= 10 * Decimal(16).log10()
    achieved = total.achieved(total.upper)
    assert achieved == pytest.approx(10 * math.log10(2))
    assert achieved is not None
    assert Decimal(achieved) <= 10 * Decimal(2).log10()
    lost = sum_camp([_record(signal_lower=0.0)])
    assert lost.achieved(0.0) is None
    assert lost.at_most is not None


def test_ratios_beyond_the_range_of_floats_have_a_decibel() -> None:
    total = sum_camp([_record(error_lower=1e-320, error_upper=1e300, signal_lower=1e-20)])
    assert total.at_most == pytest.approx(3200, abs=0.1)
    assert total.achieved(total.upper) == pytest.approx(-3200)


def test_a_row_without_a_value_leaves_no_sum_and_a_failure_leaves_none_at_all() -> None:
    total = sum_camp([_record(), _record(error_lower=None, certified=False, note="hull proves nothing: why")])
    assert total.lower is None
    assert total.at_most is None
    assert total.upper == pytest.approx(0.4)
    assert not total.certified
    assert total.note == "hull proves nothing: why"
    lost = sum_camp([_record()], ["ValueError: x", "ValueError: x"])
    assert (lost.upper, lost.signal_upper, lost.note) == (None, 0.0, "ValueError: x (2 rows)")


def test_snr_is_ten_log_of_the_ratio_and_exactness_is_infinite() -> None:
    total = sum_camp([_record(), _record()])
    assert total.achieved(total.errors["nearest"]) == pytest.approx(10 * math.log10(2.0 / 0.8))
    assert total.at_most == pytest.approx(10.0)
    exact = sum_camp([_record(error_lower=0.0, error_upper=0.0)])
    assert exact.at_most == math.inf
    assert CampSum(0.0, 0.0, 0.0).achieved(0.0) is None


@given(*[st.tuples(ERRORS, ERRORS, st.booleans())] * 2)
def test_verdicts_are_never_more_sure_than_the_numbers(
    quantize: tuple[float, float, bool], prune: tuple[float, float, bool]
) -> None:
    """Proved needs disjoint intervals and certificates; the two camps are treated alike."""
    camps = [CampSum(1.0, 1.0, min(a, b), max(a, b), certified=c) for a, b, c in (quantize, prune)]
    said = verdict(*camps)
    assert said is not None
    mirrored = {"quantize": "prune", "prune": "quantize", "open": "open"}
    head, _, tail = said.partition(" ")
    assert verdict(camps[1], camps[0]) == " ".join(filter(None, [mirrored[head], tail]))
    if said != "open":
        winner, loser = camps if head == "quantize" else camps[::-1]
        assert winner.upper is not None
        assert loser.upper is not None
        assert loser.lower is not None
        assert winner.upper < loser.upper
        if tail == "(proved)":
            assert quantize[2]
            assert prune[2]
            assert winner.upper < loser.lower


def test_verdicts_by_hand() -> None:
    def camp(lower: float, upper: float, certified: bool = True) -> CampSum:
        return CampSum(1.0, 1.0, lower, upper, certified=certified)

    assert verdict(camp(0.1, 0.2), camp(0.3, 0.4)) == "quantize (proved)"
    assert verdict(camp(0.1, 0.2), camp(0.3, 0.4, certified=False)) == "quantize (likely)"
    assert (
        verdict(camp(0.1, 0.3), camp(0.3, 0.4)) == "quantize (likely)"
    )  # touching is no proof; 1.25 dB apart
    assert verdict(camp(0.1, 0.34), camp(0.3, 0.4)) == "open"  # 0.7 dB apart
    assert verdict(camp(0.0, 0.0), camp(0.0, 0.0)) == "open"
    assert verdict(CampSum(), camp(0.1, 0.2)) is None


def test_rows_carry_the_published_fields_whatever_is_missing() -> None:
    layer = LayerWeights("a", "conv", np.ones((4, 2, 3, 3)))
    for parts in itertools.product([None, CampSum(1.0, 1.0, 0.1, 0.2, {}, certified=True)], repeat=2):
        sums = {camp: part for camp, part in zip(("quantize", "prune"), parts, strict=True) if part}
        row = bound_row(LayerPlan(layer, (0, 2)), 4.0, sums, "remark")  # type: ignore[arg-type]
        assert (row["layer"], row["bits"], row["n"], row["rows"], row["rows_total"]) == ("a", 4, 18, 2, 4)
        assert (row["quant_snr_achieved_db"] is None) == (parts[0] is None)
        assert (row["prune_snr_at_most_db"] is None) == (parts[1] is None)
        assert row["certified"] == (None not in parts)
        assert row["note"] == "remark"


def test_an_infinite_snr_is_remarked_and_nothing_bounded_is_not_certified() -> None:
    plan = LayerPlan(LayerWeights("a", "linear", np.ones((1, 2))), (0,))
    exact, plain = (CampSum(1.0, 1.0, error, error, certified=True) for error in (0.0, 0.5))
    row = bound_row(plan, 4.0, {"quantize": exact, "prune": plain})
    assert row["note"] == "quantize: no error, SNR infinite (null in JSON)"
    assert row["certified"]
    silent = CampSum(0.0, 0.0, 0.0, 0.0, certified=True)
    row = bound_row(plan, 4.0, {"quantize": silent, "prune": silent})
    assert (row["quant_snr_at_most_db"], row["verdict"], row["certified"], row["note"]) == (
        None,
        None,
        False,
        "",
    )
