"""What a converter makes: the description of docs/model-format.md and its tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import ConvertError
from .tensors import Tensor

__all__ = ["Layer", "Model", "Options", "check_shape", "float_tensor", "int_tensor"]


@dataclass
class Options:
    """What the user may tell a converter."""

    cutoff: float | None = None
    types: str | None = None
    units: tuple[str, str] | None = None
    property: str | None = None
    scale: float | None = None
    shift: float | None = None
    readout: str | None = None
    excluded_bonds: int | None = None
    periodic_impropers: bool = False


@dataclass
class Model:
    """A model file in the making."""

    framework: str
    units: tuple[str, str]
    types: list[dict[str, Any]]
    network: dict[str, Any] | None
    tensors: dict[str, Tensor]
    excluded_bonds: int = 0
    priors: list[dict[str, Any]] = field(default_factory=list)
    structures: list[dict[str, Any]] = field(default_factory=list)
    #: What the user should know; also kept in the file.
    notes: list[str] = field(default_factory=list)


@dataclass
class Layer:
    """One linear layer."""

    weight: Tensor
    bias: Tensor | None

    @classmethod
    def write(
        cls, layers: Sequence[Layer], prefix: str, tensors: dict[str, Tensor], where: str, inputs: int, outputs: int
    ) -> tuple[list[int], list[bool]]:
        """Put the layers of a network under their names; returns its hidden widths and which layers have a bias."""
        if not layers:
            raise ConvertError(f"{where} has no layers")
        width = inputs
        for number, layer in enumerate(layers):
            if len(layer.weight.shape) != 2 or layer.weight.shape[1] != width:
                raise ConvertError(
                    f"{where}: layer {number} has weights of shape {list(layer.weight.shape)} and {width} inputs"
                )
            width = layer.weight.shape[0]
            tensors[f"{prefix}.{number}.weight"] = layer.weight
            if layer.bias is not None:
                check_shape(layer.bias, (width,), f"{where}: bias of layer {number}")
                tensors[f"{prefix}.{number}.bias"] = layer.bias
        if width != outputs:
            raise ConvertError(f"{where} has {width} outputs where {outputs} belong")
        hidden = [layer.weight.shape[0] for layer in layers[:-1]]
        return hidden, [layer.bias is not None for layer in layers]


def check_shape(tensor: Tensor, shape: tuple[int, ...], where: str) -> Tensor:
    """``tensor``, if it has this shape; an error if not."""
    if tensor.shape != shape:
        raise ConvertError(f"{where} has shape {list(tensor.shape)} where {list(shape)} belongs")
    return tensor


def float_tensor(values: Any) -> Tensor:
    """Double precision numbers as a tensor."""
    return Tensor("F64", np.ascontiguousarray(values, dtype="<f8"))


def int_tensor(values: Any, shape: tuple[int, ...] | None = None) -> Tensor:
    """Integers as a tensor of 32 bits."""
    array = np.asarray(values, dtype=np.int64)
    if shape is not None:
        array = array.reshape(shape)
    if array.size and (array.min() < -(2**31) or array.max() >= 2**31):
        raise ConvertError("an index does not fit 32 bits")
    return Tensor("I32", np.ascontiguousarray(array, dtype="<i4"))
