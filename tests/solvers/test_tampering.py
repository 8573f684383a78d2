"""Changed, renamed and misplaced certificates: a quick share of benchmarks/tamper_check.py."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from pvq.errors import CertificateRejected
from pvq.solvers.catalogue import catalogue_problem
from pvq.solvers.certificate_files import Claim
from pvq.solvers.certificates.finite import FiniteCertificate
from pvq.solvers.feasible import fit_set
from pvq.solvers.rounding import proves_psd
from pvq.solvers.solver import solve
from pvq.solvers.verify import check

from .cases import attacks, proved, random_proofs, tampered
from .exact import exact_optimum


@pytest.mark.parametrize("seed", range(3))
def test_no_attack_proves_more_than_the_truth(seed: int) -> None:
    """15 proofs with nine attacks each; the truth is the exact error of the best point."""
    rng = np.random.default_rng([7, seed])
    for original in islice(random_proofs(rng, 4), 15):
        for attack, problem, feasible, proof in attacks(original[0], original[1], original[3], rng):
            bound = proved(proof, problem, feasible)
            assert bound <= 0 or bound <= exact_optimum(problem, feasible), (attack, original[2])


@pytest.mark.parametrize(
    ("spec", "method"),
    [("int[bits=2]", "hull"), ("sparse[k=3]", "perspective"), ("joint[bits=3,density=0.5]", "joint-bound")],
)
def test_changed_evidence_is_rejected(spec: str, method: str) -> None:
    """A claim whose evidence changed by more than a little is not accepted, nor is a larger claim."""
    problem, rng = catalogue_problem("conv", 9), np.random.default_rng(0)
    result = solve(problem, spec, method)
    claim = Claim.of(problem, fit_set(spec, problem.w), result)
    assert check(claim) >= claim.value
    with pytest.raises(CertificateRejected):
        check(replace(claim, value=claim.value * (1 + 1e-6)))
    for _ in range(40):
        other = replace(claim, certificate=tampered(claim.certificate, rng))
        bound = other.certificate.bound(problem, claim.feasible)
        if bound < claim.value:
            with pytest.raises(CertificateRejected):
                check(other)


def test_other_types_of_numbers_prove_nothing() -> None:
    """The bytes of a diagonal that was just proved, read as integers, are another diagonal."""
    problem = catalogue_problem("conv", 9)
    feasible = fit_set("int[bits=2]", problem.w)
    proof = solve(problem, feasible, "hull").certificate
    assert isinstance(proof, FiniteCertificate)
    assert proof.bound(problem, feasible) > 0
    for kind in (np.int64, np.uint64, np.dtype(">f8")):
        assert replace(proof, d=proof.d.view(kind)).bound(problem, feasible) == -np.inf
        assert replace(proof, d=proof.d.view(kind), u=0.0 * proof.u).bound(problem, feasible) == -np.inf
        assert replace(proof, u=proof.u.view(kind)).bound(problem, feasible) == -np.inf
    integers: Any = proof.d.view(np.int64)
    assert not proves_psd(problem.H, integers)
