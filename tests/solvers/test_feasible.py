"""Sets and their specs."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.errors import SpecError, UnknownName
from pvq.solvers.feasible import (
    SETS,
    FeasibleSet,
    FiniteSet,
    SetSpec,
    SparseSet,
    describe_set,
    fit_rows,
    fit_set,
)
from pvq.theory.codebook import Codebook

W = np.random.default_rng(0).standard_normal((4, 10))
SPECS = {
    "int": ["int[bits=4]", "int[bits=2,grid=symmetric]", "int[3,scale=0.5]", "int[bits=3,scale=absmax]"],
    "levels": ["levels[-1;0;1]", "levels[0.25]"],
    "sparse": ["sparse[k=3]", "sparse[density=0.25]"],
    "boxed-sparse": ["boxed-sparse[density=0.5]"],
    "n_of_m": ["n_of_m[n=2,m=4]"],
    "joint": ["joint[bits=3,density=0.5]"],
}


def test_every_registered_set_is_tried_here() -> None:
    assert set(SPECS) == set(SETS.classes())


@pytest.mark.parametrize("spec", [spec for specs in SPECS.values() for spec in specs])
def test_nearest_lies_in_the_set_and_is_a_projection(spec: str) -> None:
    assert isinstance(SETS.build(spec), SetSpec)
    feasible = fit_set(spec, W[0] if spec.startswith("boxed") else W)  # a box is a row's own
    assert isinstance(feasible, FeasibleSet)
    for w in (*W, np.zeros(10), 1e6 * W[0]):
        x = feasible.nearest(w)
        assert feasible.contains(x)
        np.testing.assert_array_equal(feasible.nearest(x), x)
        assert not feasible.contains(np.where(x == 0, 0.123, x) + 0.0123)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("int", "bits"),
        ("int[bits=0]", "bits"),
        ("int[bits=17]", "bits"),
        ("int[bits=4,scale=-1]", "scale"),
        ("int[bits=4,grid=hexagonal]", "twos-complement"),
        ("levels[]", "levels"),
        ("levels[a]", "float"),
        ("levels[0;inf]", "finite"),
        ("levels[0;1e76]", "1e75"),
        ("sparse", "exactly one"),
        ("sparse[k=2,density=0.5]", "exactly one"),
        ("sparse[k=-1]", "negative"),
        ("sparse[density=1.5]", "density"),
        ("sparse[k=11]", r"k must lie in \[0, 10\], got 11"),
    ],
)
def test_bad_specs_are_refused_with_a_reason(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_set(spec, W)


def test_unknown_set_suggests() -> None:
    with pytest.raises(UnknownName, match="did you mean sparse"):
        fit_set("spars[k=2]", W)
    with pytest.raises(SpecError, match="has no option"):
        fit_set("sparse[kk=2]", W)


def test_scale_is_one_for_the_tensor_and_zero_weights_do_no_harm() -> None:
    whole, row = fit_set("int[bits=3]", W), fit_set("int[bits=3]", W[0])
    assert isinstance(whole, FiniteSet)
    assert isinstance(row, FiniteSet)
    assert whole.codebook.scale != row.codebook.scale
    assert fit_set("int[bits=2]", np.zeros(3)).levels.tolist() == [-2.0, -1.0, 0.0, 1.0]  # type: ignore[attr-defined]
    positive = fit_set("int[bits=2]", np.abs(W))
    assert isinstance(positive, FiniteSet)
    assert positive.levels[0] < 0


@pytest.mark.parametrize(("density", "k"), [(0.0, 0), (0.25, 2), (0.26, 3), (0.35, 4), (1.0, 10)])
def test_density_rounds_halves_to_even(density: float, k: int) -> None:
    """0.25 * 10 = 2.5 and 0.35 * 10 = 3.5 are halves."""
    assert fit_set(f"sparse[density={density}]", W) == SparseSet(10, k)


@pytest.mark.parametrize("x", [np.ones(2), np.array([np.nan, 0.0, 0.0]), np.ones(3)])
def test_sparse_set_contains_only_what_it_should(x: F64) -> None:
    assert not SparseSet(3, 2).contains(x)


def test_levels_are_checked() -> None:
    with pytest.raises(ValueError, match="at most 65536"):
        FiniteSet(Codebook(np.arange(65537.0)))


def test_descriptions_tell_sets_apart() -> None:
    grids = [np.array(levels) for levels in ([-1.0, 0.0, 1.0], [-1.0, 1e-300, 1.0], [-1.0, 1.0])]
    sets = [FiniteSet(Codebook(levels)) for levels in grids]
    sparse = [SparseSet(n, k) for n, k in ((4, 1), (4, 2), (5, 1))]
    texts = [describe_set(feasible) for feasible in (*sets, *sparse)]
    assert len(set(texts)) == len(texts)
    assert texts[0].startswith("3 levels from -1 to 1, ")
    assert texts[3] == "sparse 1 of 4"
    assert describe_set(FiniteSet(Codebook(grids[0].copy()))) == texts[0]


def test_scales_of_groups_stretch_the_levels() -> None:
    """A group of weights four times as large gets the grid of the first, four times as wide."""
    w = np.array([0.3, -1.0, 0.7, 1.2, -4.0, 2.8])
    grouped = fit_set("int[bits=3,group=3]", w)
    alone = [fit_set("int[bits=3]", part) for part in (w[:3], w[3:])]
    assert isinstance(grouped, FiniteSet)
    assert grouped.scales is not None
    expected = [part.nearest(part_w) for part, part_w in zip(alone, (w[:3], w[3:]), strict=True)]
    assert grouped.nearest(w) == pytest.approx(np.concatenate(expected), rel=1e-12)
    assert grouped.contains(grouped.nearest(w))
    assert not grouped.contains(np.roll(grouped.nearest(w), 3))
    assert not grouped.contains(grouped.nearest(w)[:3])
    assert grouped.level_table(6).shape == (6, 8)


@pytest.mark.parametrize("scales", [[1.0, 0.0], [1.0, -1.0], [1.0, np.inf], [1e-320, 1.0], [1e80, 1.0]])
def test_scales_that_make_no_levels_are_refused(scales: list[float]) -> None:
    with pytest.raises(ValueError, match=r"scales|levels must not exceed"):
        FiniteSet(Codebook(np.array([1.0, 1.0 + 1e-12])), np.array(scales))


def test_rows_with_scales_of_their_own_are_not_fitted_as_one() -> None:
    with pytest.raises(ValueError, match="one row"):
        fit_set("int[bits=3,per=row]", np.ones((2, 3)))
    assert len(fit_rows("sparse[k=1]", np.ones((2, 3)))) == 2


def test_sets_are_restored_from_what_they_store() -> None:
    w = np.array([0.3, -1.0, 0.7, 1.2])
    for spec in ("int[bits=3]", "int[bits=3,group=2]", "sparse[k=2]"):
        feasible = fit_set(spec, w)
        again = type(feasible).restore(4, feasible.arrays(), feasible.facts())
        assert again.describe() == feasible.describe()
