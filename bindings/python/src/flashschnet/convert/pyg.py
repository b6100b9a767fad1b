"""PyTorch Geometric's ``SchNet``, pickled or as a state dictionary."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from .errors import ConvertError
from .model import Layer, Model, Options
from .modules import Module, as_module, is_module
from .schnet import Block, SchNet
from .tensors import Tensor
from .type_table import element_types

__all__ = ["convert", "recognise"]

_BLOCK = re.compile(r"interactions\.(\d+)\.(.+)")
_PARTS = ("conv.lin1.weight", "conv.lin2.weight", "conv.lin2.bias", "lin.weight", "lin.bias")
_MLP = ("mlp.0.weight", "mlp.0.bias", "mlp.2.weight", "mlp.2.bias")
_REST = {
    "embedding.weight",
    "distance_expansion.offset",
    "lin1.weight",
    "lin1.bias",
    "lin2.weight",
    "lin2.bias",
    "atomref.weight",
    "initial_atomref",
}


def recognise(payload: Any) -> bool:
    """Whether the file's object is one of these."""
    if is_module(payload):
        return as_module(payload).package == "torch_geometric"
    return _state(payload) is not None


def convert(payload: Any, options: Options) -> Model:
    """The model in ``payload``."""
    notes: list[str] = []
    if is_module(payload):
        facts, state = _facts(as_module(payload), notes), as_module(payload).state_dict()
        framework = "PyTorch Geometric"
    else:
        found = _state(payload)
        if found is None:
            raise ConvertError("the file holds no state dictionary of PyTorch Geometric's SchNet")
        facts, state = _facts_from_options(found, options, notes), found
        framework = "PyTorch Geometric (state dictionary)"
    for option in ("scale", "shift", "readout"):
        if getattr(options, option) is not None and is_module(payload):
            raise ConvertError(f"--{option} is for state dictionaries: this file holds the whole model")
    cutoff = float(facts["cutoff"])
    if options.cutoff is not None and abs(options.cutoff - cutoff) > 1e-6 * cutoff:
        raise ConvertError(f"--cutoff {options.cutoff:g} contradicts the file, which says {cutoff:g}")

    def take(name: str) -> Tensor:
        if name not in state:
            raise ConvertError(f"the model has no {name!r}, so it is not PyTorch Geometric's SchNet")
        return state[name]

    offset = take("distance_expansion.offset")
    if offset.data.ndim != 1 or offset.data.size < 2:
        raise ConvertError("its radial basis has fewer than two functions")
    # The width is the first spacing, taken in the precision of the centres.
    spacing = abs(float((offset.data[1] - offset.data[0]).astype(offset.data.dtype)))
    schnet = SchNet(
        embedding=take("embedding.weight"),
        cutoff=cutoff,
        activation="shifted_softplus",
        basis={"kind": "gaussian", "size": offset.data.size},
        basis_tensors={
            "basis.centers": offset,
            "basis.widths": Tensor("F64", np.full(offset.shape, facts.get("width", spacing), "<f8")),
        },
        basis_envelope={"kind": "none"},
        filter_envelope={"kind": "cosine", "cutoff": cutoff},
        blocks=_blocks(state),
        shared_blocks=False,
        readout=[Layer(take("lin1.weight"), take("lin1.bias")), Layer(take("lin2.weight"), take("lin2.bias"))],
        energy_aggregation=facts["readout"],
    )
    # E = factor · readout(h · std + mean + atomref): the factor reaches all three.
    factor = facts["factor"]
    schnet.scale, schnet.shift = facts["scale"] * factor, facts["shift"] * factor
    references = state.get("atomref.weight")
    if references is not None:
        if factor != 1:
            references = Tensor("F64", references.float64() * factor)
        schnet.reference_energies = references
    rows = len(schnet.embedding.data)
    if references is not None:
        rows = min(rows, references.data.size)
    types = element_types(rows, options.types)
    units = options.units
    if units is None:
        units = ("Angstrom", "eV")
        notes.append("PyTorch Geometric files carry no units: Angstrom and eV were assumed")
    network, tensors = schnet.write([int(entry["index"]) for entry in types])
    return Model(framework, units, types, network, tensors, notes=notes)


def _state(payload: Any) -> dict[str, Tensor] | None:
    if not isinstance(payload, dict):
        return None
    for candidate in (payload, payload.get("state_dict"), payload.get("model_state_dict"), payload.get("model")):
        if isinstance(candidate, dict) and "distance_expansion.offset" in candidate:
            state = {str(key): value for key, value in candidate.items() if isinstance(value, Tensor)}
            if any(key.endswith("conv.lin1.weight") for key in state):
                return state
    return None


