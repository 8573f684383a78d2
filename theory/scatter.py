"""What theory predicts for tables of real tensors: which camp wins at a tensor's kurtosis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pvq.arrays import F64
from pvq.theory.crossover import crossover
from pvq.theory.matched import Family
from pvq.theory.quantizer import Quantizer
from pvq.theory.winner import Winner, winner

__all__ = ["Agreement", "agreement", "predicted_winner"]


@dataclass(frozen=True)
class Agreement:
    """How often theory names the better camp, from the kurtosis alone.

    Parameters
    ----------
    bits : bits per weight
    tensors : tensors compared
    left_out : tensors with a number that is not finite, or a kurtosis below 1, which no tensor has
    agreed : tensors whose winner theory predicts
    prune_wins, prune_predicted, prune_agreed : tensors that pruning wins; is predicted to win; both
    """

    bits: float
    tensors: int
    left_out: int
    agreed: int
    prune_wins: int
    prune_predicted: int
    prune_agreed: int

    @property
    def share(self) -> float:
        """Return agreed / tensors, nan without tensors."""
        return self.agreed / self.tensors if self.tensors else float("nan")


def predicted_winner(
    kurtosis: float, bits: float, quantizer: str | Quantizer = "int", family: Family = "truncated"
) -> Winner:
    """Return the camp that wins for the family's law with this kurtosis.

    The law is compared through its crossover: above its kurtosis pruning wins, below quantization. A light
    tail asks for nothing special: `law_of_kurtosis` reaches down to 1.8 with ``truncated`` and 1 with
    ``clipped``; below that, as below 3 with ``matched-nu``, the family's lightest law stands in, and there
    quantization wins. With ``matched-nu`` the crossover is infinite at 2 to 8 bits: an unbounded Student's t
    that has a kurtosis at all (nu > 4) is never heavy enough for pruning.

    Parameters
    ----------
    kurtosis : Pearson's, 3 for a Gaussian; at least 1
    bits : below 16
    quantizer, family : as for `crossover`

    Raises
    ------
    ValueError : kurtosis below 1 or NaN; bits refused

    >>> predicted_winner(50.0, 4), predicted_winner(2.0, 4)
    ('prune', 'quantize')
    """
    if not kurtosis >= 1:
        raise ValueError(f"kurtosis must be at least 1 (Pearson's, 3 for a Gaussian), got {kurtosis}")
    return winner(crossover(bits, quantizer, family).kurtosis, kurtosis)


def agreement(
    kurtoses: ArrayLike,
    quant_snr_db: ArrayLike,
    prune_snr_db: ArrayLike,
    bits: float,
    quantizer: str | Quantizer = "int",
    family: Family = "truncated",
) -> Agreement:
    """Return how often `predicted_winner` names the camp that measured SNRs name.

    Parameters
    ----------
    kurtoses, quant_snr_db, prune_snr_db : (n,) one entry per tensor at this width; entries that are not
        finite and kurtoses below 1 (underflow in half precision gives 0) are left out and counted
    bits, quantizer, family : as for `predicted_winner`

    Raises
    ------
    ValueError : arrays of different shapes; bits refused

    >>> agreement([3.0, 80.0, 80.0], [20.0, 9.0, 9.0], [6.0, 12.0, 8.0], 4).share
    0.6666666666666666
    """
    tensors = [
        np.asarray(values, dtype=np.float64).ravel() for values in (kurtoses, quant_snr_db, prune_snr_db)
    ]
    if len({part.shape for part in tensors}) != 1:
        raise ValueError(f"arrays must have one length, got {[part.size for part in tensors]}")
    usable = np.isfinite(tensors).all(axis=0) & (tensors[0] >= 1)
    kurtosis, quant, prune = (part[usable] for part in tensors)
    predicted: F64 = np.sign(crossover(bits, quantizer, family).kurtosis - kurtosis)
    measured = np.sign(quant - prune)
    return Agreement(
        bits=bits,
        tensors=int(usable.sum()),
        left_out=int((~usable).sum()),
        agreed=int((predicted == measured).sum()),
        prune_wins=int((measured < 0).sum()),
        prune_predicted=int((predicted < 0).sum()),
        prune_agreed=int(((predicted < 0) & (measured < 0)).sum()),
    )
