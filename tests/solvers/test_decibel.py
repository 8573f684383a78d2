"""SNRs are rounded to the safe side, whatever the size of the energies."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvq.solvers.catalogue import brute_force
from pvq.solvers.decibel import snr_achieved_db, snr_at_most_db
from pvq.solvers.feasible import fit_set
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import solve

from .exact import exact_error, gram_of_condition

ENERGIES = st.floats(5e-324, 1.7e308)


def _exact_db(signal: Decimal, error: Decimal) -> Decimal:
    with localcontext(prec=60):
        return 10 * (signal / error).log10()


@given(ENERGIES, ENERGIES)
def test_snrs_enclose_the_exact_one(signal: float, error: float) -> None:
    achieved, at_most = snr_achieved_db(signal, error), snr_at_most_db(signal, error)
    assert achieved is not None
    assert at_most is not None
    assert Decimal(achieved) < _exact_db(Decimal(signal), Decimal(error)) < Decimal(at_most)
    assert at_most - achieved < 2e-11


def test_ends() -> None:
    assert snr_at_most_db(1.0, 0.0) == snr_achieved_db(1.0, 0.0) == math.inf
    assert snr_at_most_db(math.inf, 1.0) == math.inf
    assert snr_at_most_db(1.0, math.inf) == snr_achieved_db(1.0, math.inf) == -math.inf
    assert (snr_achieved_db(math.inf, math.inf), snr_at_most_db(math.inf, math.inf)) == (-math.inf, math.inf)
    for error in (0.0, 1.0, math.inf):
        assert snr_at_most_db(0.0, error) is snr_achieved_db(0.0, error) is None


@pytest.mark.parametrize("energies", [(-1.0, 1.0), (1.0, -1.0), (math.nan, 1.0), (1.0, math.nan)])
def test_energies_are_checked(energies: tuple[float, float]) -> None:
    for snr in (snr_at_most_db, snr_achieved_db):
        with pytest.raises(ValueError, match="energy"):
            snr(*energies)


@pytest.mark.parametrize("spec", ["levels[0.5]", "levels[-0.5;0.5]"])
@pytest.mark.parametrize("condition", [1e8, 1e12, 1e13])
def test_solve_never_states_less_than_the_best_snr_nor_more_than_the_points(
    condition: float, spec: str
) -> None:
    """The plain float signal put the ceiling 8e-4 dB below the truth at condition 1e13."""
    certified = 0
    for seed in range(20):
        H = gram_of_condition(4, condition, seed)
        problem = LayerProblem(H, np.linalg.eigh(H)[1][:, 0])
        feasible = fit_set(spec, problem.w)
        result = solve(problem, feasible, "hull")
        exact = exact_error(problem, np.zeros(4))
        signal = Decimal(exact.numerator) / Decimal(exact.denominator)
        for stated, point, sign in (
            (result.snr_at_most_db, brute_force(problem, feasible)[1], 1),
            (result.snr_achieved_db, result.point, -1),
        ):
            if stated is None or point is None or signal <= 0:
                continue
            error = exact_error(problem, point)
            true = _exact_db(signal, Decimal(error.numerator) / Decimal(error.denominator))
            assert sign * Decimal(stated) >= sign * true
            certified += 1
    assert certified >= 20
