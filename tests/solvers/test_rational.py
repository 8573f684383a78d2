"""Every kind of certificate against exact arithmetic: a quick share of benchmarks/rational_check.py."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from pvq.solvers.catalogue import brute_force
from pvq.solvers.feasible import STORED_SETS, SparseSet
from pvq.solvers.outcome import CERTIFICATES
from pvq.solvers.problem import LayerProblem

from .cases import SET_MAKERS, provers, random_proofs
from .exact import error_of_support, exact_optimum
from .exact_values import VALUES, exact_value


def test_every_kind_has_its_twin() -> None:
    """A new kind of set needs a maker; a new kind of certificate an exact value, unless it is a search."""
    assert set(SET_MAKERS) == set(STORED_SETS.classes())
    assert set(CERTIFICATES.classes()) - set(VALUES) <= {"enumeration", "tree"}


@pytest.mark.parametrize("seed", range(4))
def test_what_is_proved_is_true(seed: int) -> None:
    """30 proofs each: no bound exceeds its exact value, nor the exact error of the best point."""
    for problem, feasible, method, proof in islice(random_proofs(np.random.default_rng(seed)), 30):
        bound, optimum = proof.bound(problem, feasible), exact_optimum(problem, feasible)
        if bound == -np.inf:
            continue
        value = exact_value(problem, feasible, proof)
        assert value is not None, method
        assert bound <= value, method
        assert bound <= optimum, method


def test_proofs_of_every_kind_of_set_are_drawn() -> None:
    """Otherwise the law above would be empty."""
    for kind in ("finite", "sparse", "joint"):
        assert provers(kind), kind


def test_exact_optimum_is_the_least_error() -> None:
    """Two inputs, one kept: removing the second costs H_22 - H_12^2 / H_11 = 3/2 times w_2^2."""
    problem = LayerProblem(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([1.0, 3.0]))
    assert error_of_support(problem, [0]) == Fraction(27, 2)
    assert error_of_support(problem, []) == Fraction(26)
    assert exact_optimum(problem, SparseSet(2, 1)) == Fraction(3, 2)
    assert brute_force(problem, SparseSet(2, 1))[0] == pytest.approx(1.5)
