"""Weights from files: what is read, what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pvq.theory.laws import law
from pvq.theory.weight_file import read_weights

W = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -8.0]])


def safetensors(path: Path, tensors: dict[str, tuple[str, list[int], bytes]]) -> Path:
    header, at = {}, 0
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(raw for _, _, raw in tensors.values()))
    return path


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", "<i4"])
def test_npy(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "w.npy", np.round(W * 4).astype(dtype))
    assert read_weights(tmp_path / "w.npy").tolist() == np.round(W * 4).tolist()


def test_npz_of_one_and_of_several(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", w=W)
    np.savez(tmp_path / "two.npz", a=W, b=2 * W)
    assert read_weights(tmp_path / "one.npz").tolist() == W.tolist()
    assert read_weights(f"{tmp_path / 'two.npz'}#b").tolist() == (2 * W).tolist()
    with pytest.raises(ValueError, match=r"holds 2 tensors; choose one as .*#NAME from: a, b"):
        read_weights(tmp_path / "two.npz")
    with pytest.raises(ValueError, match="no tensor 'c'"):
        read_weights(f"{tmp_path / 'two.npz'}#c")


@pytest.mark.parametrize(
    ("dtype", "raw"),
    [
        ("F64", W.tobytes()),
        ("F32", W.astype("<f4").tobytes()),
        ("F16", W.astype("<f2").tobytes()),
        ("BF16", (W.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()),
    ],
)
def test_safetensors(tmp_path: Path, dtype: str, raw: bytes) -> None:
    counts = ("I64", [1], np.ones(1, "<i8").tobytes())  # no weights: not offered
    path = safetensors(tmp_path / "m.safetensors", {"n": counts, "fc.weight": (dtype, [2, 3], raw)})
    assert read_weights(path).tolist() == W.tolist()
    assert read_weights(f"{path}#fc.weight").tolist() == W.tolist()


def test_safetensors_written_by_the_library(tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy")
    numpy_files.save_file({"a": W, "b": W.astype(np.float16)}, tmp_path / "m.safetensors")
    assert read_weights(f"{tmp_path / 'm.safetensors'}#b").tolist() == W.tolist()


def test_a_hash_in_the_path_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a#b").mkdir()
    np.save(tmp_path / "a#b" / "w.npy", W)
    assert read_weights(tmp_path / "a#b" / "w.npy").shape == (2, 3)


def test_a_file_is_a_law(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", W)
    found = law(f"file:{tmp_path / 'w.npy'}")
    assert float(found.partial_moment(2, np.asarray(-np.inf), np.asarray(np.inf))) == pytest.approx(
        np.mean(W**2)
    )


def test_pickles_are_not_executed(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="must be a plain NumPy file"):
        read_weights(tmp_path / "w.npy")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pt", b"", "path must end in .npy, .npz, .safetensors"),
        ("w.npy", b"", "must be a plain NumPy file"),
        ("w.npz", b"junk", "must be a plain NumPy file"),
        ("w.safetensors", b"\x01", "must be a safetensors file"),
        ("w.safetensors", b"\xff" * 64, "must be a safetensors file"),
        ("w.safetensors", (4).to_bytes(8, "little") + b"nope", "must be a safetensors file"),
        ("w.safetensors", (2).to_bytes(8, "little") + b"[]", "must be a safetensors file"),
        ("w.safetensors", (2).to_bytes(8, "little") + b"{}", "holds no tensor$"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_weights(tmp_path / name)


def test_a_truncated_safetensors_file(tmp_path: Path) -> None:
    path = safetensors(tmp_path / "m.safetensors", {"w": ("F32", [2, 3], W.astype("<f4").tobytes())})
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="must be a safetensors file"):
        read_weights(path)


def test_a_missing_file(tmp_path: Path) -> None:
    for suffix in (".npy", ".npz", ".safetensors"):
        with pytest.raises(OSError, match="no-such-file"):
            read_weights(tmp_path / f"no-such-file{suffix}")


def test_a_tensor_with_nan_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="values must be finite, got 1 NaN"):
        law(f"file:{tmp_path / 'w.npy'}")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_npz_is_refused_in_one_line(tmp_path: Path, save: Callable[..., None]) -> None:
    save(tmp_path / "w.npz", w=np.arange(512.0))
    whole = (tmp_path / "w.npz").read_bytes()
    (tmp_path / "w.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="must be a plain NumPy file"):
        read_weights(tmp_path / "w.npz")
    for at in range(len(whole) // 4, len(whole) // 2, 97):
        (tmp_path / "w.npz").write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with pytest.raises(ValueError, match="must hold a readable tensor 'w'"):
            read_weights(tmp_path / "w.npz")


def test_an_npz_without_tensors_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "none.npz")
    with pytest.raises(ValueError, match=r"none\.npz holds no tensor$"):
        read_weights(tmp_path / "none.npz")


def test_an_npy_file_named_npz_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", W)
    (tmp_path / "w.npy").rename(tmp_path / "w.npz")
    assert read_weights(tmp_path / "w.npz").tolist() == W.tolist()


@pytest.mark.parametrize("dtype", ["complex128", "<U3", "datetime64[s]"])
def test_a_tensor_that_is_not_real_is_refused(tmp_path: Path, dtype: str) -> None:
    tensor = np.ones(3).astype(dtype) if dtype != "datetime64[s]" else np.ones(3, "i8").astype(dtype)
    np.save(tmp_path / "w.npy", tensor)
    np.savez(tmp_path / "w.npz", w=tensor)
    for file in ("w.npy", "w.npz"):
        with pytest.raises(ValueError, match=f"must hold real numbers, got dtype {re.escape(dtype)}"):
            read_weights(tmp_path / file)


def test_weights_whose_powers_overflow_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "big.npy", np.array([1.0, -1e200]))
    with pytest.raises(ValueError, match=r"at most 1e\+70 in magnitude, got 1e\+200"):
        law(f"file:{tmp_path / 'big.npy'}")


def test_a_file_nests_in_other_laws(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", W)
    everywhere = np.asarray(-np.inf), np.asarray(np.inf)
    clipped = law(f"clipped[law=file:{tmp_path / 'w.npy'},r=1]")
    assert float(clipped.partial_moment(2, *everywhere)) == pytest.approx(np.mean(np.clip(W, -1, 1) ** 2))
    mixed = law(f"mixture[laws=file:{tmp_path / 'w.npy'};gaussian,weights=1;3]")
    assert float(mixed.partial_moment(2, *everywhere)) == pytest.approx(np.mean(W**2) / 4 + 0.75)
