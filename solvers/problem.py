"""One row of a layer: how much its output changes when its weights w are replaced by x."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pvq.arrays import F64, as_f64

from .exact_error import error_up
from .gram import Gram, digest_of
from .rounding import TINY, gamma

__all__ = ["LayerProblem", "problems_of_layer"]

MOST_EXACT = 1024  # weights of an error in integers: a second
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
        a largest weight beyond 1e75 or below 1e-75 (other than 0), a gram of another matrix

    >>> problem = LayerProblem(np.eye(2), np.array([0.25, 1.0]))
    >>> problem.error(np.array([0.0, 1.0]))
    0.0625
    """

    H: F64
    w: F64
    gram: Gram = field(default=None, repr=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        gram = Gram.of(self.H) if self.gram is None else self.gram
        if self.H is not gram.matrix and self.gram is not None and not np.array_equal(self.H, gram.matrix):
            raise ValueError("H must be the matrix of the gram given with it, got another one")
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
        """Energy w' H w of the row's output, as floating point gives it."""
        return max(0.0, float(self.w @ (self.H @ self.w)))

    @cached_property
    def signal_lower(self) -> float:
        """Lower bound of w' H w that covers rounding, never negative."""
        return self._enclosure(self.w)[0]

    @cached_property
    def signal_upper(self) -> float:
        """Upper bound of w' H w that covers rounding; inf if it overflows."""
        return self._enclosure(self.w)[1]

    def error(self, x: F64) -> float:
        """Return (x - w)' H (x - w), never negative, as floating point gives it; inf if it overflows."""
        change = self._change(x)
        with np.errstate(all="ignore"):
            value = float(change @ (self.H @ change))
        return max(0.0, value) if math.isfinite(value) else math.inf

    def error_upper(self, x: F64) -> float:
        """Return a number that the exact error of x cannot exceed; inf if it overflows.

        The computed value errs by at most gamma(2n + 4) |x - w|' |H| |x - w|; twice that is added. An error
        that rounding may have made altogether is computed in integers: it may be 0.
        """
        lower, upper = self._enclosure(self._change(x))
        vague = lower == 0.0 < upper < math.inf and self.n <= MOST_EXACT
        return error_up(self, x) if vague else upper

    def _change(self, x: F64) -> F64:
        point = np.asarray(x, dtype=np.float64)
        if point.shape != self.w.shape or not np.isfinite(point).all():
            raise ValueError(f"x must hold {self.n} finite weights, got shape {point.shape}")
        return point - self.w

    def _enclosure(self, change: F64) -> tuple[float, float]:
        """Return two numbers, not negative, that enclose max(0, change' H change); (0, inf) on overflow."""
        change = np.where(self.gram.alive, change, 0.0)
        size = np.abs(change)
        if not size.any():
            return 0.0, 0.0
        with np.errstate(all="ignore"):
            value = float(change @ (self.H @ change))
            rounding = gamma(4 * self.n + 16) * float(size @ (self.gram.magnitude @ size))
            doubt = rounding + 4 * self.n**2 * TINY * (1.0 + float(size.max()))
        lower, upper = value - doubt, value + doubt
        if not (math.isfinite(lower) and math.isfinite(upper)):
            return 0.0, math.inf
        return max(0.0, math.nextafter(lower, -math.inf)), math.nextafter(max(0.0, upper), math.inf)


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
