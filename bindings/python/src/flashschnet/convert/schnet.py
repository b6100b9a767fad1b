"""Putting a SchNet together, the part all frameworks share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .errors import ConvertError
from .model import Layer, check_shape
from .tensors import Tensor

__all__ = ["Block", "SchNet"]


@dataclass
class Block:
    """The weights of one interaction block."""

    in2f: Tensor
    filter: list[Layer]
    f2out: Layer
    dense: Layer


@dataclass
class SchNet:
    """A network by its parts, in the notation of docs/model-format.md."""

    embedding: Tensor
    cutoff: float
    activation: str
    basis: dict[str, Any]
    basis_tensors: dict[str, Tensor]
    basis_envelope: dict[str, Any]
    filter_envelope: dict[str, Any]
    blocks: list[Block]
    readout: list[Layer]
    readout_activation: str | None = None
    shared_blocks: bool = False
    aggregation: str = "sum"
    energy_aggregation: str = "sum"
    scale: float = 1.0
    shift: float = 0.0
    reference_energies: Tensor | None = None
    where: str = "SchNet"
    _tensors: dict[str, Tensor] = field(default_factory=dict)

    def write(self, rows: list[int]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The ``network`` object and its tensors, with these ``rows`` of the embedding."""
        tensors: dict[str, Tensor] = {}
        if len(self.embedding.shape) != 2:
            raise ConvertError(f"{self.where}: the embedding has shape {list(self.embedding.shape)}")
        features = self.embedding.shape[1]
        tensors["embedding"] = self.embedding.view(self.embedding.data[rows])
        tensors.update(self.basis_tensors)
        if not self.blocks:
            raise ConvertError(f"{self.where} has no interaction blocks")
        filters = self.blocks[0].in2f.shape[0]
        shapes: set[tuple[tuple[int, ...], tuple[bool, ...]]] = set()
        stored = self.blocks[:1] if self.shared_blocks else self.blocks
        for number, block in enumerate(stored):
            where, prefix = f"{self.where}: block {number}", f"blocks.{number}"
            tensors[f"{prefix}.in2f.weight"] = check_shape(block.in2f, (filters, features), f"{where}: in2f")
            hidden, bias = Layer.write(
                block.filter, f"{prefix}.filter", tensors, f"{where}: filter network", self.basis["size"], filters
            )
            shapes.add((tuple(hidden), tuple(bias)))
            for name, layer, inputs in (("f2out", block.f2out, filters), ("dense", block.dense, features)):
                weight = check_shape(layer.weight, (features, inputs), f"{where}: {name}")
                if layer.bias is None:
                    raise ConvertError(f"{where}: {name} has no bias, which is not supported")
                tensors[f"{prefix}.{name}.weight"] = weight
                tensors[f"{prefix}.{name}.bias"] = check_shape(layer.bias, (features,), f"{where}: bias of {name}")
        if len(shapes) != 1:
            raise ConvertError(f"{self.where}: its blocks have filter networks of different shapes")
        filter_hidden, filter_bias = (list(part) for part in shapes.pop())
        hidden, bias = Layer.write(self.readout, "readout", tensors, f"{self.where}: readout", features, 1)
        readout: dict[str, Any] = {"hidden": hidden, "bias": bias}
        if self.readout_activation not in (None, self.activation) and hidden:
            readout["activation"] = self.readout_activation
        if self.reference_energies is not None:
            references = self.reference_energies
            tensors["reference_energies"] = references.view(references.data.reshape(-1)[rows])
        for name in ("basis_envelope", "filter_envelope"):
            self._check_envelope(name, getattr(self, name))
        network = {
            "cutoff": self.cutoff,
            "features": features,
            "filters": filters,
            "blocks": len(self.blocks),
            "shared_blocks": self.shared_blocks,
            "activation": self.activation,
            "basis": self.basis,
            "basis_envelope": self.basis_envelope,
            "filter_envelope": self.filter_envelope,
            "filter_network": {"hidden": filter_hidden, "bias": filter_bias},
            "readout": readout,
            "aggregation": self.aggregation,
            "energy_aggregation": self.energy_aggregation,
            "scale": self.scale,
            "shift": self.shift,
            "reference_energies": self.reference_energies is not None,
        }
        return network, tensors

    def _check_envelope(self, name: str, envelope: dict[str, Any]) -> None:
        longer = envelope.get("cutoff", self.cutoff)
        if longer > self.cutoff:
            raise ConvertError(
                f"{self.where}: its {name.replace('_', ' ')} ends at {longer:g}, beyond the cutoff of {self.cutoff:g}"
            )
