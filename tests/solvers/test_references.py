"""General solvers as references: what they prove is re-proved, what they claim is said to be claimed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.solvers.backends import branching, cvxpy_run
from pvq.solvers.backends.mixed_integer import level_program, sparse_program
from pvq.solvers.backends.multipliers import best_certificate
from pvq.solvers.backends.remarks import claim_note, claimed_value
from pvq.solvers.backends.scaled import scale
from pvq.solvers.catalogue import brute_force, catalogue_problem
from pvq.solvers.certificates.finite import FiniteCertificate
from pvq.solvers.feasible import FiniteSet, SparseSet, fit_set
from pvq.solvers.outcome import Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import Limits, solve
from pvq.theory.codebook import Codebook

for package in ("cvxpy", "clarabel", "scs", "pyscipopt"):
    pytest.importorskip(package)

SIZES = [("conv", 9), ("condition-1e2", 6), ("unequal", 8), ("dead-inputs", 9), ("condition-1e2", 12)]
PAIRS = [
    ("int[bits=3]", "sdp", "cvxpy-sdp"),
    ("int[bits=2]", "sdp", "cvxpy-sdp[solver=CLARABEL]"),
    ("sparse[density=0.5]", "perspective", "cvxpy-sdp"),
]
TIGHT = Limits(tolerance=1e-6)


@pytest.mark.parametrize(("name", "n"), SIZES)
@pytest.mark.parametrize(("spec", "ours", "reference"), PAIRS)
def test_the_reference_proves_what_our_relaxation_proves(
    name: str, n: int, spec: str, ours: str, reference: str
) -> None:
    """Two solvers of one relaxation that share nothing but the certificate's checker."""
    problem = catalogue_problem(name, n)
    mine, theirs = solve(problem, spec, ours, TIGHT), solve(problem, spec, reference)
    claimed = claimed_value(theirs.notes)
    assert theirs.status in (Status.BOUND, Status.OPTIMAL)
    assert theirs.certified
    assert claimed is not None
    # The certificate may prove more than the relaxation's value, since it looks at every level.
    assert theirs.error_lower == pytest.approx(claimed, rel=1e-3)
    assert mine.error_lower == pytest.approx(claimed, rel=1e-3)


@pytest.mark.parametrize(("name", "n"), SIZES)
def test_the_full_hull_is_at_least_our_hull(name: str, n: int) -> None:
    problem = catalogue_problem(name, n)
    full = solve(problem, "int[bits=2]", "cvxpy-sdp[relaxation=hull]").error_lower
    ours = solve(problem, "int[bits=2]", "hull", TIGHT).error_lower
    assert full is not None
    assert ours is not None
    assert 0.9 * full <= ours <= full * (1 + 1e-4)


def test_scs_is_re_proved_where_its_value_is_no_bound() -> None:
    """At condition 1e6 SCS stops at "optimal" above the relaxation's value (bounds of general solvers)."""
    problem = catalogue_problem("condition-1e6", 16)
    scs = solve(problem, "sparse[density=0.5]", "cvxpy-sdp[solver=SCS]", Limits(seconds=2.0))
    best = solve(problem, "sparse[density=0.5]", "perspective", TIGHT)
    assert scs.error_lower is not None
    assert best.error_lower is not None
    assert scs.error_lower <= best.error_lower * (1 + 1e-6)
    assert claimed_value(scs.notes) != pytest.approx(best.error_lower, rel=0.1)


@pytest.mark.parametrize("wrong", [10.0, -3.0, 1e8])
def test_wrong_multipliers_prove_less_never_more(wrong: float) -> None:
    problem = catalogue_problem("conv", 9)
    feasible = fit_set("levels[-1;0;1]", problem.w)
    scaled = scale(problem, np.ones(9))
    d = wrong * np.random.default_rng(0).uniform(0.5, 1.0, 9)
    proof = best_certificate(FiniteCertificate, scaled, feasible, d, d, d)
    assert proof.bound(problem, feasible) <= brute_force(problem, feasible)[0]


@pytest.mark.parametrize(
    ("spec", "method"),
    [
        ("int[bits=2]", "scip"),
        ("int[bits=2,group=3]", "scip"),
        ("levels[-1;0.3;1]", "scip"),
        ("sparse[k=3]", "scip"),
        ("sparse[k=3]", "scip[form=big-m]"),
    ],
)
@pytest.mark.parametrize("name", ["conv", "condition-1e6", "unequal", "dead-inputs", "rank-deficient"])
def test_scip_finds_the_optimum(spec: str, method: str, name: str) -> None:
    problem = catalogue_problem(name, 7)
    optimum, _ = brute_force(problem, fit_set(spec, problem.w))
    result = solve(problem, spec, method, Limits(seconds=20.0))
    assert not result.certified
    assert result.certificate is None
    assert result.error_upper == pytest.approx(optimum, rel=1e-5, abs=1e-13 * problem.signal)
    if result.status is Status.OPTIMAL and optimum > 1e-12 * problem.signal:
        assert claimed_value(result.notes) == pytest.approx(optimum, rel=1e-3)


