"""The weight matrices in an ONNX graph: which constants its convolutions and matrix products use, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pvq.empirical.model import Kind, LayerWeights
from pvq.errors import PvqError

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto

__all__ = ["OnnxTensor", "onnx_layers"]

REAL = {"FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2"}
COMPRESSED = {"QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger", "MatMulNBits"}
RECURRENT = {"RNN", "LSTM", "GRU"}
FREE_NAME = ("onnx::", "_v_")  # names that exporters make up


@dataclass(frozen=True, eq=False)
class OnnxTensor:
    """A constant of the graph, decoded when it is read; external data are read from their file.

    Parameters
    ----------
    proto : as stored
    folder : that external data are relative to
    """

    proto: TensorProto
    folder: Path

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, known without reading."""
        return tuple(self.proto.dims)

    @property
    def dtype(self) -> str:
        """The number type, as ONNX calls it."""
        from onnx import TensorProto

        return str(TensorProto.DataType.Name(self.proto.data_type))

    def read(self) -> NDArray[np.floating[Any]]:
        """Return the tensor, as float32 where NumPy has no such type.

        Raises
        ------
        PvqError : its data are missing or too short
        """
        from onnx import TensorProto, numpy_helper

        own = TensorProto()
        own.CopyFrom(self.proto)  # onnx 1.17 puts external data that it decodes into the graph
        try:
            array = numpy_helper.to_array(own, str(self.folder))
        except Exception as error:  # what damaged data make of themselves is not documented
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise PvqError(f"the data of {self.proto.name!r} cannot be read: {reason}") from error
        return array if array.dtype.kind == "f" and array.dtype.itemsize > 1 else array.astype(np.float32)


class _Constant(NamedTuple):
    """A constant where a node uses it: its name, its tensor, and what was done to it on the way."""

    name: str
    tensor: OnnxTensor
    exchanged: bool = False
    through: str = ""


class _Use(NamedTuple):
    """How a node uses a constant."""

    kind: Kind
    inputs_first: bool = False
    groups: int = 1
    note: str = ""


class _Scope:
    """The constants of a graph and of the graphs around it, and the nodes between them and their users."""

    def __init__(self, graph: GraphProto, folder: Path, outer: _Scope | None = None) -> None:
        self.outer, self.folder = outer, folder
        self.tensors = {tensor.name: OnnxTensor(tensor, folder) for tensor in graph.initializer}
        self.makers = {name: node for node in graph.node for name in node.output}
        for name, node in self.makers.items():
            value = _attributes(node).get("value") if node.op_type == "Constant" else None
            if value is not None:
                self.tensors[name] = OnnxTensor(value, folder)

    def constant(self, name: str) -> _Constant | None:
        """Return the constant that a name stands for, through nodes that only pass it on; None if it is none.

        `through` names the last operation on the way that changes its numbers or shape, empty if none does.
        """
        if name in self.tensors:
            return _Constant(name, self.tensors[name])
        node = self.makers.get(name)
        if node is None:
            return self.outer.constant(name) if self.outer else None
        source = self.constant(node.input[0]) if node.input else None
        if source is None or node.op_type == "Identity":
            return source
        perm = list(_attributes(node).get("perm", ()))
        if node.op_type == "Transpose" and len(source.tensor.shape) == 2 and perm in ([], [1, 0]):
            return source._replace(exchanged=not source.exchanged)
        constant = all(self.constant(other) is not None for other in node.input if other)
        return source._replace(through=node.op_type) if constant else None


def onnx_layers(graph: GraphProto, folder: Path) -> tuple[dict[str, LayerWeights], tuple[str, ...]]:
    """Return the weight matrices of a graph by name, in the order of use, and remarks on what is left out.

    Weights are the constants (initializers, Constant nodes) that Conv, ConvTranspose, MatMul and Gemm
    multiply by, and tables that Gather looks up. A layer has the name of the constant, without a trailing
    ``.weight``; a constant that several nodes use comes once. Quantized weights are not decoded: a remark
    names them.

    Parameters
    ----------
    graph : of an ONNX model
    folder : that external data are relative to
    """
    layers: dict[str, LayerWeights] = {}
    left: dict[str, list[str]] = {}
    for node, scope in _nodes(graph, _Scope(graph, folder)):
        for position, name in enumerate(node.input):
            use = _use(node, position)
            constant = scope.constant(name) if isinstance(use, _Use) or use else None
            if constant is None or use is None:
                continue
            reason = use if isinstance(use, str) else _reason(constant, use)
            if reason:
                left.setdefault(reason, []).append(constant.name)
            elif isinstance(use, _Use):
                _add(layers, _layer(node, constant, use))
    return layers, tuple(f"left out: {_shortened(names)} ({reason})" for reason, names in left.items())


