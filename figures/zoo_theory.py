"""What theory says of a tensor of which only the kurtosis is known: one law of that kurtosis per family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64, Bool
from pvq.figures.snr_curves import pruned, quantized
from pvq.figures.zoo import Zoo
from pvq.theory.distribution import DISTRIBUTIONS, WeightDistribution, kurtosis
from pvq.theory.distributions.gaussian import Gaussian

__all__ = ["FAMILIES", "FamilyCurve", "family_curve", "predicted_share", "predicts_quantize"]

# Each family is swept by its own parameter, from light to heavy tails; no root of kurtosis is needed.
_SPECS: dict[str, tuple[str, F64]] = {
    "Student-t": ("student-t[nu={}]", 4 + np.geomspace(600, 4e-3, 24)),
    "Student-t nu = 2, truncated": ("truncated[law=student-t[nu=2],r={}]", np.geomspace(2.2, 400, 24)),
    "generalized normal": ("generalized-normal[beta={}]", np.geomspace(2, 0.26, 24)),
}
FAMILIES = tuple(_SPECS)


@dataclass(frozen=True)
class FamilyCurve:
    """SNR of both camps over the kurtosis of a one-parameter family, kurtosis increasing.

    Parameters
    ----------
    kurtosis : (points,)
    quant_snr_db, prune_snr_db : (points, widths), in dB
    bits : the widths
    """

    kurtosis: F64
    quant_snr_db: F64
    prune_snr_db: F64
    bits: tuple[int, ...]

    def lead_db(self, bits: int, kurtosis: F64) -> F64:
        """Return quantization's lead in dB, linear in log kurtosis between points, constant outside."""
        column = self.bits.index(bits)
        lead = (self.quant_snr_db - self.prune_snr_db)[:, column]
        return np.interp(np.log(kurtosis), np.log(self.kurtosis), lead)

    def crossover(self, bits: int) -> float | None:
        """Return the least kurtosis from which pruning wins, None if it never does on the curve."""
        fine = np.geomspace(self.kurtosis[0], self.kurtosis[-1], 4001)
        wins = fine[self.lead_db(bits, fine) < 0]
        return float(wins[0]) if wins.size else None


def family_curve(family: str, bits: Sequence[int]) -> FamilyCurve:
    """Return both SNRs along one of `FAMILIES`; quantization on two's complement grids of least error.

    Raises
    ------
    KeyError : no such family
    """
    spec, sweep = _SPECS[family]
    laws: list[WeightDistribution] = [DISTRIBUTIONS.build(spec.format(value)) for value in sweep]
    laws = [Gaussian(), *laws] if family == "Student-t" else laws
    return FamilyCurve(
        np.array([kurtosis(law) for law in laws]),
        np.array([quantized(law, "int[bits={bits}]", bits) for law in laws]),
        np.array([pruned(law, bits) for law in laws]),
        tuple(bits),
    )


def predicts_quantize(curve: FamilyCurve) -> Callable[[int, F64], Bool]:
    """Return the rule that says, from bits and kurtosis, whether quantization wins."""
    return lambda bits, kurt: np.asarray(curve.lead_db(bits, kurt) > 0)


def predicted_share(zoo: Zoo, rule: Callable[[int, F64], Bool], bits: int) -> float:
    """Return the share of the tensors at `bits` whose better camp the rule names.

    >>> from pvq.figures.zoo import published_zoo
    >>> always = lambda bits, kurt: np.ones_like(kurt, dtype=bool)
    >>> round(predicted_share(published_zoo(), always, 4), 3)  # quantization wins on nine of ten
    0.9
    """
    mine = zoo.bits == bits
    won = zoo.quant_snr_db[mine] > zoo.prune_snr_db[mine]
    return float(np.mean(rule(bits, zoo.kurtosis[mine]) == won))
