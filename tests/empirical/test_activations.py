"""Gram matrices against the layer's own output: the only thing that they are for."""

from __future__ import annotations

import copy
import weakref

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pvq.empirical import im2col, recorder
from pvq.empirical.activations import LayerGram, gram_matrices, gram_stream

LAYERS = {
    "plain": nn.Conv2d(4, 6, 3),
    "stride and padding": nn.Conv2d(4, 6, 3, stride=2, padding=1),
    "rectangular": nn.Conv2d(4, 6, (3, 2), stride=(1, 2), padding=(2, 1), dilation=(2, 1)),
    "groups, same padding": nn.Conv2d(4, 6, 3, groups=2, padding="same", dilation=2),
    "even kernel, same padding": nn.Conv2d(4, 6, 4, padding="same"),
    "valid": nn.Conv2d(4, 6, 3, padding="valid", stride=3),
    "depthwise": nn.Conv2d(6, 6, 3, groups=6, padding=1),
    "depthwise, two rows a channel": nn.Conv2d(6, 12, 3, groups=6),
    "reflect": nn.Conv2d(4, 6, 3, padding=2, padding_mode="reflect"),
    "circular": nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular", stride=(2, 1)),
    "pointwise": nn.Conv2d(4, 6, 1),
    "signal": nn.Conv1d(4, 6, 3, stride=2, padding=1),
    "linear": nn.Linear(5, 7),
}


def _batches(layer: nn.Module, dtype: torch.dtype, count: int = 2) -> list[Tensor]:
    shape: tuple[int, ...] = (3, 7, 5)
    if isinstance(layer, nn.Conv2d):
        shape = (3, layer.in_channels, 11, 10)
    elif isinstance(layer, nn.Conv1d):
        shape = (3, layer.in_channels, 11)
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator, dtype=dtype) for _ in range(count)]


def _predicted(gram: LayerGram, change: Tensor) -> float:
    """The law: positions * sum over rows of dW_r' H dW_r."""
    rows = change.double().numpy().reshape(len(change), -1)
    return gram.positions * sum(dw @ gram.of_row(r, len(rows)) @ dw for r, dw in enumerate(rows))


def _measured(layer: nn.Module, changed: nn.Module, batches: list[Tensor]) -> float:
    with torch.no_grad():
        return sum(float((changed(x) - layer(x)).double().square().sum()) for x in batches)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_the_gram_matrix_gives_the_layers_own_output_error(
    name: str, dtype: torch.dtype, tolerance: float
) -> None:
    torch.manual_seed(0)
    layer = copy.deepcopy(LAYERS[name]).to(dtype).eval()
    changed = copy.deepcopy(layer)
    change = torch.randn_like(layer.weight)
    changed.weight.data += change
    batches = _batches(layer, dtype)
    gram = gram_matrices(nn.Sequential(layer), ["0"], batches)["0"]
    assert _predicted(gram, change) == pytest.approx(_measured(layer, changed, batches), rel=tolerance)


