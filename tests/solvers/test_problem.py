"""What a layer problem accepts, refuses and measures."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.solvers.catalogue import CATALOGUE, catalogue_problem
from pvq.solvers.gram import Gram
from pvq.solvers.problem import LayerProblem, problems_of_layer

from .exact import exact_error, gram_of_condition

EYE, ONES = np.eye(2), np.ones(2)


@pytest.mark.parametrize(
    ("H", "w", "message"),
    [
        (np.ones((2, 3)), ONES, "square"),
        (np.array([[1.0, 0.0], [0.5, 1.0]]), ONES, "symmetric"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), ONES, "smallest eigenvalue -1 "),
        (np.array([[0.0, 1.0], [1.0, 1.0]]), ONES, "diagonal <= 0"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), ONES, "NaN"),
        (np.array([1.0, 2.0]), ONES, "2 dimension"),
        (1e151 * EYE, ONES, "1e150"),
        (1e-160 * EYE, ONES, "rescale"),
        (EYE, np.ones(3), "one weight per column"),
        (EYE, np.array([1.0, np.inf]), "infinite"),
        (EYE, np.ones((1, 2)), "1 dimension"),
        (EYE, np.array([1e76, 0.0]), "1e75"),
        (np.empty((0, 0)), np.empty(0), "empty"),
    ],
)
def test_refuses(H: F64, w: F64, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LayerProblem(H, w)


def test_rounding_level_asymmetry_is_averaged_out() -> None:
    H = np.array([[2.0, 1.0], [1.0 + 1e-9, 2.0]])
    problem = LayerProblem(H, ONES)
    assert problem.H[0, 1] == problem.H[1, 0] == pytest.approx(1.0 + 5e-10, abs=1e-15)


def test_singular_and_slightly_indefinite_matrices_are_accepted() -> None:
    LayerProblem(np.ones((2, 2)), ONES)
    slightly = np.ones((2, 2)) - 1e-9 * EYE
    assert LayerProblem(slightly, np.array([1.0, -1.0])).error(np.zeros(2)) == 0.0
    with pytest.raises(ValueError, match="eigenvalue"):
        LayerProblem(np.ones((2, 2)) - 1e-3 * EYE, ONES)


def test_arrays_are_copied_and_read_only() -> None:
    H, w = np.eye(2), np.ones(2)
    problem = LayerProblem(H, w)
    H[0, 0] = w[0] = 7.0
    assert problem.H[0, 0] == problem.w[0] == 1.0
    for array in (problem.H, problem.w):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0


def test_identity_is_the_content() -> None:
    first, same = LayerProblem(EYE, ONES), LayerProblem(EYE.copy(), ONES.copy())
    assert first.digest == same.digest
    assert len({first.digest, LayerProblem(2 * EYE, ONES).digest, LayerProblem(EYE, 2 * ONES).digest}) == 3


def test_rows_of_a_layer_share_one_gram() -> None:
    rows = problems_of_layer(EYE, np.ones((3, 2)))
    assert len({id(row.gram) for row in rows}) == 1
    assert LayerProblem(EYE.copy(), ONES).gram is Gram.of(EYE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_error_upper_is_above_the_exact_error(name: str) -> None:
    problem = catalogue_problem(name, 7)
    rng = np.random.default_rng(3)
    for scale in (1.0, 1e-3, 1e-8):
        x = problem.w + scale * rng.standard_normal(7)
        exact = exact_error(problem, x)
        assert max(exact, 0) <= problem.error_upper(x)
        assert (
            problem.error_upper(x)
            <= float(exact) + 1e-12 * problem.error_upper(x) + 1e-12 * scale**2 * problem.H.max()
        )


def test_error_upper_covers_cancellation() -> None:
    """Condition 1e14: the computed error of a point near w in the flattest direction is mostly rounding."""
    H = gram_of_condition(6, 1e14, seed=1)
    problem = LayerProblem(H, np.random.default_rng(0).standard_normal(6))
    flat = np.linalg.eigh(H)[1][:, 0]
    for x in (problem.w + flat, problem.w - 3.0 * flat):
        assert exact_error(problem, x) <= problem.error_upper(x)


def test_error_of_w_itself_is_zero_and_x_is_checked() -> None:
    problem = LayerProblem(EYE, ONES)
    assert problem.error(ONES) == problem.error_upper(ONES) == 0.0
    for x in (np.ones(3), np.array([np.nan, 0.0])):
        with pytest.raises(ValueError, match="x must hold 2 finite"):
            problem.error(x)


def test_an_error_that_overflows_is_infinite() -> None:
    """H (x - w) is inf - inf here: a NaN must read neither as no error nor as a perfect fit."""
    problem = LayerProblem(1e150 * np.array([[1.0, -0.5], [-0.5, 1.0]]), ONES)
    for x in (np.full(2, 1e200), np.full(2, -1e308)):
        assert problem.error(x) == problem.error_upper(x) == np.inf


@pytest.mark.parametrize("condition", [1e2, 1e8, 1e13])
def test_signals_enclose_the_exact_one(condition: float) -> None:
    """Weights along the flattest direction: most of the computed signal is rounding."""
    for seed in range(8):
        H = gram_of_condition(4, condition, seed)
        problem = LayerProblem(H, np.linalg.eigh(H)[1][:, 0])
        exact = exact_error(problem, np.zeros(4))
        assert 0 <= problem.signal_lower <= exact <= problem.signal_upper
        assert problem.signal_upper - problem.signal_lower <= 1e-12


def test_no_signal_has_no_bounds_to_speak_of() -> None:
    for problem in (LayerProblem(EYE, np.zeros(2)), LayerProblem(np.zeros((2, 2)), ONES)):
        assert problem.signal_lower == problem.signal_upper == 0.0
    cancelled = LayerProblem(np.ones((2, 2)), np.array([1.0, -1.0]))
    assert cancelled.signal_lower == 0.0 < cancelled.signal_upper < 1e-12


def test_error_upper_holds_where_products_are_flushed_to_zero() -> None:
    """H (x - w)^2 = 1e-310 is subnormal: what is computed may be 0, the bound must not rely on it."""
    problem = LayerProblem(1e-150 * EYE, np.array([1e-75, 0.0]))
    x = problem.w + np.array([0.0, 1e-80])
    assert problem.error_upper(x) - problem.error(x) >= exact_error(problem, x) > 0


def test_a_gram_of_another_matrix_is_refused() -> None:
    gram = Gram.of(EYE)
    assert LayerProblem(EYE.copy(), ONES, gram).H is gram.matrix
    for other in (2.0 * EYE, np.eye(3), 1.0):
        with pytest.raises(ValueError, match="the gram given with it"):
            LayerProblem(other, ONES, gram)  # type: ignore[arg-type]