def test_scip_reads_its_dual_bound_at_a_time_out() -> None:
    problem = catalogue_problem("conv", 40)
    result = solve(problem, "sparse[density=0.5]", "scip", Limits(seconds=0.6))
    incumbent = solve(problem, "sparse[density=0.5]", "swap").error_upper
    claimed = claimed_value(result.notes)
    assert result.status is Status.TIME_LIMIT
    assert result.error_lower is None
    assert result.error_upper is not None
    assert incumbent is not None
    assert result.error_upper <= incumbent * (1 + 1e-9)
    assert claimed is not None
    assert claimed <= result.error_upper * (1 + 1e-6)


def _answering(bound: float) -> branching.Run:
    """A solver that says optimal of the incumbent, with the given dual bound, in units of its error."""

    def run(program: object, gap: float, limits: Limits) -> branching.Answer:
        return branching.Answer("optimal", True, False, None, bound * program.unit, 3)  # type: ignore[attr-defined]

    return run


def test_optimal_is_not_believed_where_bound_and_point_part() -> None:
    """Seen on inputs whose sizes differ by 1e6: status optimal with an objective near 0."""
    problem = catalogue_problem("conv", 6)
    feasible = fit_set("levels[-1;0;1]", problem.w)
    for bound, status in ((1.0, Status.OPTIMAL), (0.2, Status.FEASIBLE), (1.4, Status.FEASIBLE)):
        outcome = branching.branch("X", _answering(bound), problem, feasible, "big-m", 0.0, Limits())
        assert outcome.status is status
        assert ("contradicts" in outcome.notes) == (status is not Status.OPTIMAL)


@pytest.mark.parametrize("method", ["cvxpy-sdp", "cvxpy-sdp[solver=SCS]", "scip", "scip[form=big-m]"])
@pytest.mark.parametrize("spec", ["int[bits=3]", "sparse[k=4]"])
def test_no_time_still_gives_a_point(method: str, spec: str) -> None:
    result = solve(catalogue_problem("conv", 12), spec, method, Limits(seconds=0.0))
    assert result.status is Status.TIME_LIMIT
    assert result.error_upper is not None


def test_a_short_limit_stops_scs_with_what_it_has() -> None:
    problem = catalogue_problem("condition-1e6", 32)
    result = solve(problem, "int[bits=3]", "cvxpy-sdp[solver=SCS,accuracy=1e-12]", Limits(seconds=0.5))
    assert result.status is Status.TIME_LIMIT
    assert result.seconds < 30
    assert claimed_value(result.notes) is not None


def test_an_interrupt_of_scs_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """SCS catches the signal and merely reports a status."""
    import scs

    def interrupted(*_: object, **__: object) -> dict[str, object]:
        return {"info": {"status": "interrupted", "status_val": -5}}

    monkeypatch.setattr(scs, "solve", interrupted)
    with pytest.raises(KeyboardInterrupt):
        solve(catalogue_problem("conv", 6), "int[bits=2]", "cvxpy-sdp[solver=SCS]")


def test_an_interrupt_of_scip_is_an_interrupt() -> None:
    """The signal comes from outside, as from a terminal: SCIP holds the interpreter while it runs."""
    problem = catalogue_problem("conv", 40)
    kill = f"import os, time; time.sleep(1.5); os.kill({os.getpid()}, 2)"
    with subprocess.Popen([sys.executable, "-S", "-c", kill]), pytest.raises(KeyboardInterrupt):
        solve(problem, "sparse[density=0.5]", "scip", Limits(seconds=20.0))


@contextmanager
def _without(*modules: str) -> Iterator[None]:
    saved = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(dict.fromkeys(modules))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, module in saved.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


@pytest.mark.parametrize(
    ("method", "module"),
    [
        ("cvxpy-sdp", "cvxpy"),
        ("cvxpy-sdp[solver=SCS]", "scs"),
        ("scip", "pyscipopt"),
        ("cvxpy-sdp[solver=MOSEK]", "mosek"),
        ("gurobi", "gurobipy"),
    ],
)
def test_a_missing_package_is_one_line_that_says_what_to_install(method: str, module: str) -> None:
    with _without(module):
        result = solve(catalogue_problem("conv", 6), "int[bits=2]", method)
    assert result.status is Status.REFUSED
    assert re.fullmatch(rf"{module} is not installed; run: pip install 'pvq\[reference\]'.*", result.notes)
    assert "\n" not in result.notes


