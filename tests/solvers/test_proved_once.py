"""A proof of semidefiniteness is remembered for the matrix and diagonal that it is about, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.solvers import rounding
from pvq.solvers.rounding import proves_psd


def _count(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the factorisations."""
    calls: list[int] = []
    real = rounding._proves_psd

    def counted(H: F64, diagonal: F64, slack: float) -> bool:
        calls.append(1)
        return real(H, diagonal, slack)

    monkeypatch.setattr(rounding, "_proves_psd", counted)
    return calls


def test_the_same_claim_is_proved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, H, d = _count(monkeypatch), np.eye(3), np.full(3, 0.5)
    H.setflags(write=False)
    assert all(proves_psd(H, d.copy()) for _ in range(3))
    assert len(calls) == 1
    assert not proves_psd(H, d + 1.0)
    assert not proves_psd(H, d + 1.0)
    assert proves_psd(H, d, 2.0)
    assert len(calls) == 4


def test_another_or_a_changed_matrix_is_proved_anew() -> None:
    H, d = np.eye(3), np.full(3, 0.5)
    assert proves_psd(H, d)
    H[0, 0] = 0.1
    assert not proves_psd(H, d)
    H[0, 0] = 1.0
    H.setflags(write=False)
    assert proves_psd(H, d)
    twin = 0.1 * H
    twin.setflags(write=False)
    assert not proves_psd(twin, d)
    view = np.eye(3)[:, :]
    whole = view.base
    assert whole is not None
    view.setflags(write=False)
    assert proves_psd(view, d)
    whole[0, 0] = 0.1
    assert not proves_psd(view, d)
