"""One row of a layer: how much its output changes when its weights w are replaced by x."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pvq.arrays import F64, as_f64

from .gram import Gram, digest_of
from .rounding import TINY, gamma

__all__ = ["LayerProblem", "problems_of_layer"]

LARGEST_WEIGHT, SMALLEST_WEIGHT = 1e75, 1e-75


@dataclass(frozen=True, eq=False)
class LayerProblem:
    """Minimise (x - w)' H (x - w) over x in a feasible set, where H = X'X over calibration inputs.

    The arrays as given, float by float, are the problem: no bound or certificate is about a damped or rounded
    version of them. Where rounding left H slightly indefinite the error is max(0, (x - w)' H (x - w)).

    Parameters
    ----------
    H : (n, n) symmetric positive semidefinite, singular allowed
    w : (n,) weights
    gram : the checked form of H; given when rows share it, made from H otherwise

    Raises
    ------
    ValueError : shapes that do not fit, NaN or infinity, asymmetry or a clearly negative eigenvalue of H,
        a largest weight beyond 1e75 or below 1e-75 (other than 0)

    >>> problem = LayerProblem(np.eye(2), np.array([0.25, 1.0]))
    >>> problem.error(np.array([0.0, 1.0]))
    0.0625
    """

    H: F64
    w: F64
    gram: Gram = field(default=None, repr=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        gram = Gram.of(self.H) if self.gram is None else self.gram
        w = as_f64(self.w, "w", ndim=1).copy()
        if len(w) != len(gram.matrix):
            raise ValueError(f"w must have one weight per column of H ({len(gram.matrix)}), got {len(w)}")
        largest = float(np.abs(w).max())
        if largest and not SMALLEST_WEIGHT <= largest <= LARGEST_WEIGHT:
            raise ValueError(
                f"w must have its largest weight in [1e-75, 1e75], got {largest:.3g}; rescale it"
            )
        w.setflags(write=False)
        for name, value in (("gram", gram), ("H", gram.matrix), ("w", w)):
            object.__setattr__(self, name, value)

    @property
    def n(self) -> int:
        """Number of weights."""
        return len(self.w)

    @cached_property
    def digest(self) -> str:
        """Content hash of H and w: the identity that a certificate names."""
        return digest_of(self.H, self.w)

    @cached_property
    def signal(self) -> float:
        """Energy w' H w of the row's output."""
        return max(0.0, float(self.w @ (self.H @ self.w)))

    @cached_property
    def signal_upper(self) -> float:
        """Upper bound of w' H w that covers rounding."""
        return self._upper(self.w)

    def error(self, x: F64) -> float:
        """Return (x - w)' H (x - w), never negative, as floating point gives it."""
        change = self._change(x)
        return max(0.0, float(change @ (self.H @ change)))

    def error_upper(self, x: F64) -> float:
        """Return a number that the exact error of x cannot exceed.

        The computed value errs by at most gamma(2n + 4) |x - w|' |H| |x - w|; twice that is added.
        """
        return self._upper(self._change(x))

    def snr_db(self, error: float) -> float:
        """Return 10 log10(w'Hw / error); inf for no error, nan for no signal.

        >>> LayerProblem(np.eye(1), np.array([1.0])).snr_db(0.01)
        20.0
        """
        if self.signal == 0 or not error >= 0:
            return float("nan")
        return float("inf") if error == 0 else 10.0 * float(np.log10(self.signal) - np.log10(error))

    def _change(self, x: F64) -> F64:
        point = np.asarray(x, dtype=np.float64)
        if point.shape != self.w.shape or not np.isfinite(point).all():
            raise ValueError(f"x must hold {self.n} finite weights, got shape {point.shape}")
        return point - self.w

    def _upper(self, change: F64) -> float:
        change = np.where(self.gram.alive, change, 0.0)
        size = np.abs(change)
        value = float(change @ (self.H @ change))
        rounding = gamma(4 * self.n + 16) * float(size @ (self.gram.magnitude @ size))
        underflow = 4 * self.n**2 * TINY * (1.0 + float(size.max()))
        return float(np.nextafter(max(0.0, value + rounding + underflow), np.inf)) if size.any() else 0.0


def problems_of_layer(H: F64, W: F64) -> list[LayerProblem]:
    """Return one problem per row of W, all sharing one checked H.

    Parameters
    ----------
    H : (n, n) Gram matrix of the layer's inputs
    W : (rows, n) weights

    >>> len(problems_of_layer(np.eye(2), np.ones((3, 2))))
    3
    """
    gram = Gram.of(H)
    return [LayerProblem(gram.matrix, w, gram) for w in as_f64(W, "W", ndim=2)]