def test_long_lists_of_levels_are_refused_by_branching() -> None:
    problem = LayerProblem(np.eye(2), np.ones(2))
    assert solve(problem, "int[bits=15]", "scip").status is Status.REFUSED


@pytest.mark.parametrize("levels", [[-1.0, 0.0, 1.0, 2.0], [-1.0, 0.3, 1.0, 4.0]])
def test_programs_price_as_the_problem_does(levels: list[float]) -> None:
    """The objective at any levels is the error in units of the incumbent's."""
    problem = catalogue_problem("conv", 9)
    feasible = FiniteSet(Codebook(np.array(levels)), np.linspace(0.5, 2.0, 9))
    incumbent = feasible.nearest(problem.w)
    program = level_program(problem, feasible, incumbent)
    assert program is not None
    number = np.random.default_rng(0).integers(0, 4, 9)
    residual = program.factor @ (program.levels[np.arange(9), number] - program.w)
    assert program.unit * residual @ residual == pytest.approx(
        problem.error(program.point(number.astype(float)))
    )
    assert (program.steps is None) == (levels[1] != 0.0)
    np.testing.assert_array_equal(program.point(program.start.astype(float)), incumbent)


@pytest.mark.parametrize("form", ["perspective", "big-m"])
def test_sparse_programs_price_as_the_problem_does(form: branching.Form) -> None:
    problem = catalogue_problem("conv", 9)
    feasible = SparseSet(9, 4)
    incumbent = feasible.nearest(problem.w)
    d = np.full(9, 0.3 * np.linalg.eigvalsh(problem.H)[0])
    program = sparse_program(problem, feasible, incumbent, d, form)
    assert program is not None
    change: F64 = program.start - program.w
    value = np.sum((program.factor @ change) ** 2) + program.d @ change**2
    assert program.unit * value == pytest.approx(problem.error(incumbent))
    _, optimal = brute_force(problem, feasible)
    assert (np.abs(optimal * program.scaled.stretch) <= program.bound).all()


def test_notes_keep_what_is_claimed() -> None:
    assert claimed_value(claim_note("SCS", "optimal", 1.25e-7)) == 1.25e-7
    assert claimed_value(claim_note("SCS", "failed", float("nan"))) is None
    assert claimed_value("") is None


def test_a_scaled_problem_prices_as_the_problem_does() -> None:
    problem = catalogue_problem("dead-inputs", 9)
    scaled = scale(problem, np.linspace(1.0, 2.0, 9))
    v = np.random.default_rng(0).standard_normal(9)
    change = v[scaled.alive] * scaled.stretch
    assert scaled.unit**2 * change @ scaled.A @ change == pytest.approx(problem.error(problem.w + v))
    np.testing.assert_allclose(np.diagonal(scaled.A), 1.0, rtol=1e-12)


def test_options_carry_limit_and_accuracy() -> None:
    assert cvxpy_run._options("SCS", 1e-7, 0.0) == {"time_limit_secs": 1e-3, "eps_rel": 1e-7, "eps_abs": 1e-7}
    assert cvxpy_run._options("CLARABEL", None, 2.0) == {"accept_unknown": True, "time_limit": 2.0}
    assert cvxpy_run._options("MOSEK", 1e-7, None) == {
        "mosek_params": {"MSK_DPAR_INTPNT_CO_TOL_REL_GAP": 1e-7}
    }


def test_accuracy_is_what_the_solver_stops_at() -> None:
    problem = catalogue_problem("conv", 18)
    loose, tight = (
        solve(problem, "int[bits=3]", f"cvxpy-sdp[accuracy={accuracy}]") for accuracy in (1e-2, 1e-8)
    )
    assert loose.iterations < tight.iterations
    assert loose.error_lower is not None
    assert tight.error_lower is not None
    assert loose.error_lower <= tight.error_lower * (1 + 1e-9)
    assert replace(loose, seconds=0.0).certified


@pytest.mark.parametrize(
    ("name", "n", "reason"), [("repeated-columns", 7, "singular"), ("condition-1e10", 3, "resolution")]
)
def test_what_scip_cannot_be_trusted_with_is_not_run(name: str, n: int, reason: str) -> None:
    result = solve(catalogue_problem(name, n), "sparse[k=1]", "scip")
    assert result.status is Status.STALLED
    assert reason in result.notes
    assert result.error_upper is not None
