"""Exact statistics of tensors."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.theory import tensors
from pvq.theory.codebook import Codebook
from pvq.theory.quantizers.int import IntGrid
from pvq.theory.sorted_weights import SortedWeights
from pvq.theory.tensors import (
    kurtosis,
    quantizer_at,
    tensor_pruning_snr,
    tensor_snr,
    weights_row,
    weights_rows,
    zero_fraction,
)


def normal(n: int = 4096, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n)


def test_kurtosis_of_a_known_sample() -> None:
    # m = 1, squares 1 1 4, fourth powers 1 1 16: (18/3) / (6/3)^2
    assert kurtosis([0.0, 0.0, 3.0]) == pytest.approx(1.5, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_kurtosis_accumulates_in_double(dtype: type) -> None:
    w = np.round(20 * normal(100_000)).astype(dtype)
    assert kurtosis(w) == pytest.approx(kurtosis(w.astype(np.float64)), rel=1e-14)


@pytest.mark.parametrize("unit", [1e-320, 1e-160, 1e160, 1e307])
def test_kurtosis_has_no_unit(unit: float) -> None:
    w = np.array([-1.0, 0.0, 0.0, 2.0])
    assert kurtosis(w * unit) == pytest.approx(kurtosis(w), rel=1e-3 if unit < 1e-300 else 1e-13)


def test_kurtosis_far_from_zero() -> None:
    assert kurtosis(normal() + 1e6) == pytest.approx(kurtosis(normal()), rel=1e-8)


@pytest.mark.parametrize("w", [[0.1], [0.1] * 7, np.zeros(5)])
def test_kurtosis_of_a_constant_is_nan(w: list[float]) -> None:
    assert np.isnan(kurtosis(w))


def test_pruning_removes_exactly_the_floor() -> None:
    w = np.arange(1.0, 11.0)
    for density, removed in ((1.0, 0), (0.95, 0), (0.9, 1), (0.7, 3), (0.25, 7), (0.0, 10)):
        expected = (w**2).sum() / (w[:removed] ** 2).sum() if removed else np.inf
        assert 10 ** (tensor_pruning_snr(w, density) / 10) == pytest.approx(expected)


def test_pruning_equals_sorting_and_cutting() -> None:
    w = normal()
    pruned = w.copy()
    pruned[np.argsort(np.abs(w))[: int(0.75 * w.size)]] = 0
    expected = 10 * np.log10((w**2).sum() / ((w - pruned) ** 2).sum())
    assert tensor_pruning_snr(w, 0.25) == pytest.approx(expected, abs=1e-11)


def test_snr_and_zeros_by_hand() -> None:
    book = Codebook(np.array([-1.0, 0.0, 1.0]))
    assert tensor_snr([0.25, -0.75, 1.0], book) == pytest.approx(10 * np.log10(1.625 / 0.125))
    assert zero_fraction([0.25, -0.75, 1.0], book) == pytest.approx(1 / 3)
    assert tensor_snr([-1.0, 1.0], book) == np.inf


@pytest.mark.parametrize("unit", [1e-310, 1e-200, 1e300])
def test_snrs_have_no_unit(unit: float) -> None:
    w = normal(512)
    row, scaled = weights_row(w, 3), weights_row(w * unit, 3)
    for field in ("quant_snr_db", "prune_snr_db", "quant_zero_fraction", "kurtosis"):
        assert scaled[field] == pytest.approx(row[field], abs=1e-6)
    assert scaled["scale"] / unit == pytest.approx(row["scale"], rel=1e-6)


def test_row_agrees_with_its_parts() -> None:
    w = normal().reshape(64, 64).astype(np.float32)
    row = weights_row(w, 4)
    book = IntGrid(4).codebook(w.astype(np.float64))
    assert row["quant_snr_db"] == pytest.approx(tensor_snr(w, book), abs=1e-12)
    assert row["prune_snr_db"] == pytest.approx(tensor_pruning_snr(w, 0.25), abs=1e-12)
    fewer = (1 - zero_fraction(w, book)) * 0.25
    assert row["prune_snr_db_corrected"] == pytest.approx(tensor_pruning_snr(w, fewer), abs=1e-12)
    assert (row["winner"], row["note"], row["bits"]) == ("quantize", None, 4)


@pytest.mark.parametrize("chunk", [7, tensors.CHUNK])
@pytest.mark.parametrize("spec", ["int", "int[grid=mid-rise]", "lloyd-max", "apot", "int[scale=absmax]"])
def test_all_widths_at_once_are_the_parts_one_by_one(
    spec: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights repeat and lie on cell edges, where a tie takes the lower level."""
    monkeypatch.setattr(tensors, "CHUNK", chunk)
    w = np.round(normal(300, 3), 1).reshape(30, 10)
    for row, bits in zip(weights_rows(w, [2, 3, 5], spec), [2, 3, 5], strict=True):
        book = quantizer_at(spec, bits).codebook(w)
        zeros = zero_fraction(w, book)
        assert row["quant_zero_fraction"] == pytest.approx(zeros, abs=1e-15)
        assert row["quant_snr_db"] == pytest.approx(tensor_snr(w, book), abs=1e-11)
        assert row["prune_snr_db"] == pytest.approx(tensor_pruning_snr(w, bits / 16), abs=1e-11)
        fewer = tensor_pruning_snr(w, bits / 16 * (1 - zeros))
        assert row["prune_snr_db_corrected"] == pytest.approx(fewer, abs=1e-11)
        assert row["kurtosis"] == pytest.approx(kurtosis(w), rel=1e-13)


def test_a_tensor_is_sorted_once_for_all_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    original = SortedWeights.of.__func__
    monkeypatch.setattr(
        SortedWeights, "of", classmethod(lambda cls, values: made.append(1) or original(cls, values))
    )
    weights_rows(normal(), [2, 3, 4])
    assert len(made) == 1


def test_an_outlier_makes_pruning_win() -> None:
    assert weights_row(np.append(normal(), 200.0), 4)["winner"] == "prune"


@pytest.mark.parametrize(
    ("w", "note"),
    [
        (np.array([1.0, np.nan, np.inf]), "2 of 3 weights are NaN or infinite"),
        (np.zeros((3, 3)), "all weights are zero"),
        (np.full(4, 0.5), "all weights are equal to 0.5"),
        (np.array([]), "no weights"),
    ],
)
def test_a_defect_is_a_note_not_an_error(w: np.ndarray, note: str) -> None:
    row = weights_row(w, 4)
    assert row.pop("note") == note
    assert row.pop("bits") == 4
    assert set(row.values()) == {None}


def test_lossless_quantization_is_noted() -> None:
    row = weights_row(np.array([-1.0, 0.0, 1.0, 1.0]), 2)
    assert row["quant_snr_db"] is None
    assert row["winner"] == "quantize"
    assert row["note"] == "no error at all from quantization: infinite SNR"


def test_quantizer_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="4 bits per weight, not 3"):
        quantizer_at("int[bits=4]", 3)
