"""Scales at the ends of float64: refused beyond the limits, and finite up to them."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.theory.cells import Smooth
from pvq.theory.distribution import kurtosis, variance
from pvq.theory.laws import law
from pvq.theory.quantizer import QUANTIZERS

SCALED = {
    "gaussian[sigma={}]": "sigma",
    "laplace[b={}]": "b",
    "logistic[s={}]": "s",
    "student-t[nu=5,scale={}]": "scale",
    "generalized-normal[beta=1.5,alpha={}]": "alpha",
    "generalized-normal[beta=100,alpha={}]": "alpha",
    "uniform[low=-{0},high={0}]": "larger of |low| and |high|",
}
ENDED = {"truncated[law=gaussian,r={}]": "r", "clipped[law=gaussian,r={}]": "r"}


@pytest.mark.parametrize("value", ["1e71", "1e160", "1e300", "1e-71", "1e-200"])
@pytest.mark.parametrize("spec", [*SCALED, *ENDED])
def test_a_scale_whose_powers_overflow_is_refused(spec: str, value: str) -> None:
    with pytest.raises(ValueError) as caught:
        law(spec.format(value))
    assert f"{(SCALED | ENDED)[spec]} must be positive and lie in [1e-70, 1e+70]" in str(caught.value)


@pytest.mark.parametrize("value", ["1e70", "1e-70"])
@pytest.mark.parametrize("spec", SCALED)
def test_a_scale_at_the_limit_changes_no_shape(spec: str, value: str) -> None:
    unit, far = law(spec.format(1)), law(spec.format(value))
    assert isinstance(far, Smooth)
    assert variance(far) == pytest.approx(variance(unit) * float(value) ** 2, rel=1e-12)
    assert kurtosis(far) == pytest.approx(kurtosis(unit), rel=1e-12)
    for edge in (1e-3, 1.0, 1e3):
        mass = far.partial_moment(0, np.asarray(0.0), np.asarray(edge))
        assert 0 <= mass <= 0.5 + 1e-15
        assert np.isfinite(far.density(np.asarray(edge)))


@pytest.mark.parametrize("kind", ["int", "nf4", "apot"])
@pytest.mark.parametrize("scale", ["0", "nan", "1e300", "1e-300"])
def test_a_quantizer_refuses_such_a_scale_too(kind: str, scale: str) -> None:
    with pytest.raises(ValueError, match=r"scale must be positive and lie in"):
        QUANTIZERS.build(f"{kind}[scale={scale}]")