def _nodes(graph: GraphProto, scope: _Scope) -> Iterator[tuple[NodeProto, _Scope]]:
    """Yield the nodes, those of branches and loops included, with what their names stand for."""
    for node in graph.node:
        yield node, scope
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from _nodes(inner, _Scope(inner, scope.folder, scope))


def _use(node: NodeProto, position: int) -> _Use | str | None:
    """Return how a node uses a constant at an input, or why that is left out; None if it is no weight."""
    options = _attributes(node)
    if node.op_type in COMPRESSED and position > 0:
        return f"weights of {node.op_type}, so compressed already"
    if node.op_type in RECURRENT and position in (1, 2):
        return "recurrent weights"
    groups = int(options.get("group", 1))
    if node.op_type == "Conv" and position == 1:
        return _Use("conv", groups=groups)
    if node.op_type == "ConvTranspose" and position == 1:
        return _Use("conv-transpose", inputs_first=True, groups=groups)
    if node.op_type == "MatMul" and position < 2:
        return _Use("linear", inputs_first=position == 1)
    if node.op_type == "Gemm" and position < 2:
        exchanged = bool(options.get("transB" if position else "transA", 0))
        alpha = float(options.get("alpha", 1.0))
        return _Use(
            "linear", (position == 1) != exchanged, note="" if alpha == 1 else f"used {alpha:g} times"
        )
    if node.op_type == "Gather" and position == 0 and int(options.get("axis", 0)) == 0:
        return _Use("embedding")
    return None


def _reason(constant: _Constant, use: _Use) -> str:
    """Return why a constant in the place of weights is left out; a blank for one that is no matrix."""
    axes, dtype = len(constant.tensor.shape), constant.tensor.dtype
    if use.kind == "embedding" and (axes != 2 or dtype not in REAL):
        return ""
    if constant.through in ("DequantizeLinear", "DynamicQuantizeLinear"):
        return f"stored quantized, {constant.through} decodes it"
    if constant.through:
        return f"the graph computes the weights from it by {constant.through}"
    if dtype not in REAL:
        return f"numbers of type {dtype}, so compressed already"
    return "a batch of matrices" if use.kind == "linear" and axes > 2 else ""


def _layer(node: NodeProto, constant: _Constant, use: _Use) -> LayerWeights | None:
    """Return the layer; None for vectors and other constants that are no weight matrix."""
    shape = constant.tensor.shape
    if len(shape) < 2 or (use.kind == "embedding" and (len(shape) != 2 or constant.tensor.dtype not in REAL)):
        return None
    kind: Kind = "depthwise" if use.kind == "conv" and use.groups > 1 == shape[1] else use.kind
    transposed = use.inputs_first != constant.exchanged
    node_name = f"in {node.op_type} {node.name}" if constant.name.startswith(FREE_NAME) and node.name else ""
    return LayerWeights(
        constant.name.removesuffix(".weight"),
        kind,
        constant.tensor,
        transposed=transposed,
        groups=use.groups if transposed else 1,
        note="; ".join(filter(None, [use.note, node_name])),
    )


def _add(layers: dict[str, LayerWeights], layer: LayerWeights | None) -> None:
    """Add a layer, or what another use of the same constant tells of it."""
    if layer is None:
        return
    known = layers.get(layer.name)
    if known is None:
        layers[layer.name] = layer
    elif known.kind == "embedding" != layer.kind:
        layers[layer.name] = replace(layer, note="; ".join(filter(None, [layer.note, "also an embedding"])))
    elif layer.kind == "embedding" != known.kind:
        layers[layer.name] = replace(known, note="; ".join(filter(None, [known.note, "also an embedding"])))
    elif known.transposed != layer.transposed:
        note = "; ".join(filter(None, [known.note, "also used with its axes exchanged"]))
        layers[layer.name] = replace(known, note=note)


def _attributes(node: NodeProto) -> Mapping[str, Any]:
    """Return the plain attributes of a node; graphs are left to `_nodes`."""
    from onnx import AttributeProto, helper

    graphs = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
    return {a.name: helper.get_attribute_value(a) for a in node.attribute if a.type not in graphs}


def _shortened(names: list[str]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:3]) + (f" and {len(unique) - 3} more" if len(unique) > 3 else "")
