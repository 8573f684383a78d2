"""Array checks and provenance."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pvq.arrays import as_f64
from pvq.provenance import git_hash, provenance, versions


@pytest.mark.parametrize(
    ("values", "ndim", "message"),
    [
        ([1.0, np.nan], 1, "w must be finite, got 1 NaN"),
        ([np.inf], 1, "w must be finite"),
        ([], 1, "w must not be empty"),
        ([[1.0]], 1, r"w must have 1 dimension\(s\), got shape \(1, 1\)"),
        (1.0, 1, "w must have 1"),
        (["a"], 1, "w must hold numbers"),
    ],
)
def test_bad_arrays_are_refused_by_name(values: object, ndim: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_f64(values, "w", ndim)  # type: ignore[arg-type]


def test_good_arrays_become_contiguous_float64() -> None:
    array = as_f64(np.arange(6, dtype=np.float16).reshape(2, 3).T, "w", 2)
    assert array.dtype == np.float64
    assert array.flags["C_CONTIGUOUS"]


def test_provenance_is_json_and_names_versions() -> None:
    record = json.loads(json.dumps(provenance(seed=3)))
    assert record["settings"] == {"seed": 3}
    assert record["versions"]["numpy"] == np.__version__
    assert versions(("no-such-package",)) == {}


def test_git_hash_is_a_commit_or_none() -> None:
    found = git_hash()
    assert found is None or len(found.removesuffix("-dirty")) >= 7
