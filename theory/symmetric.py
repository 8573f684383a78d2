"""Partial moments of a law that is symmetric about zero, from its right half."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from pvq.arrays import F64

__all__ = ["Half", "check_order", "symmetric_moment"]

Half = Callable[[int, F64], F64]


def check_order(order: int) -> None:
    """Refuse an order outside 0..4.

    Raises
    ------
    ValueError : naming the order
    """
    if order not in range(5):
        raise ValueError(f"order must be an integer from 0 to 4, got {order}")


def symmetric_moment(order: int, lo: ArrayLike, hi: ArrayLike, body: Half, tail: Half, cut: float) -> F64:
    """Return the integral of x**order over (lo, hi] under a symmetric law, elementwise.

    A cell wholly beyond `cut` is a difference of tails and any other a difference of bodies, so that neither
    the mass before a far cell nor the mass behind a near one costs digits.

    Parameters
    ----------
    order : 0 to 4
    lo, hi : edges, broadcastable, lo <= hi
    body : (k, x) -> integral of t**k over (0, x], x >= 0
    tail : (k, x) -> integral of t**k over (x, inf), x >= 0, zero at inf
    cut : about where body and tail are equal; inf where the moment diverges

    Returns
    -------
    array of the broadcast shape; an even moment that diverges is inf, an odd one over all of R is nan

    Raises
    ------
    ValueError : order outside 0..4
    """
    check_order(order)
    lo, hi = np.broadcast_arrays(np.asarray(lo, float), np.asarray(hi, float))
    left = hi <= 0
    a, b = np.where(left, -hi, lo), np.where(left, -lo, hi)
    far = a >= cut
    out = np.empty(a.shape)
    with np.errstate(invalid="ignore"):  # inf - inf: an odd moment that does not exist
        out[far] = tail(order, a[far]) - tail(order, b[far])
        out[~far] = body(order, b[~far]) - _continued(order, a[~far], body)
    out[a == b] = 0.0
    return np.where(left & (order % 2 == 1), -out, out)


def _continued(order: int, x: F64, body: Half) -> F64:
    """Return the integral of t**order from 0 to x, for x of either sign."""
    value = body(order, np.abs(x))
    return np.where(x < 0, -value, value) if order % 2 == 0 else value
