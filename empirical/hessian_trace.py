"""The mean trace of the loss's Hessian in each layer, by Hutchinson's estimator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pvq.empirical.model import Model
from pvq.errors import PvqError
from pvq.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Trace", "check_labels", "hutchinson", "labelled_images", "layer_traces", "read_labelled"]

# The stopping rule of PyHessian (Z. Yao and others, arXiv 1912.07145), whose traces HAWQ-V2 uses.
TOLERANCE, MOST = 1e-3, 100
BATCH = 64


@dataclass(frozen=True)
class Trace:
    """An estimate of tr(H_ll) / n, the mean diagonal entry of the Hessian in layer l.

    Parameters
    ----------
    mean : over the drawn vectors
    error : standard error of that mean; nan from a single vector
    draws : number of vectors
    """

    mean: float
    error: float
    draws: int


def layer_traces(
    model: Model, names: Sequence[str], calibration: str, seed: int, progress: Progress | None = None
) -> dict[str, Trace]:
    """Return the mean traces of the cross-entropy on labelled calibration images.

    Parameters
    ----------
    names : of layers
    calibration : ``DATA:N``, images with labels
    seed : of the images and of the vectors

    Raises
    ------
    PvqError : a network that cannot be run, images without fitting labels, a loss that is not finite
    """
    from torch.nn import functional

    module = model.module()
    images, labels = labelled_images(calibration, model, seed)
    parameters = {name: _parameter(module, name) for name in names}
    batches = [(images[at : at + BATCH], labels[at : at + BATCH]) for at in range(0, len(images), BATCH)]
    check_labels(module, images, labels, model.name)

    def losses() -> Any:
        return (functional.cross_entropy(module(x), y, reduction="sum") / len(images) for x, y in batches)

    return hutchinson(losses, parameters, seed, progress=progress)


def labelled_images(calibration: str, model: Model, seed: int) -> tuple[Tensor, Tensor]:
    """Return N training images as the network takes them, and their class numbers.

    Raises
    ------
    PvqError : see `read_labelled`
    """
    import torch

    from pvq.empirical.evaluate import normalise

    images, labels, _ = read_labelled(calibration, model, seed, ("train",))
    how = model.preprocessing
    if images.dtype != torch.uint8 or how is None:
        return images, labels
    return normalise(images, how.mean, how.std).contiguous(), labels


def read_labelled(
    data: str, model: Model, seed: int, splits: Sequence[str] = ("train",)
) -> tuple[Tensor, Tensor, str]:
    """Return N images, their class numbers, and which split they are from.

    Parameters
    ----------
    data : ``DATA:N``, drawn under `seed`, or ``DATA``: all images of the split
    splits : the first of these that the data set has is taken, its own first one if it has none of them

    Images are uint8 (N, H, W, 3), or float32 (N, C, H, W) that are preprocessed already.

    Raises
    ------
    PvqError : no such data set, a network that does not say how images are prepared, images of another size
    """
    import torch

    from pvq.empirical.dataset import read_dataset

    how = model.preprocessing
    dataset, count = read_dataset(data, **({"size": how.size, "resize": how.resize} if how else {}))
    split = next((name for name in splits if name in dataset.splits), dataset.splits[0])
    drawn = None if count is None else seed
    images = torch.from_numpy(np.array(dataset.images(split, count, drawn)))
    labels = torch.from_numpy(np.array(dataset.labels(split, count, drawn), dtype=np.int64))
    if images.dtype != torch.uint8:
        return images.float(), labels, split
    if how is None:
        raise PvqError(f"{model.name} does not say how images are prepared; give them as floats (npz:PATH)")
    if tuple(images.shape[1:3]) != (how.size, how.size):
        raise PvqError(f"{data} must hold images of {how.size} pixels, got {tuple(images.shape[1:3])}")
    return images, labels, split


def hutchinson(
    losses: Any,
    parameters: Mapping[str, Tensor],
    seed: int,
    tolerance: float = TOLERANCE,
    most: int = MOST,
    progress: Progress | None = None,
) -> dict[str, Trace]:
    """Return the estimated mean of the diagonal of the loss's Hessian in each parameter tensor.

    The mean of v'Hv over vectors v of independent signs is the trace of H, and so is, for the block of one
    tensor, the mean of that tensor's part of v'(Hv): the other blocks contribute products of independent
    signs, of mean zero (M. F. Hutchinson, Communications in Statistics 19, 1990). One vector serves all
    tensors. It stops when no running mean changes by more than `tolerance` of itself any more.

    Parameters
    ----------
    losses : returns, each time it is called, terms whose sum is the loss
    parameters : tensors by name, which the loss depends on
    seed : of the signs
    tolerance, most : when to stop: change of the means, number of vectors

    Raises
    ------
    PvqError : a trace that is NaN or infinite
    """
    import torch

    tensors = list(parameters.values())
    for tensor in tensors:
        tensor.requires_grad_(True)
    generator = torch.Generator().manual_seed(seed)
    draws: list[list[float]] = []
    for done in range(most):
        if progress:
            progress(done, most, "Hessian")
        signs = [torch.randint(0, 2, t.shape, generator=generator).to(t) * 2 - 1 for t in tensors]
        draws.append(_curvatures(losses, tensors, signs))
        broken = [name for name, value in zip(parameters, draws[-1], strict=True) if not math.isfinite(value)]
        if broken:
            raise PvqError(f"the Hessian's trace in {broken[0]} is NaN or infinite on these images")
        if done and _settled(draws, tolerance):
            break
    return {name: _trace(column) for name, column in zip(parameters, zip(*draws, strict=True), strict=True)}


def _curvatures(losses: Any, tensors: Sequence[Tensor], signs: Sequence[Tensor]) -> list[float]:
    """Return each tensor's part of v'(Hv), divided by its number of entries."""
    import torch

    totals = [0.0] * len(tensors)
    for loss in losses():
        slopes = torch.autograd.grad(loss, tensors, create_graph=True, materialize_grads=True)
        along = sum((slope * sign).sum() for slope, sign in zip(slopes, signs, strict=True))
        if not isinstance(along, torch.Tensor) or not along.requires_grad:
            continue  # a loss without curvature
        products = torch.autograd.grad(along, tensors, materialize_grads=True)
        for i, (product, sign) in enumerate(zip(products, signs, strict=True)):
            totals[i] += float((product * sign).double().sum()) / sign.numel()
    return totals


def _settled(draws: Sequence[Sequence[float]], tolerance: float) -> bool:
    values = np.array(draws)
    now, before = values.mean(axis=0), values[:-1].mean(axis=0)
    return bool((np.abs(now - before) <= tolerance * (np.abs(before) + 1e-12)).all())


def _trace(draws: Sequence[float]) -> Trace:
    values = np.array(draws)
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return Trace(float(values.mean()), error, len(values))


def _parameter(module: nn.Module, name: str) -> Tensor:
    parameters = dict(module.named_parameters(remove_duplicate=False))
    for key in (f"{name}.weight", name):
        if key in parameters:
            return parameters[key]
    raise PvqError(f"the network has no parameter {name}.weight, so its Hessian has no block of it")


def check_labels(module: nn.Module, images: Tensor, labels: Tensor, model: str) -> None:
    """Refuse labels that are no classes of the network.

    Raises
    ------
    PvqError : another output than one number a class, a label outside of them
    """
    import torch

    with torch.no_grad():
        shape = tuple(module(images[:1]).shape)
    least, most = int(labels.min()), int(labels.max())
    if len(shape) != 2 or least < 0 or most >= shape[1]:
        raise PvqError(
            f"labels must be classes of {model}, got {least} to {most} for an output of shape {shape}"
        )
