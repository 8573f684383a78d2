"""`onnx:PATH`: tiny graphs with known weights, and what is left out or refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import NodeProto, TensorProto, helper, numpy_helper  # noqa: E402

import pvq  # noqa: E402
from pvq.empirical.model import LayerWeights, Model  # noqa: E402
from pvq.empirical.models_zoo import load_model  # noqa: E402
from pvq.empirical.weights import layer_rows  # noqa: E402
from pvq.errors import PvqError  # noqa: E402

RNG = np.random.default_rng(0)
W = RNG.normal(size=(4, 6)).astype(np.float32)
KERNEL = RNG.normal(size=(4, 2, 3, 3)).astype(np.float32)


def graph(nodes: Sequence[NodeProto], **constants: np.ndarray) -> Any:
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_model(helper.make_graph(list(nodes), "tiny", [x], [y], tensors))


def load(tmp_path: Path, model: Any) -> Model:
    onnx.save(model, tmp_path / "m.onnx")
    return load_model(f"onnx:{tmp_path / 'm.onnx'}")


def only(model: Model) -> LayerWeights:
    (layer,) = model.weights().values()
    return layer


@pytest.mark.parametrize(
    ("op", "inputs", "options", "rows"),
    [
        ("MatMul", ["x", "w"], {}, W.T),
        ("MatMul", ["w", "x"], {}, W),
        ("Gemm", ["x", "w"], {}, W.T),
        ("Gemm", ["x", "w"], {"transB": 1}, W),
        ("Gemm", ["w", "x"], {}, W),
        ("Gemm", ["w", "x"], {"transA": 1}, W.T),
    ],
)
def test_rows_of_a_matrix_are_what_one_output_sees(
    tmp_path: Path, op: str, inputs: list[str], options: dict[str, int], rows: np.ndarray
) -> None:
    layer = only(load(tmp_path, graph([helper.make_node(op, inputs, ["y"], **options)], w=W)))
    assert (layer.name, layer.kind) == ("w", "linear")
    np.testing.assert_array_equal(layer.matrix, rows)
    np.testing.assert_array_equal(layer.tensor, W)


@pytest.mark.parametrize(
    ("op", "group", "kind", "rows", "n"),
    [
        ("Conv", 1, "conv", 4, 18),
        ("Conv", 2, "conv", 4, 18),
        ("ConvTranspose", 1, "conv-transpose", 2, 36),
        ("ConvTranspose", 2, "conv-transpose", 4, 18),
    ],
)
def test_convolutions(tmp_path: Path, op: str, group: int, kind: str, rows: int, n: int) -> None:
    node = helper.make_node(op, ["x", "conv1.weight"], ["y"], group=group)
    layer = only(load(tmp_path, graph([node], **{"conv1.weight": KERNEL})))
    assert (layer.name, layer.kind, layer.rows, layer.n) == ("conv1", kind, rows, n)


def test_depthwise_and_its_absence(tmp_path: Path) -> None:
    one = KERNEL[:, :1]
    for group, kind in ((4, "depthwise"), (1, "conv")):
        node = helper.make_node("Conv", ["x", "w"], ["y"], group=group)
        assert only(load(tmp_path, graph([node], w=one))).kind == kind


def test_constants_on_the_way(tmp_path: Path) -> None:
    """A Constant node, one passed on by Identity, one turned round by Transpose."""
    nodes = [
        helper.make_node("Constant", [], ["a"], value=numpy_helper.from_array(W)),
        helper.make_node("Identity", ["a"], ["b"]),
        helper.make_node("Transpose", ["b"], ["c"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "c"], ["y"]),
    ]
    layer = only(load(tmp_path, graph(nodes)))
    assert layer.name == "a"
    np.testing.assert_array_equal(layer.matrix, W)


def test_a_constant_in_a_branch(tmp_path: Path) -> None:
    inner = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["z"])],
        "then",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )
    node = helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    layer = only(load(tmp_path, graph([node], w=W)))
    assert (layer.name, layer.rows) == ("w", 6)


def test_shared_constants_come_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gather", ["tokens.weight", "x"], ["h"]),
        helper.make_node("MatMul", ["h", "onnx::MatMul_7"], ["g"], name="/block/fc"),
        helper.make_node("Identity", ["onnx::MatMul_7"], ["again"]),
        helper.make_node("MatMul", ["g", "again"], ["k"]),
        helper.make_node("Gemm", ["k", "tokens.weight"], ["y"], transB=1, alpha=0.5),
    ]
    square = W[:, :4].copy()
    layers = load(tmp_path, graph(nodes, **{"tokens.weight": W, "onnx::MatMul_7": square})).weights()
    assert {name: (layer.kind, layer.note) for name, layer in layers.items()} == {
        "tokens": ("linear", "used 0.5 times; also an embedding"),
        "onnx::MatMul_7": ("linear", "in MatMul /block/fc"),
    }
    assert layers["tokens"].rows == 4


def test_attention_has_products_without_weights(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["q"]),
        helper.make_node("MatMul", ["q", "x"], ["scores"]),
        helper.make_node("Mul", ["scores", "scale"], ["y"]),
        helper.make_node("Gather", ["positions", "x"], ["p"]),
        helper.make_node("Gather", ["shape", "x"], ["s"]),
    ]
    model = load(
        tmp_path,
        graph(nodes, w=W, scale=np.ones(1, np.float32), positions=W[:, :2].copy(), shape=np.arange(3)),
    )
    assert {name: layer.kind for name, layer in model.weights().items()} == {
        "w": "linear",
        "positions": "embedding",
    }
    assert model.remarks == ()


def test_nothing_quantized_is_decoded_in_silence(tmp_path: Path) -> None:
    codes = np.round(10 * W).astype(np.int8)
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w1"]),
        helper.make_node("MatMul", ["x", "w1"], ["a"]),
        helper.make_node("MatMulInteger", ["x", "q"], ["b"]),
        helper.make_node("Mul", ["w", "s"], ["scaled"]),
        helper.make_node("MatMul", ["x", "scaled"], ["c"]),
        helper.make_node("MatMul", ["x", "w"], ["d"]),
        helper.make_node("MatMul", ["x", "heads"], ["e"]),
        helper.make_node("LSTM", ["x", "lstm", "lstm"], ["f"]),
    ]
    constants = {"q": codes, "s": np.float32(0.1).reshape(()), "z": np.int8(0).reshape(()), "w": W}
    heads = np.ones((2, 3, 4), np.float32)
    model = load(tmp_path, graph(nodes, **constants, heads=heads, lstm=heads))
    assert list(model.weights()) == ["w"]
    assert set(model.remarks) == {
        "left out: q (stored quantized, DequantizeLinear decodes it)",
        "left out: q (weights of MatMulInteger, so compressed already)",
        "left out: w (the graph computes the weights from it by Mul)",
        "left out: heads (a batch of matrices)",
        "left out: lstm (recurrent weights)",
    }


@pytest.mark.parametrize("kind", ["FLOAT16", "DOUBLE", "BFLOAT16", "FLOAT8E4M3FN"])
def test_number_types(tmp_path: Path, kind: str) -> None:
    values = [[0.5, -1.5, 2.0], [1.0, 0.25, -3.0]]  # exact in all of them
    tensor = helper.make_tensor("w", getattr(TensorProto, kind), (2, 3), np.array(values).ravel().tolist())
    model = graph([helper.make_node("MatMul", ["x", "w"], ["y"])])
    model.graph.initializer.append(tensor)
    np.testing.assert_array_equal(only(load(tmp_path, model)).matrix, np.transpose(values))


def external(tmp_path: Path) -> Path:
    model = graph([helper.make_node("MatMul", ["x", "w"], ["y"])], w=W)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    return tmp_path / "m.onnx"


def test_external_data_are_read_when_asked_for(tmp_path: Path) -> None:
    path = external(tmp_path)
    layer = only(load_model(f"onnx:{path}"))
    np.testing.assert_array_equal(layer.tensor, W)
    (tmp_path / "m.bin").write_bytes(2 * (tmp_path / "m.bin").read_bytes())  # may grow
    np.testing.assert_array_equal(only(load_model(f"onnx:{path}")).tensor, W)
    (tmp_path / "m.bin").write_bytes(b"short")
    with pytest.raises(PvqError, match=r"m.bin must hold 96 bytes for 'w', got 5"):
        load_model(f"onnx:{path}")
    with pytest.raises(PvqError, match="the data of 'w' cannot be read"):
        _ = layer.tensor
    (tmp_path / "m.bin").unlink()
    with pytest.raises(PvqError, match=r"keeps the data of 'w' in .*m.bin, which is not there"):
        load_model(f"onnx:{path}")


@pytest.mark.parametrize(
    ("content", "demand"),
    [
        (None, "no such file"),
        (b"no such thing", "not a readable ONNX file"),
        (b"", "holds no weights of Conv, ConvTranspose, MatMul or Gemm$"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path, content: bytes | None, demand: str) -> None:
    if content is not None:
        (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(PvqError, match=demand) as caught:
        load_model(f"onnx:{tmp_path / 'm.onnx'}")
    assert "\n" not in str(caught.value)


def test_no_path_a_folder_a_truncated_file(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match="onnx: needs a path after the colon"):
        load_model("onnx:")
    with pytest.raises(PvqError, match="is a directory; name an"):
        load_model(f"onnx:{tmp_path}")
    load(tmp_path, graph([helper.make_node("MatMul", ["x", "w"], ["y"])], w=W))
    whole = (tmp_path / "m.onnx").read_bytes()
    (tmp_path / "m.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PvqError, match="not a readable ONNX file"):
        load_model(f"onnx:{tmp_path / 'm.onnx'}")


def test_there_is_no_network_to_run(tmp_path: Path) -> None:
    model = load(tmp_path, graph([helper.make_node("MatMul", ["x", "w"], ["y"])], w=W))
    with pytest.raises(PvqError, match=r"^weights only: onnx:.* has no network to run"):
        model.module()


def test_torch_is_not_needed(tmp_path: Path) -> None:
    model = load(tmp_path, graph([helper.make_node("MatMul", ["x", "w"], ["y"])], w=W))
    (row,) = layer_rows(model, [4])
    assert row["shape"] == [4, 6]
    code = (
        "import sys; from pvq.empirical.models_zoo import load_model;"
        "from pvq.empirical.weights import layer_rows;"
        f"layer_rows(load_model({model.name!r}), [4]);"
        "sys.exit('torch' in sys.modules)"
    )
    source = {**os.environ, "PYTHONPATH": str(Path(pvq.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=source).returncode == 0
