"""Which weights are kept: schedules of the sparsity, the largest magnitudes, groups of n of m."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pvq.empirical.sites import Site
from pvq.empirical.weight_parts import Mask

__all__ = ["cubic_sparsity", "in_groups", "keep_in_groups", "kept_of", "largest", "mask_largest", "scores"]


def cubic_sparsity(progress: float, final: float, begin: float, end: float, initial: float = 0.0) -> float:
    """Return the sparsity of gradual pruning, s_f + (s_i - s_f) (1 - (t - t_0) / (n dt))^3.

    M. Zhu, S. Gupta, To prune, or not to prune (arXiv 1710.01878), equation 1, with t / total steps as
    `progress`, t_0 as `begin` and t_0 + n dt as `end`; s_i before and s_f after.

    >>> [cubic_sparsity(p, 0.5, 0.0, 0.5) for p in (0.0, 0.25, 0.5, 1.0)]
    [0.0, 0.4375, 0.5, 0.5]
    """
    if progress >= end:
        return final
    if progress < begin:
        return initial
    return final + (initial - final) * (1 - (progress - begin) / (end - begin)) ** 3


def kept_of(size: int, sparsity: float) -> int:
    """Return how many of `size` weights are kept: round((1 - sparsity) size), of halves the even one."""
    return round((1 - sparsity) * size)


def largest(score: Tensor, kept: int) -> Tensor:
    """Return which entries hold the `kept` largest scores, as bool of the same shape; of equals, the first.

    >>> largest(torch.tensor([[1.0, 3.0], [3.0, 3.0]]), 2)
    tensor([[False,  True],
            [ True, False]])
    """
    order = torch.argsort(score.flatten(), descending=True, stable=True)
    chosen = torch.zeros(score.numel(), dtype=torch.bool, device=score.device)
    chosen[order[:kept]] = True
    return chosen.view(score.shape)


def scores(site: Site, mask: Mask) -> Tensor:
    """Return magnitudes to rank weights by: of those at zero -1, unless they may come back."""
    size = site.original.detach().abs()
    return size if mask.regrow else torch.where(mask.kept, size, -1.0)


def mask_largest(found: Sequence[tuple[Site, Mask]], kept: Sequence[int] | int) -> None:
    """Keep the largest magnitudes, in place; a weight at zero stays there unless its mask lets it regrow.

    Parameters
    ----------
    found : layers and their masks
    kept : how many in each layer, or in all of them together
    """
    with torch.no_grad():
        ranked = [scores(site, mask) for site, mask in found]
        if isinstance(kept, int):
            together = largest(torch.cat([score.flatten() for score in ranked]), kept)
            parts = torch.split(together, [score.numel() for score in ranked])
            chosen = [part.view(score.shape) for part, score in zip(parts, ranked, strict=True)]
        else:
            chosen = [largest(score, number) for score, number in zip(ranked, kept, strict=True)]
        for (_, mask), now in zip(found, chosen, strict=True):
            mask.kept.copy_(now)


def keep_in_groups(score: Tensor, n: int, m: int) -> Tensor:
    """Return which entries are among the n largest of each m consecutive ones of a row; of equals, the first.

    Parameters
    ----------
    score : (rows, length), not negative; the last group of a row may be shorter

    >>> keep_in_groups(torch.tensor([[3.0, 4.0, 0.5, 0.1, 7.0]]), 1, 2)
    tensor([[False,  True,  True, False,  True]])
    """
    rows, length = score.shape
    groups = functional.pad(score, (0, -length % m), value=-1.0).reshape(rows, -1, m)
    order = torch.argsort(groups, dim=2, descending=True, stable=True)
    chosen = torch.zeros_like(groups, dtype=torch.bool).scatter_(2, order[:, :, :n], True)
    return chosen.reshape(rows, -1)[:, :length]


def in_groups(nonzero: Tensor, n: int, m: int) -> bool:
    """Return whether at most n of each m consecutive entries of a row are set.

    >>> in_groups(torch.tensor([[True, True, False, False, True]]), 1, 2)
    False
    """
    rows, length = nonzero.shape
    groups = functional.pad(nonzero, (0, -length % m)).reshape(rows, -1, m)
    return bool((groups.sum(dim=2) <= n).all())
