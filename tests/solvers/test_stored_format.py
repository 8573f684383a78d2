"""Storage formats: every bit counted, the nearest weights stored, errors enclosed."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvq.errors import SpecError, UnknownName
from pvq.solvers.formats.int import Int
from pvq.solvers.formats.n_of_m import NOfM
from pvq.solvers.formats.sparse import Sparse
from pvq.solvers.row_scales import row_scales
from pvq.solvers.stored_format import FORMATS, Cost, Format, Storage, mask_cost, rounding_error, specs_at
from pvq.theory.optimal_scale import optimal_scale

SPECS = [
    "int[bits=2]", "int[bits=3,per=row]", "int[bits=8]", "int[bits=16]", "sparse[bits=4]", "sparse[bits=16]",
    "sign", "sign[per=row]", "n_of_m[n=2,m=4]", "n_of_m[n=1,m=4]", "float[bits=16]", "float[bits=32]",
]  # fmt: skip
NONE = np.empty(0)


def weights(rows: int = 3, n: int = 10, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(4, size=(rows, n)).astype(np.float32).astype(np.float64)


def exact_error(W: np.ndarray, X: np.ndarray) -> Fraction:
    pairs = zip(W.ravel().tolist(), X.ravel().tolist(), strict=True)
    return sum(((Fraction(w) - Fraction(x)) ** 2 for w, x in pairs), Fraction(0))


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("scale_bits", [16, 32])
def test_what_is_stored_is_a_float_of_single_precision(spec: str, scale_bits: int) -> None:
    stored: Format = FORMATS.build(spec)
    W, storage = weights(), Storage(scale_bits)
    X = stored.nearest(W, stored.scales(W, storage))
    assert X.shape == W.shape
    assert np.array_equal(X, X.astype(np.float32))
    assert np.array_equal(stored.nearest(X, stored.scales(W, storage)), X)
    assert type(stored.cost((3, 10), storage).bits) is int


def test_every_registered_format_is_tried() -> None:
    assert {spec.partition("[")[0] for spec in SPECS} == set(FORMATS.classes())


@pytest.mark.parametrize("spec", ["int[bits=2]", "int[bits=4,per=row]", "int[bits=8]"])
def test_integers_are_the_nearest_of_all_levels(spec: str) -> None:
    W, stored = weights(), FORMATS.build(spec)
    scales = stored.scales(W, Storage())
    X = stored.nearest(W, scales)
    assert isinstance(stored, Int)
    top = 2 ** (stored.bits - 1)
    for r, (row, found) in enumerate(zip(W, X, strict=True)):
        levels = float(scales[r if len(scales) > 1 else 0]) * np.arange(-top, top)
        assert np.isin(found, levels).all()
        least = np.abs(row[:, None] - levels).min(axis=1)
        assert np.abs(row - found) == pytest.approx(least, rel=1e-12)


def test_the_mean_magnitude_is_the_best_scale_of_signs() -> None:
    W = weights()
    stored = FORMATS.build("sign[per=row]")
    scales = stored.scales(W, Storage())
    assert scales == pytest.approx(np.abs(W).mean(axis=1), rel=1e-7)
    error = exact_error(W, stored.nearest(W, scales))
    for factor in (0.99, 1.01):
        assert exact_error(W, stored.nearest(W, factor * scales)) > error
    assert (
        rounding_error(np.zeros((1, 4)), stored.nearest(np.zeros((1, 4)), np.array([2.0**-126])))[1] < 1e-70
    )
    assert stored.cost((3, 10), Storage()) == Cost(30, 96)


@pytest.mark.parametrize("kept", range(9))
def test_the_largest_are_the_best_to_keep_even_in_half_precision(kept: int) -> None:
    rng = np.random.default_rng(kept)
    W = (rng.integers(1, 4, 8) * 2.0**-25 * rng.integers(1, 3, 8) + rng.normal(size=8) * 2.0**-24)[None, :]
    half = W.astype(np.float16).astype(np.float64)
    supports = itertools.combinations(range(8), kept)
    best = min(exact_error(W, np.where(np.isin(np.arange(8), s), half[0], 0.0)[None, :]) for s in supports)
    chosen = Sparse(max(2 * kept, 1e-9)).nearest(W, NONE)
    assert np.count_nonzero(chosen) <= kept
    assert exact_error(W, chosen) == best


def test_two_of_four_is_the_best_of_all_supports_and_counts_a_short_group() -> None:
    W = weights(2, 6)
    X = NOfM(2, 4).nearest(W, NONE)
    half = W.astype(np.float16).astype(np.float64)
    for start, stop in ((0, 4), (4, 6)):
        for row in range(2):
            part, stored = W[row, start:stop], half[row, start:stop]
            supports = itertools.combinations(range(stop - start), 2)
            errors = [
                exact_error(part, np.where(np.isin(np.arange(len(part)), s), stored, 0.0)) for s in supports
            ]
            assert exact_error(part, X[row, start:stop]) == min(errors)
    # two rows of a full group, log2 C(4, 2) bits each, and of a pair, both of which are kept
    assert NOfM(2, 4).cost((2, 6), Storage()) == Cost(16 * 8, 0, math.ceil(2 * math.log2(6)), "entropy")
    assert NOfM(2, 4).cost((2, 6), Storage(mask="bitmap")).mask == 8
    assert NOfM(1, 4).cost((1, 6), Storage()).mask == math.ceil(2 + 1)


def test_costs_add_scales_and_masks() -> None:
    assert Int(4).cost((8, 9), Storage()) == Cost(288, 32)
    assert Int(4, "row").cost((8, 9), Storage(16)) == Cost(288, 128)
    assert Sparse(4).cost((8, 8), Storage(mask="bitmap")) == Cost(256, 0, 64, "bitmap")
    entropy = math.ceil(64 * (0.25 * 2 + 0.75 * math.log2(4 / 3)))
    assert Sparse(4).cost((8, 8), Storage()) == Cost(256, 0, entropy, "entropy")
    assert Sparse(16).cost((8, 8), Storage()).bits == 1024


@given(st.integers(1, 400), st.data())
def test_a_mask_has_room_for_every_choice(n: int, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, n))
    bits, _ = mask_cost(kept, n, "cheapest")
    assert 2**bits >= math.comb(n, kept)
    assert bits <= n


@pytest.mark.parametrize("size", [1, 7, 5000])
@pytest.mark.parametrize("scale", [1e-75, 1.0, 1e60])
def test_errors_are_enclosed_tightly(size: int, scale: float) -> None:
    W = weights(1, size) * scale
    X = Int(4).nearest(weights(1, size), np.array([0.1])) * scale
    low, high = rounding_error(W, X)
    exact = exact_error(W, X)
    assert Fraction(low) <= exact <= Fraction(high)
    assert high - low <= 4e-12 * high
    assert rounding_error(W, W) == (0.0, 0.0)


def test_doubt_lowers_the_lower_error_only() -> None:
    W, X = weights(), np.zeros((3, 10))
    plain, doubted = rounding_error(W, X), rounding_error(W, X, 0.25)
    assert doubted[1] == plain[1]
    assert doubted[0] == pytest.approx(0.75 * plain[0], rel=1e-9)


def test_an_error_that_overflows_is_refused() -> None:
    with pytest.raises(ValueError, match="overflow"):
        rounding_error(np.full((1, 2), 1e200), np.zeros((1, 2)))


@pytest.mark.parametrize("n", [9, 32, 300])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_scales_of_rows_are_nearly_the_best(n: int, bits: int) -> None:
    """Within 5 % of the least error, which `optimal_scale` proves; on average within 1 %."""
    W = weights(12, n, seed=n)
    levels = np.arange(-(2.0 ** (bits - 1)), 2.0 ** (bits - 1))

    def error(row: np.ndarray, scale: float) -> float:
        return float(((row - scale * np.clip(np.rint(row / scale), levels[0], levels[-1])) ** 2).sum())

    excess = []
    for row, scale in zip(W, row_scales(W, bits), strict=True):
        least = error(row, optimal_scale(row, levels))
        excess.append(error(row, float(scale)) / least - 1 if least > 0 else 0.0)
    assert max(excess) < 0.05
    assert float(np.mean(excess)) < 0.01


def test_scales_of_rows_follow_the_weights() -> None:
    W = weights(4, 20)
    assert np.array_equal(row_scales(W * 2.0**40, 4), row_scales(W, 4) * 2.0**40)
    assert np.array_equal(row_scales(np.zeros((2, 3)), 4), [1.0, 1.0])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("int[bits=1]", "bits must be a whole number from 2 to 16"),
        ("int[bits=17]", "bits must be a whole number from 2 to 16"),
        ("float[bits=8]", "bits must be 16 or 32"),
        ("sparse[bits=17]", r"bits must lie in \(0, 16\]"),
        ("n_of_m[n=4,m=4]", "1 <= n < m"),
        ("int[bits=4,per=rows]", "must be one of tensor, row"),
    ],
)
def test_bad_formats_are_refused(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        specs_at(spec, (4,))


def test_open_widths_are_filled_in() -> None:
    assert specs_at("sparse", (2, 4)) == ["sparse[bits=2]", "sparse[bits=4]"]
    assert specs_at("int[bits=5]", (2, 4)) == ["int[bits=5]"]
    assert specs_at("int[5]", (2, 4)) == ["int[5]"]
    with pytest.raises(UnknownName, match="did you mean sparse"):
        specs_at("spars", (4,))


@pytest.mark.parametrize("scale", [1e-60, 1e-42])
def test_weights_beyond_a_format_are_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scales must lie in"):
        Int(4).scales(weights() * scale, Storage())
    for spec in ("sparse[bits=4]", "float[bits=16]", "n_of_m[n=2,m=4]"):
        with pytest.raises(ValueError, match="must fit in FP16"):
            FORMATS.build(spec).scales(weights() * 1e6, Storage())


@pytest.mark.parametrize(("name", "value"), [("scale_bits", 8), ("mask", "zip")])
def test_storage_is_checked(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        Storage(**{name: value})  # type: ignore[arg-type]
