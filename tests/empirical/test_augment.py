"""Shifts and mirror images against numpy's padding, determinism, and how often each is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pvq.empirical.augment import augment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 6, height: int = 9, width: int = 8) -> torch.Tensor:
    return torch.arange(n * height * width * 3).reshape(n, height, width, 3)


def test_the_same_generator_gives_the_same_images_and_another_does_not() -> None:
    first, again, other = (augment(batch(), 3, True, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_each_result_is_a_window_of_the_reflected_image_or_of_its_mirror() -> None:
    images = batch(40)
    found = augment(images, 3, True, generator()).numpy()
    mirrored = 0
    for image, result in zip(images.numpy(), found, strict=True):
        padded = np.pad(image, ((3, 3), (3, 3), (0, 0)), mode="reflect")
        windows = [padded[i : i + 9, j : j + 8] for i in range(7) for j in range(7)]
        plain = any(np.array_equal(result, window) for window in windows)
        flipped = any(np.array_equal(result, window[:, ::-1]) for window in windows)
        assert plain != flipped
        mirrored += flipped
    assert 5 < mirrored < 35  # 40 draws of 1/2: five standard errors are 16


def test_shifts_are_uniform_on_all_places() -> None:
    n, crop = 7000, 3
    rows = torch.arange(9).reshape(1, 9, 1, 1).expand(n, 9, 8, 1)
    middle = augment(rows, crop, False, generator())[:, 4, 0, 0] - 4
    counts = torch.bincount(middle + crop, minlength=2 * crop + 1).numpy()
    assert len(counts) == 2 * crop + 1
    assert np.abs(counts - n / 7).max() < 5 * np.sqrt(n / 7)


def test_options_do_not_change_the_draws_of_others() -> None:
    with_flip, without = (augment(batch(), 3, flip, generator()) for flip in (True, False))
    same = (with_flip == without).all(dim=(1, 2, 3)) | (with_flip == without.flip(2)).all(dim=(1, 2, 3))
    assert same.all()


def test_nothing_is_done_when_nothing_is_asked() -> None:
    assert torch.equal(augment(batch(), 0, False, generator()), batch())


def test_a_crop_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"crop must lie in \[0, 8\), got 8"):
        augment(batch(), 8, True, generator())