class _SamePadding(nn.Conv2d):
    """Pads by itself and calls the function, as networks converted from TensorFlow do."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        padded = nn.functional.pad(input, (0, 1, 0, 1), value=2.0)
        return nn.functional.conv2d(padded, self.weight, stride=2)


def test_a_layer_with_a_forward_of_its_own_is_seen_as_it_runs() -> None:
    layer = _SamePadding(2, 3, 3).double().eval()
    changed = copy.deepcopy(layer)
    changed.weight.data[1, 0, 2, 2] += 1.0
    batches = [torch.rand(2, 2, 8, 8, dtype=torch.float64)]
    gram = gram_matrices(nn.Sequential(layer), ["0"], batches)["0"]
    predicted = _predicted(gram, changed.weight.data - layer.weight.data)
    assert predicted == pytest.approx(_measured(layer, changed, batches), rel=1e-10)


def test_chunks_and_passes_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()
    batches = [torch.rand(5, 3, 12, 12)]
    whole = gram_matrices(net, ["0", "2"], batches)
    monkeypatch.setattr(im2col, "CHUNK_BYTES", 1)
    monkeypatch.setattr(recorder, "BLOCK", 5)
    parts = gram_matrices(net, ["0", "2"], batches, memory_bytes=1)
    for name in ("0", "2"):
        assert parts[name].positions == whole[name].positions
        np.testing.assert_allclose(parts[name].grams, whole[name].grams, rtol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_chunks_of_any_size_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = _batches(LAYERS[name], torch.float32)
    net = nn.Sequential(copy.deepcopy(LAYERS[name])).eval()
    whole = gram_matrices(net, ["0"], batches)["0"]
    for size in (1, 700, 9_000, 60_000):  # a position, lines of an image, an image, several
        monkeypatch.setattr(im2col, "CHUNK_BYTES", size)
        parts = gram_matrices(net, ["0"], batches)["0"]
        assert parts.positions == whole.positions
        np.testing.assert_allclose(parts.grams, whole.grams, rtol=1e-12, atol=1e-14)


def test_batches_that_can_be_gone_through_once_serve_several_passes() -> None:
    net = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10)).eval()
    batches = [torch.rand(4, 10), torch.rand(3, 10)]
    names = ["0", "1"]
    once = gram_matrices(net, names, iter(batches), memory_bytes=1)
    again = gram_matrices(net, names, batches, memory_bytes=1)
    assert [gram.positions for gram in once.values()] == [7, 7]
    for name in names:
        np.testing.assert_array_equal(once[name].grams, again[name].grams)


def test_what_was_handed_over_is_held_no_longer() -> None:
    net = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10)).eval()
    stream = gram_stream(net, ["0", "1"], [torch.rand(4, 10)])
    name, gram = next(stream)
    alive = weakref.ref(gram.grams)
    del gram
    assert (name, next(stream)[0]) == ("0", "1")
    assert alive() is None


def test_inputs_go_in_by_name_in_order_or_alone() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: Tensor, shift: Tensor) -> Tensor:
            return self.layer(x - 2 * shift)

    x, shift = torch.rand(4, 3, dtype=torch.float32), torch.rand(4, 3, dtype=torch.float32)
    net = Sum().eval()
    grams = [
        gram_matrices(net, ["layer"], [batch])["layer"] for batch in ((x, shift), {"shift": shift, "x": x})
    ]
    seen = (x - 2 * shift).double().numpy()
    for gram in grams:
        np.testing.assert_allclose(gram.grams[0], seen.T @ seen / 4, rtol=1e-12)


def test_a_pass_stays_within_the_memory_it_is_given() -> None:
    calls = []
    net = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10), nn.Linear(10, 10)).eval()
    net.register_forward_pre_hook(lambda *_: calls.append(1))
    gram_matrices(net, ["0", "1", "2"], [torch.rand(4, 10)], memory_bytes=1600)
    assert len(calls) == 2  # two sums of 800 bytes fit, the third takes another pass


def test_matrices_are_symmetric_semidefinite_and_count_dead_inputs() -> None:
    net = nn.Sequential(nn.Linear(4, 2)).eval()
    x = torch.rand(20, 4)
    x[:, 2] = 0
    gram = gram_matrices(net, ["0"], [x])["0"]
    H = gram.grams[0]
    assert (H == H.T).all()
    assert np.linalg.eigvalsh(H).min() > -1e-15
    assert gram.dead == 1
    np.testing.assert_allclose(H, x.double().numpy().T @ x.double().numpy() / 20, rtol=1e-14)


def test_layers_that_no_call_uses_are_left_out_and_unknown_names_refused() -> None:
    net = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 2)).eval()
    net.append(nn.Identity())
    unused = nn.ModuleDict({"used": net, "idle": nn.Linear(3, 3)})
    unused.forward = lambda x: net(x)  # type: ignore[method-assign]
    found = gram_matrices(unused, ["used.0", "idle"], [torch.rand(2, 4)])
    assert list(found) == ["used.0"]
    with pytest.raises(ValueError, match="weights in the network, got 'nope'"):
        gram_matrices(net, ["nope"], [torch.rand(2, 4)])
    with pytest.raises(ValueError, match="batches must not be empty"):
        gram_matrices(net, ["0"], [])


def test_a_weight_used_twice_counts_both_times() -> None:
    layer = nn.Linear(3, 3, bias=False).double()

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.layer(x))

    x = torch.rand(6, 3, dtype=torch.float64)
    gram = gram_matrices(Twice().eval(), ["layer"], [x])["layer"]
    seen = torch.cat([x, layer(x)]).detach().numpy()
    assert gram.positions == 12
    np.testing.assert_allclose(gram.grams[0], seen.T @ seen / 12, rtol=1e-13)
