from __future__ import annotations

import numpy as np
import pytest

from pvq.figures.snr_curves import long_table, pruned, quantized
from pvq.figures.zoo import published_zoo
from pvq.figures.zoo_theory import FAMILIES, FamilyCurve, family_curve, predicted_share, predicts_quantize
from pvq.theory.distributions.gaussian import Gaussian

LINE = FamilyCurve(np.array([3.0, 30.0]), np.array([[10.0], [0.0]]), np.array([[5.0], [5.0]]), (4,))


def test_lead_is_linear_in_log_kurtosis_and_constant_outside() -> None:
    found = LINE.lead_db(4, np.array([1.0, 3.0, np.sqrt(90.0), 30.0, 900.0]))
    np.testing.assert_allclose(found, [5.0, 5.0, 0.0, -5.0, -5.0], atol=1e-12)


def test_crossover_is_where_the_lead_changes_sign() -> None:
    assert LINE.crossover(4) == pytest.approx(np.sqrt(90.0), rel=1e-3)


def test_a_family_that_never_crosses_says_so() -> None:
    assert FamilyCurve(LINE.kurtosis, LINE.quant_snr_db + 9, LINE.prune_snr_db, (4,)).crossover(4) is None


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(KeyError):
        family_curve("cauchy", (4,))


@pytest.mark.parametrize("family", FAMILIES)
def test_families_run_from_light_to_heavy_tails(family: str) -> None:
    curve = family_curve(family, (2,))
    assert (np.diff(curve.kurtosis) > 0).all()
    assert curve.kurtosis[0] <= 3.0 + 1e-9
    assert curve.kurtosis[-1] > 100
    assert (np.diff(curve.quant_snr_db[:, 0]) < 0).all()
    assert (np.diff(curve.prune_snr_db[:, 0]) > 0).all()


def test_an_unbounded_student_t_never_prefers_pruning() -> None:
    """nu = 4 + 6 / (kurtosis - 3) stays above 4 however heavy the tail: the tail of a tensor is heavier."""
    assert family_curve("Student-t", (2,)).crossover(2) is None


def test_a_better_rule_predicts_more_tensors() -> None:
    zoo = published_zoo()
    rule = predicts_quantize(family_curve("generalized normal", (2,)))
    always = predicted_share(zoo, lambda bits, kurt: np.ones_like(kurt, dtype=bool), 2)
    assert predicted_share(zoo, rule, 2) == pytest.approx(0.858, abs=2e-3)
    assert always == pytest.approx(0.738, abs=1e-3)


def test_rows_with_artefacts_are_left_out_and_counted() -> None:
    """At 2, 4, 8 bits 136, 132, 129 rows have kurtosis 0; 22, 39, 119 a missing or infinite value."""
    zoo = published_zoo()
    assert zoo.left_out == 136 + 132 + 129 + 22 + 39 + 119
    assert zoo.kurtosis.min() > 1
    assert set(zoo.bits.tolist()) == {2, 4, 8}


def test_curves_stand_in_one_table_in_order() -> None:
    columns = long_table({"a": [1.0, 2.0], "b": [3.0, 4.0]}, (2, 4))
    assert columns["curve"].tolist() == ["a", "a", "b", "b"]
    assert columns["bits"].tolist() == [2, 4, 2, 4]
    assert columns["snr_db"].tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(("mask", "snr"), [("free", 5.5847), ("bitmap", 4.303), ("entropy", 4.646)])
def test_pruning_pays_for_its_mask(mask: str, snr: float) -> None:
    assert pruned(Gaussian(), (4,), mask)[0] == pytest.approx(snr, abs=1e-3)  # type: ignore[arg-type]


def test_symmetric_grids_have_one_level_less() -> None:
    """2 bits: 7.2085 dB against 8.2556 dB."""
    symmetric = quantized(Gaussian(), "int[bits={bits},grid=symmetric]", (2,))[0]
    assert symmetric == pytest.approx(7.2085, abs=1e-4)
