"""The rows of `pvq snr`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pvq.errors import SpecError, UnknownName
from pvq.theory.compare import snr_rows
from pvq.theory.distribution import DISTRIBUTIONS
from pvq.theory.quantizer import QUANTIZERS

FIELDS = [
    "distribution",
    "kurtosis",
    "bits",
    "sparsity",
    "quantizer",
    "scale",
    "quant_snr_db",
    "prune_snr_db",
    "winner",
]


def test_fields_and_values_at_four_bits() -> None:
    """facts A2 [C]: 19.2577 dB, 19.0957 dB by ACIQ's rule, 5.5847 dB for pruning to 25 %."""
    best, aciq = snr_rows("gaussian", [4], ["int", "int[scale=aciq]"])
    assert list(best) == FIELDS
    assert best["quant_snr_db"] == pytest.approx(19.2577, abs=5e-5)
    assert aciq["quant_snr_db"] == pytest.approx(19.0957, abs=5e-5)
    assert best["prune_snr_db"] == pytest.approx(5.5847, abs=5e-5)
    assert (best["kurtosis"], best["sparsity"], best["winner"]) == (pytest.approx(3.0), 0.75, "quantize")
    assert best["scale"] == pytest.approx(0.3386079, abs=5e-8)


def test_one_row_per_quantizer_and_width() -> None:
    rows = snr_rows("laplace", range(2, 9), ["int", "apot", "nf4", "float", "int[bits=5]", "mxfp4"])
    assert [(row["quantizer"], row["bits"]) for row in rows] == [
        *(("int", b) for b in range(2, 9)),
        *(("apot", b) for b in range(2, 9)),
        ("nf4", 4),
        ("float", 8),
        ("int[bits=5]", 5),
        ("mxfp4", 4.25),
    ]


@pytest.mark.parametrize("name", QUANTIZERS.classes())
def test_every_quantizer_makes_valid_json(name: str) -> None:
    for row in snr_rows("truncated[law=student-t[nu=2],r=100]", [3], [name]):
        assert json.loads(json.dumps(row, allow_nan=False)) == row
        assert row["winner"] in ("quantize", "prune", "tie")


def test_infinite_kurtosis_is_null_and_a_perfect_codebook_too(tmp_path: Path) -> None:
    assert snr_rows("student-t[nu=3]", [4], ["int"])[0]["kurtosis"] is None
    np.save(tmp_path / "w.npy", [-1.0, 0.0, 1.0])
    row = snr_rows(f"file:{tmp_path / 'w.npy'}", [2], ["int"])[0]
    assert row["quant_snr_db"] is None
    assert row["winner"] == "quantize"


def test_all_bits_kept_is_a_tie_with_a_perfect_codebook(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", [-1.0, 0.0, 1.0])
    row = snr_rows(f"file:{tmp_path / 'w.npy'}", [16], ["int"])[0]
    assert (row["quant_snr_db"], row["prune_snr_db"], row["winner"]) == (None, None, "tie")


def test_a_constant_tensor(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.full(10, 0.3))
    row = snr_rows(f"file:{tmp_path / 'w.npy'}", [4], ["int"])[0]
    assert row["kurtosis"] is None
    assert row["winner"] == "quantize"


def test_every_distribution_that_needs_no_option() -> None:
    for name in DISTRIBUTIONS.classes():
        try:
            DISTRIBUTIONS.build(name)
        except SpecError:
            continue
        assert snr_rows(name, [4], ["int"])[0]["quant_snr_db"] > 0


def test_refusals() -> None:
    with pytest.raises(UnknownName, match="did you mean int"):
        snr_rows("gaussian", [4], ["intt"])
    with pytest.raises(UnknownName, match="did you mean gaussian"):
        snr_rows("gausian", [4], ["int"])
    with pytest.raises(SpecError, match="must be of type int"):
        snr_rows("gaussian", [3.5], ["int"])
    with pytest.raises(ValueError, match="second moment"):
        snr_rows("student-t[nu=2]", [4], ["int"])
