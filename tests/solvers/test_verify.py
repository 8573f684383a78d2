"""Certificates on disk: what is stored is re-proved, what is changed is rejected."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pvq.errors import CertificateRejected, PvqError
from pvq.solvers.catalogue import brute_force, catalogue_problem
from pvq.solvers.certificate_files import Claim, load_claims, save_claims
from pvq.solvers.certificates.finite import FiniteCertificate
from pvq.solvers.feasible import describe_set, fit_set
from pvq.solvers.problem import problems_of_layer
from pvq.solvers.solver import solve
from pvq.solvers.verify import check, verify_path

CAMPS = [("int[bits=2]", "hull"), ("sparse[k=2]", "perspective")]


def _claim(spec: str, method: str, seed: int = 0) -> Claim:
    problem = catalogue_problem("conv", 6, seed)
    feasible = fit_set(spec, problem.w)
    return Claim.of(problem, feasible, solve(problem, feasible, method))


@pytest.fixture(params=CAMPS, ids=["finite", "sparse"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return save_claims(tmp_path / "row", [_claim(*request.param)])


def _edit(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change the arrays and the first entry of the header, then write the file again."""
    with np.load(path) as data:
        arrays = dict(data)
    header = json.loads(str(arrays["claims"]))
    change(arrays, header["claims"][0])
    arrays["claims"] = np.array(json.dumps(header))
    np.savez(path, **arrays)


def test_what_is_stored_is_accepted(stored: Path) -> None:
    (row,) = verify_path(stored)
    assert row["accepted"]
    assert 0 < row["claimed"] <= row["proved"] <= row["claimed"] * (1 + 1e-6)
    assert verify_path(str(stored.parent)) == [row]


def test_rows_say_what_they_are_about(stored: Path) -> None:
    (claim,) = load_claims(stored)
    (row,) = verify_path(stored)
    assert (row["problem"], row["n"], row["set"]) == (claim.problem.digest, 6, claim.set)
    assert claim.set == describe_set(claim.feasible)
    stored.write_bytes(b"")
    (row,) = verify_path(stored)
    assert row["problem"] is row["n"] is row["set"] is None


