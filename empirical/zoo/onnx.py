"""Weights of ONNX files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pvq.empirical.model import Model, Source, file_sha256
from pvq.empirical.models_zoo import MODELS
from pvq.empirical.onnx_weights import onnx_layers
from pvq.errors import MissingExtra, PvqError

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

__all__ = ["Onnx"]


@MODELS.register("onnx")
@dataclass(frozen=True)
class Onnx:
    """Weights of an ONNX file: onnx:PATH, those of Conv, ConvTranspose, MatMul and Gemm; no network to run.

    Parameters
    ----------
    path : of the file; external data lie beside it
    """

    path: str

    def load(self) -> Model:
        """Return the weights, as they are stored; what is quantized already is left out with a remark."""
        if not self.path:
            raise PvqError("onnx: needs a path after the colon, such as onnx:model.onnx")
        path = Path(self.path).expanduser()
        proto = _read(path)
        layers, remarks = onnx_layers(proto.graph, path.parent)
        if proto.functions:
            remarks += (f"left out: whatever weights its {len(proto.functions)} functions hold",)
        if not layers:
            why = f": {'; '.join(remarks)}" if remarks else ""
            raise PvqError(f"{path} holds no weights of Conv, ConvTranspose, MatMul or Gemm{why}")
        made = " ".join(filter(None, [proto.producer_name, proto.producer_version]))
        source = Source(origin=str(path), version=made, file=path.name, sha256=file_sha256(path))
        return Model(f"onnx:{self.path}", source, layers, metadata={"remarks": remarks} if remarks else {})


def _read(path: Path) -> ModelProto:
    """Return the graph without its external data, which must be there.

    Raises
    ------
    PvqError : no such file, damaged, external data missing or too short
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("onnx", "onnx") from error
    if not path.is_file():
        raise PvqError(
            f"{path} is a directory; name an .onnx file" if path.is_dir() else f"no such file: {path}"
        )
    try:
        proto = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's and onnx's own errors have no common ancestor
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PvqError(f"{path} is not a readable ONNX file: {reason}") from error
    _check_external(path, proto.graph.initializer)
    return proto


def _check_external(path: Path, tensors: Iterable[TensorProto]) -> None:
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    for tensor in tensors:
        if not uses_external_data(tensor):
            continue
        about = ExternalDataInfo(tensor)
        file = path.parent / about.location
        if not file.is_file():
            raise PvqError(f"{path} keeps the data of {tensor.name!r} in {file}, which is not there")
        end = int(about.offset or 0) + int(about.length or 0)
        if file.stat().st_size < end:
            raise PvqError(f"{file} must hold {end} bytes for {tensor.name!r}, got {file.stat().st_size}")
