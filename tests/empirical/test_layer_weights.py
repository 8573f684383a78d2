"""`LayerWeights`: one row per output channel, whatever the layout of the stored tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from pvq.empirical.model import LayerWeights, Stored, trouble

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kernel", [(3,), (2, 3), (1, 2, 2)])
def test_a_row_of_a_transposed_convolution_is_what_its_output_channel_sees(
    groups: int, kernel: tuple[int, ...]
) -> None:
    """One input pixel: channel c of the output is the kernel's slice, weighted by the inputs of c's group."""
    weight = RNG.normal(size=(8, 3, *kernel))
    layer = LayerWeights("up", "conv-transpose", weight, transposed=True, groups=groups)
    assert (layer.rows, layer.n) == (3 * groups, 8 // groups * int(np.prod(kernel)))
    x = RNG.normal(size=8)
    transposed = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(kernel) - 1]
    one_pixel = torch.tensor(x.reshape(1, 8, *(1,) * len(kernel)))
    seen = transposed(one_pixel, torch.tensor(weight), groups=groups).numpy().reshape(layer.rows, -1)
    inputs = x.reshape(groups, -1)
    for row in range(layer.rows):
        per_input = layer.matrix[row].reshape(8 // groups, -1)
        np.testing.assert_allclose(inputs[row * groups // layer.rows] @ per_input, seen[row], rtol=1e-12)


@pytest.mark.parametrize(
    ("shape", "transposed", "groups"),
    [
        ((6, 4), False, 1),
        ((6, 2, 3, 3), False, 2),
        ((6, 4), True, 1),
        ((6, 5, 2, 3), True, 3),
        ((3, 0), True, 1),
    ],
)
def test_restore_is_the_inverse(shape: tuple[int, ...], transposed: bool, groups: int) -> None:
    layer = LayerWeights("a", "conv", RNG.normal(size=shape), transposed, groups)
    assert layer.matrix.shape == (layer.rows, layer.n)
    np.testing.assert_array_equal(layer.restore(layer.matrix), layer.tensor)


def test_wrong_groups_and_a_wrong_matrix_are_refused() -> None:
    with pytest.raises(ValueError, match=r"groups must divide the inputs of up, shape \(4, 2\), got 3"):
        LayerWeights("up", "linear", np.ones((4, 2)), True, 3)
    with pytest.raises(ValueError, match=r"matrix must have shape \(2, 4\), got \(4, 2\)"):
        LayerWeights("up", "linear", np.ones((4, 2)), True).restore(np.ones((4, 2)))


@dataclass(frozen=True)
class _Counted:
    shape: tuple[int, ...]
    reads: list[int]

    def read(self) -> np.ndarray:
        self.reads.append(1)
        return np.ones(self.shape, np.float16)


def test_a_tensor_on_disk_is_read_when_it_is_asked_for() -> None:
    stored = _Counted((4, 2, 3), [])
    assert isinstance(stored, Stored)
    layer = LayerWeights("a", "conv", stored)
    assert (layer.rows, layer.n, layer.size, layer.shape, stored.reads) == (4, 6, 24, (4, 2, 3), [])
    assert layer.matrix.dtype == np.float64
    assert trouble(layer) == ("all weights equal 1", False)
    assert len(stored.reads) == 2
