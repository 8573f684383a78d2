"""Hutchinson's traces against Hessians that are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tiny_network as tiny
import torch
from torch import Tensor, nn
from torch.nn import functional

from pvq.empirical.compression import Planner, PlanRequest
from pvq.empirical.hessian_trace import hutchinson, labelled_images, layer_traces
from pvq.empirical.models_zoo import load_model
from pvq.errors import PvqError


def quadratic(A: Tensor, parameters: dict[str, Tensor]) -> list[Tensor]:
    v = torch.cat([tensor.flatten() for tensor in parameters.values()])
    return [0.25 * v @ A @ v, 0.25 * v @ A @ v]


def test_a_diagonal_hessian_needs_two_vectors() -> None:
    """v'Dv is the trace for every vector of signs."""
    parameters = {"a": torch.ones(2, 2), "b": torch.ones(3)}
    A = torch.diag(torch.arange(1.0, 8.0))
    traces = hutchinson(lambda: quadratic(A, parameters), parameters, seed=0)
    assert {name: trace.mean for name, trace in traces.items()} == {"a": 2.5, "b": 6.0}
    assert {trace.draws for trace in traces.values()} == {2}


def test_any_hessian_within_five_standard_errors() -> None:
    torch.manual_seed(0)
    B = torch.randn(7, 7)
    A = B @ B.T
    parameters = {"a": torch.randn(2, 2), "b": torch.randn(3)}
    traces = hutchinson(lambda: quadratic(A, parameters), parameters, seed=1, tolerance=0.0, most=2000)
    for name, block in (("a", A[:4, :4]), ("b", A[4:, 4:])):
        exact = float(block.trace()) / len(block)
        assert traces[name].draws == 2000
        assert abs(traces[name].mean - exact) < 5 * traces[name].error
        assert traces[name].error < 0.1 * exact


def test_the_exact_hessian_of_a_small_network() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
    x, y = torch.randn(16, 3), torch.arange(16) % 3
    weights = {"0": net[0].weight, "2": net[2].weight}

    def loss_of(name: str, flat: Tensor) -> Tensor:
        changed = {f"{name}.weight": flat.view_as(weights[name])}
        return functional.cross_entropy(torch.func.functional_call(net, changed, (x,)), y)

    traces = hutchinson(lambda: [functional.cross_entropy(net(x), y)], weights, 0, tolerance=0.0, most=500)
    for name, weight in weights.items():
        hessian = torch.autograd.functional.hessian(
            lambda v, n=name: loss_of(n, v), weight.detach().flatten()
        )  # type: ignore[no-untyped-call]
        exact = float(hessian.trace()) / weight.numel()
        assert abs(traces[name].mean - exact) < 5 * traces[name].error
        assert traces[name].error < 0.25 * abs(exact)


def test_a_loss_without_curvature_has_no_trace() -> None:
    parameters = {"a": torch.ones(3)}
    (trace,) = hutchinson(lambda: [parameters["a"].sum()], parameters, seed=0).values()
    assert (trace.mean, trace.draws) == (0.0, 2)


def test_the_seed_decides_the_signs() -> None:
    torch.manual_seed(0)
    B = torch.randn(5, 5)
    parameters = {"a": torch.ones(5)}

    def mean(seed: int) -> float:
        return hutchinson(lambda: quadratic(B @ B.T, parameters), parameters, seed, most=5)["a"].mean

    assert mean(0) == mean(0) != mean(1)


def test_a_loss_that_is_not_finite_is_refused() -> None:
    parameters = {"a": torch.tensor([1.0, math.inf])}
    with pytest.raises(PvqError, match="trace in a is NaN or infinite"):
        hutchinson(lambda: [(parameters["a"] ** 3).sum()], parameters, seed=0)


def npz(folder: Path, labels: list[int]) -> str:
    x = np.random.default_rng(0).normal(size=(len(labels), 2, 8, 8)).astype(np.float32)
    np.savez(folder / "images.npz", images=x, labels=np.array(labels))
    return f"npz:{folder / 'images.npz'}:{len(labels)}"


def test_a_plan_weighs_errors_by_the_traces(tmp_path: Path) -> None:
    model = tiny.as_model(tiny.tiny_net())
    data = npz(tmp_path, [0, 1, 2, 1] * 4)
    planner = Planner.of(PlanRequest(model, objective="hessian", calibration=data, bits=(2, 4)))
    traces = layer_traces(model, tiny.NAMES, data, seed=0)
    assert [f.upper for f in planner.factors] == [max(0.0, trace.mean) for trace in traces.values()]
    assert any(factor.upper > 0 for factor in planner.factors)
    assert "Hessian of the loss on npz:" in planner.note


def test_labels_beyond_the_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        PvqError, match=r"labels must be classes of tiny, got 0 to 3 for an output of shape \(1, 3\)"
    ):
        layer_traces(tiny.as_model(tiny.tiny_net()), tiny.NAMES, npz(tmp_path, [0] * 70 + [3]), seed=0)


def test_images_and_labels_belong_together() -> None:
    model = load_model("resnet20-cifar10")
    images, labels = labelled_images("bundled:512", model, seed=3)
    with torch.no_grad():
        right = (model.module()(images).argmax(dim=1) == labels).float().mean()
    assert float(right) > 0.9
