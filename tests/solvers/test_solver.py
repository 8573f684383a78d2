"""`solve` prices points, re-proves bounds and runs the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.errors import PvqError, SpecError
from pvq.solvers.catalogue import catalogue_problem
from pvq.solvers.certificates.finite import FiniteCertificate
from pvq.solvers.feasible import FeasibleSet, fit_set
from pvq.solvers.outcome import Certificate, Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits, RowsSolver, Solver, solve, solve_layer

PROBLEM = LayerProblem(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([0.3, -0.4]))
SET = "levels[-1;0;1]"


@dataclass(frozen=True)
class Says:
    """A method that says what it is told to."""

    point: F64 | None = None
    certificate: Certificate | None = None
    error: Exception | None = None
    status: Status = field(default=Status.BOUND)

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        return None

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        if self.error:
            raise self.error
        return Outcome(self.status, self.point, self.certificate)


@dataclass(frozen=True)
class Boast:
    """A certificate that proves whatever it likes."""

    value: float

    def bound(self, problem: LayerProblem, feasible: FeasibleSet, slack: float = 1.0) -> float:
        return self.value


def test_points_outside_the_set_are_a_defect() -> None:
    with pytest.raises(PvqError, match="outside the set"):
        solve(PROBLEM, SET, Says(point=np.array([0.5, 0.0])))


def test_points_are_judged_in_float64() -> None:
    """0.1 in long double is no float64 level, but what is handed on and priced is."""
    given = np.array([1, 0], dtype=np.longdouble) / 10
    result = solve(PROBLEM, "levels[0;0.1]", Says(point=given))
    assert result.point is not None
    assert result.point.dtype == np.float64
    assert result.point.tolist() == [0.1, 0.0]
    assert result.error_upper == PROBLEM.error_upper(np.array([0.1, 0.0]))


def test_the_point_is_priced_here() -> None:
    result = solve(PROBLEM, SET, Says(point=np.zeros(2)))
    assert result.error_upper == pytest.approx(2 * 0.09 + 2 * 0.16 - 2 * 0.12, rel=1e-12)
    assert result.snr_achieved_db == pytest.approx(0.0, abs=1e-9)
    assert result.error_lower is None
    assert not result.certified


def test_the_bound_is_re_proved_here() -> None:
    good = FiniteCertificate(PROBLEM.digest, np.array([0.99, 0.99]), np.zeros(2))
    result = solve(PROBLEM, SET, Says(certificate=good))
    assert result.certified
    assert result.error_lower == pytest.approx(0.99 * (0.09 + 0.16), rel=1e-9)
    assert result.certificate is good
    bad = FiniteCertificate(PROBLEM.digest, np.array([1.5, 1.5]), np.zeros(2))
    result = solve(PROBLEM, SET, Says(certificate=bad))
    assert (result.error_lower, result.certified, result.certificate) == (0.0, False, None)
    assert result.snr_at_most_db is None


@pytest.mark.parametrize(("spec", "method"), [("int[bits=2]", "hull"), ("sparse[k=4]", "perspective")])
def test_claims_leave_room_for_another_order_of_summation(spec: str, method: str) -> None:
    problem = catalogue_problem("conv", 18)
    feasible = fit_set(spec, problem.w)
    result = solve(problem, feasible, method)
    assert result.certificate is not None
    assert result.error_lower == result.certificate.bound(problem, feasible, 2.0)
    assert result.error_lower < result.certificate.bound(problem, feasible)


@pytest.mark.parametrize("value", [0.0, -1.0, -np.inf])
def test_bounds_are_never_negative_and_nothing_is_not_certified(value: float) -> None:
    result = solve(PROBLEM, SET, Says(certificate=Boast(value)))
    assert result.error_lower == 0.0
    assert not result.certified
    assert result.snr_at_most_db is None


def test_numerical_breakdown_is_a_status_and_other_errors_are_not_swallowed() -> None:
    result = solve(PROBLEM, SET, Says(error=np.linalg.LinAlgError("broke")))
    assert result.status is Status.FAILED
    assert "broke" in result.notes
    with pytest.raises(KeyError):
        solve(PROBLEM, SET, Says(error=KeyError("mine")))


def test_meeting_bounds_are_optimal() -> None:
    on_grid = LayerProblem(PROBLEM.H, np.array([1.0, -1.0]))
    result = solve(on_grid, SET, "nearest")
    assert result.status is Status.OPTIMAL
    assert result.error_upper == 0.0
    assert result.snr_achieved_db == np.inf
    one = solve(PROBLEM, "levels[0.5]", "hull")
    assert one.status is Status.OPTIMAL
    assert one.certified


@pytest.mark.parametrize("method", list(SOLVERS.classes()))
def test_a_method_takes_some_set_and_refuses_the_others_with_a_sentence(method: str) -> None:
    assert isinstance(SOLVERS.build(method), Solver)
    sets = (SET, "sparse[k=1]", "joint[bits=2,density=0.5]")
    results = [solve(PROBLEM, spec, method, Limits(seconds=10)) for spec in sets]
    refused = [result for result in results if result.status is Status.REFUSED]
    assert 1 <= len(refused) <= (3 if method == "gurobi" else 2)  # the package may be missing
    for result in refused:
        assert result.error_lower is result.error_upper is None
        assert len(result.notes.split()) >= 5


@pytest.mark.parametrize("method", list(SOLVERS.classes()))
def test_no_signal_has_no_snr(method: str) -> None:
    for problem in (LayerProblem(np.eye(3), np.zeros(3)), LayerProblem(np.zeros((3, 3)), np.ones(3))):
        for spec in ("levels[-1;0;1]", "sparse[k=1]"):
            result = solve(problem, spec, method)
            if result.status is not Status.REFUSED:
                assert result.error_upper == 0.0
                assert result.snr_achieved_db is result.snr_at_most_db is None
                assert result.status is Status.OPTIMAL


@pytest.mark.parametrize(
    "given", [{"seconds": -1.0}, {"tolerance": 0.0}, {"tolerance": 1.0}, {"seconds": np.nan}]
)
def test_limits_are_checked(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(given))):
        Limits(**given)  # type: ignore[arg-type]


def test_options_of_methods() -> None:
    problem = catalogue_problem("conv", 18)
    with pytest.raises(SpecError, match="damping"):
        solve(problem, "int[bits=2]", "gptq[damping=-1]")
    named = solve(problem, "int[bits=2]", "gptq[damping=0.1,order=natural]")
    assert named.method == "gptq[damping=0.1,order=natural]"
    assert named.error_upper is not None


def test_singular_grams_do_not_break_gptq_without_damping() -> None:
    problem = catalogue_problem("rank-deficient", 18)
    assert solve(problem, "int[bits=2]", "gptq[damping=0]").error_upper is not None


@dataclass(frozen=True)
class Together(Says):
    """A method that takes all rows at once."""

    def run_rows(
        self, problems: Sequence[LayerProblem], sets: Sequence[FeasibleSet], limits: Limits
    ) -> list[Outcome]:
        if self.error:
            raise self.error
        return [Outcome(Status.FEASIBLE, s.nearest(p.w)) for p, s in zip(problems, sets, strict=True)]


W = np.array([[0.3, -0.4], [0.9, 0.2], [0.0, 0.0]])


@pytest.mark.parametrize("spec", [SET, "int[bits=2,per=row]", "int[bits=2,group=1]"])
def test_rows_at_once_are_priced_like_rows_alone(spec: str) -> None:
    assert isinstance(Together(), RowsSolver)
    together = solve_layer(PROBLEM.H, W, spec, Together())
    alone = solve_layer(PROBLEM.H, W, spec, "nearest")
    assert [result.error_upper for result in together] == [result.error_upper for result in alone]
    assert [result.method for result in alone] == ["nearest"] * 3


def test_a_breakdown_of_all_rows_is_a_failure_of_each() -> None:
    results = solve_layer(PROBLEM.H, W, SET, Together(error=np.linalg.LinAlgError("gone")))
    assert [result.status for result in results] == [Status.FAILED] * 3


def test_a_layer_that_a_method_refuses_is_refused_row_by_row() -> None:
    results = solve_layer(PROBLEM.H, W, SET, "magnitude")
    assert [result.status for result in results] == [Status.REFUSED] * 3


def test_optimal_is_what_the_bounds_say_not_what_the_method_says() -> None:
    """A method that calls a mere rounding optimal, without a proof, is not believed."""
    result = solve(PROBLEM, SET, Says(point=np.zeros(2), status=Status.OPTIMAL))
    assert result.status is Status.STALLED