def test_a_file_is_enough_with_the_gram_beside_it(stored: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(stored.parent, moved, ignore=lambda *_: ["elsewhere"])
    assert verify_path(moved / stored.name)[0]["accepted"]
    next(moved.glob("gram-*.npz")).unlink()
    (row,) = verify_path(moved / stored.name)
    assert not row["accepted"]
    assert "gram-" in row["reason"]


def test_raised_claims_are_rejected(stored: Path) -> None:
    with np.load(stored) as data:
        claim = json.loads(str(data["claims"]))["claims"][0]["claim"]
    for raised in (claim * (1 + 1e-5), 2 * claim, 1e300):
        _edit(stored, lambda _, entry, raised=raised: entry.update(claim=raised))  # type: ignore[misc]
        (row,) = verify_path(stored)
        assert not row["accepted"]
        assert row["reason"].startswith("claims ")


def _scale_d(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    arrays["0/certificate/d"] = 1.2 * arrays["0/certificate/d"]


def _scale_u(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    arrays["0/certificate/u"] = 1.2 * arrays["0/certificate/u"]


def _lower_d(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    arrays["0/certificate/d"] = 0.8 * arrays["0/certificate/d"]


def _other_weights(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    arrays["0/w"] = 1.5 * arrays["0/w"]


def _nan_d(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    arrays["0/certificate/d"] = np.nan * arrays["0/certificate/d"]


def _short_u(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    arrays["0/certificate/u"] = arrays["0/certificate/u"][1:]


def _text_d(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    arrays["0/certificate/d"] = np.array(["a"] * 6)


def _no_u(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    del arrays["0/certificate/u"]


def _nan_claim(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    entry["claim"] = float("nan")


def _infinite_claim(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    entry["claim"] = float("-inf")


def _text_claim(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    entry["claim"] = "much"


def _other_problem(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    entry["problem"] = "0" * 64


def _path_as_gram(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    entry["gram"] = "../../etc"


def _unknown_kind(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    entry["set"]["kind"] = "magic"


def _no_kind(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    del entry["certificate"]["kind"]


def _huge_claim(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    entry["claim"] = 10**400


def _true_claim(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    entry["claim"] = True


def _number_as_method(arrays: dict[str, Any], entry: dict[str, Any]) -> None:
    entry["method"] = 1


TAMPERS = [
    _huge_claim, _true_claim, _number_as_method,
    _scale_d, _scale_u, _lower_d, _other_weights, _nan_d, _short_u, _text_d, _no_u, _nan_claim,
    _infinite_claim, _text_claim, _other_problem, _path_as_gram, _unknown_kind, _no_kind,
]  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERS)
def test_tampering_is_rejected_with_a_reason(
    stored: Path, tamper: Callable[[dict[str, Any], dict[str, Any]], None]
) -> None:
    _edit(stored, tamper)
    (row,) = verify_path(stored)
    assert not row["accepted"]
    assert row["reason"]
    json.dumps(row, allow_nan=False)


@pytest.mark.parametrize("k", [float("inf"), 2.9, 2.0, True, "2", None, -1, 10**400])
def test_counts_are_whole_numbers(tmp_path: Path, k: object) -> None:
    stored = save_claims(tmp_path / "row", [_claim(*CAMPS[1])])
    _edit(stored, lambda _, entry: entry["set"].update(k=k))
    (row,) = verify_path(stored)
    assert not row["accepted"]
    assert "k must" in row["reason"] or "integer string" in row["reason"]


def test_headers_without_end_are_rejected(stored: Path) -> None:
    np.savez(stored, claims=np.array("[" * 10**5))
    (row,) = verify_path(stored)
    assert "is not a certificate file" in row["reason"]


def test_a_changed_gram_is_rejected(stored: Path) -> None:
    gram = next(stored.parent.glob("gram-*.npz"))
    with np.load(gram) as data:
        H = 2.0 * data["H"]
    np.savez(gram, H=H)
    (row,) = verify_path(stored)
    assert not row["accepted"]
    assert "does not hold the H" in row["reason"]


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 broken"])
def test_damaged_files_are_rejected_not_raised(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.cert.npz").write_bytes(content)
    (row,) = verify_path(tmp_path)
    assert not row["accepted"]


def test_truncated_files_are_rejected(stored: Path) -> None:
    content = stored.read_bytes()
    for length in range(0, len(content), 97):
        stored.write_bytes(content[:length])
        assert not any(row["accepted"] for row in verify_path(stored))


def test_flipped_bits_never_prove_more_than_the_optimum(stored: Path) -> None:
    """A change of any byte is rejected, or what is accepted is still true."""
    spec = "sparse[k=2]" if b"perspective" in stored.read_bytes().replace(b"\0", b"") else "int[bits=2]"
    problem = catalogue_problem("conv", 6)
    optimum = brute_force(problem, fit_set(spec, problem.w))[0]
    content = bytearray(stored.read_bytes())
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(content), 150):
        changed = content.copy()
        changed[position] ^= 1 << int(rng.integers(8))
        stored.write_bytes(changed)
        for row in verify_path(stored):
            assert not row["accepted"] or row["claimed"] <= optimum


def test_pickles_are_never_loaded(stored: Path) -> None:
    with np.load(stored) as data:
        arrays = dict(data)
    arrays["0/certificate/d"] = np.array([{"a": 1}] * 6, dtype=object)
    np.savez(stored, **arrays)  # type: ignore[arg-type]
    (row,) = verify_path(stored)
    assert not row["accepted"]
    assert "pickle" in row["reason"]


def test_rows_of_a_layer_share_one_gram_file(tmp_path: Path) -> None:
    H = catalogue_problem("conv", 9).H
    problems = problems_of_layer(H, np.random.default_rng(1).standard_normal((4, 9)))
    claims = []
    for problem in problems:
        for spec, method in CAMPS:
            feasible = fit_set(spec, problem.w)
            claims.append(Claim.of(problem, feasible, solve(problem, feasible, method)))
    save_claims(tmp_path / "layer.cert.npz", claims)
    assert len(list(tmp_path.glob("gram-*"))) == 1
    rows = verify_path(tmp_path)
    assert [row["accepted"] for row in rows] == [True] * 8
    assert [claim.value for claim in load_claims(tmp_path / "layer.cert.npz")] == [
        claim.value for claim in claims
    ]


def test_missing_and_empty_places(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match="does not exist"):
        verify_path(tmp_path / "nowhere")
    with pytest.raises(PvqError, match="holds no certificate"):
        verify_path(tmp_path)


def test_check_rejects_by_exception() -> None:
    claim = _claim(*CAMPS[0])
    assert check(claim) >= claim.value
    with pytest.raises(CertificateRejected, match="claims"):
        check(Claim(claim.problem, claim.feasible, claim.certificate, 1.1 * claim.value))


def test_digests_tell_claims_apart() -> None:
    claim = _claim(*CAMPS[0])
    proof, same = claim.certificate, _claim(*CAMPS[0])
    assert isinstance(proof, FiniteCertificate)
    others = [
        replace(claim, value=0.5 * claim.value),
        replace(claim, method="other"),
        replace(claim, feasible=fit_set("levels[0;1]", claim.problem.w)),
        replace(claim, certificate=replace(proof, d=0.5 * proof.d)),
        replace(claim, certificate=replace(proof, u=0.5 * proof.u)),
        _claim(*CAMPS[0], seed=1),
    ]
    assert same.digest == claim.digest
    assert len({claim.digest, *(other.digest for other in others)}) == 1 + len(others)


def test_results_without_certificate_make_no_claim() -> None:
    problem = catalogue_problem("conv", 6)
    feasible = fit_set("int[bits=2]", problem.w)
    with pytest.raises(PvqError, match="no certificate"):
        Claim.of(problem, feasible, solve(problem, feasible, "nearest"))