def _facts(module: Module, notes: list[str]) -> dict[str, Any]:
    if module.name != "SchNet":
        raise ConvertError(f"{module.path} is not supported: of PyTorch Geometric, SchNet is")
    if module.flag("dipole"):
        raise ConvertError("the model predicts a dipole moment (dipole=True), not an energy")
    cutoff = module.number("cutoff")
    graph = module.find("interaction_graph")
    limit = module.attribute("max_num_neighbors")
    if graph is not None:
        if graph.name != "RadiusInteractionGraph":
            raise ConvertError(f"its interaction graph {graph.path} is not supported; RadiusInteractionGraph is")
        limit = graph.attribute("max_num_neighbors", limit)
        if abs(graph.number("cutoff") - cutoff) > 1e-12 * cutoff:
            raise ConvertError("its interaction graph has another cutoff than the network")
    _note_truncation(notes, limit)
    for block in module.child("interactions").children().values():
        conv = block.child("conv")
        if abs(conv.number("cutoff") - cutoff) > 1e-12 * cutoff:
            raise ConvertError("its blocks have different cutoffs")
        if conv.text("aggr", "add") not in ("add", "sum"):
            raise ConvertError(f"{conv.label} aggregates by {conv.text('aggr')}, which is not supported")
    pool = module.find("readout")
    pool_name = pool.name if pool is not None else module.text("readout", "add")
    readout = {"SumAggregation": "sum", "MeanAggregation": "mean", "add": "sum", "sum": "sum", "mean": "mean"}.get(
        pool_name
    )
    if readout is None:
        raise ConvertError(f"its readout {pool_name} is not supported; add and mean are")
    facts: dict[str, Any] = {"cutoff": cutoff, "readout": readout, "scale": 1.0, "shift": 0.0, "factor": 1.0}
    # PyTorch Geometric applies mean and std only if both are there.
    if module.attribute("mean") is not None and module.attribute("std") is not None:
        facts["scale"], facts["shift"] = module.number("std"), module.number("mean")
    if module.attribute("scale") is not None:
        facts["factor"] = module.number("scale")
    coefficient = module.child("distance_expansion").attribute("coeff")
    if isinstance(coefficient, float) and coefficient < 0:
        facts["width"] = float(np.sqrt(-0.5 / coefficient))
    return facts


def _facts_from_options(state: dict[str, Tensor], options: Options, notes: list[str]) -> dict[str, Any]:
    if options.cutoff is None:
        last = float(state["distance_expansion.offset"].float64()[-1])
        raise ConvertError(
            f"a state dictionary carries no cutoff: give it with --cutoff (its last Gaussian sits at {last:g})"
        )
    _note_truncation(notes, None)
    if options.scale is None and options.shift is None:
        notes.append(
            "a state dictionary carries neither mean nor std: 0 and 1 were taken; --shift and --scale give others"
        )
    if options.readout is None:
        notes.append("a state dictionary does not say how atoms are summed: add was taken; --readout mean changes it")
    readout = {"add": "sum", "sum": "sum", "mean": "mean", None: "sum"}.get(options.readout)
    if readout is None:
        raise ConvertError(f"--readout {options.readout} is not supported; add and mean are")
    return {
        "cutoff": options.cutoff,
        "readout": readout,
        "scale": 1.0 if options.scale is None else options.scale,
        "shift": 0.0 if options.shift is None else options.shift,
        "factor": 1.0,
    }


def _note_truncation(notes: list[str], limit: Any) -> None:
    beyond = f"beyond {limit} an atom" if isinstance(limit, int) else "beyond 32 an atom by default"
    notes.append(
        f"PyTorch Geometric drops neighbours {beyond} (max_num_neighbors); "
        "here every neighbour within the cutoff counts"
    )


def _blocks(state: dict[str, Tensor]) -> list[Block]:
    parts: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        match = _BLOCK.fullmatch(key)
        if match:
            parts.setdefault(int(match[1]), {})[match[2]] = value
        elif key not in _REST:
            raise ConvertError(f"the model has {key!r}, which PyTorch Geometric's SchNet has not")
    if sorted(parts) != list(range(len(parts))):
        raise ConvertError("the model has no interaction blocks 0, 1, ...")
    blocks = []
    for number in range(len(parts)):
        # The filter network is registered twice: beside the convolution and within it.
        part = {re.sub(r"^conv\.nn\.", "mlp.", key): value for key, value in parts[number].items()}
        if set(part) != {*_PARTS, *_MLP}:
            odd = sorted(set(part) ^ {*_PARTS, *_MLP})[0]
            raise ConvertError(f"block {number}: {odd!r} is not as in PyTorch Geometric's SchNet")
        blocks.append(
            Block(
                in2f=part["conv.lin1.weight"],
                filter=[
                    Layer(part["mlp.0.weight"], part["mlp.0.bias"]),
                    Layer(part["mlp.2.weight"], part["mlp.2.bias"]),
                ],
                f2out=Layer(part["conv.lin2.weight"], part["conv.lin2.bias"]),
                dense=Layer(part["lin.weight"], part["lin.bias"]),
            )
        )
    return blocks
