"""SchNetPack 2.x: a pickled ``NeuralNetworkPotential``, such as ``best_model``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import ConvertError
from .model import Layer, Model, Options
from .modules import Module, activation_name, as_module, is_module
from .schnet import Block, SchNet
from .schnetpack2_energy import EnergyRule, energy_rule
from .tensors import Tensor
from .type_table import element_types

__all__ = ["convert", "recognise"]

_HARMLESS_INPUTS = ("PairwiseDistances", "Strain")
_ENVELOPES = {"CosineCutoff": "cosine", "MollifierCutoff": "mollifier"}


def recognise(payload: Any) -> bool:
    """Whether the file's object is one of these."""
    if not is_module(payload):
        return False
    module = as_module(payload)
    return module.package == "schnetpack" and (
        module.name == "NeuralNetworkPotential" or module.find("postprocessors") is not None
    )


def convert(payload: Any, options: Options) -> Model:
    """The model in ``payload``."""
    module = as_module(payload)
    if module.name != "NeuralNetworkPotential":
        raise ConvertError(f"{module.path} is not supported: of SchNetPack 2, NeuralNetworkPotential is")
    notes: list[str] = []
    representation = module.child("representation")
    if representation.name != "SchNet":
        raise ConvertError(
            f"its representation is {representation.path}, which is not SchNet; only SchNet models are supported"
        )
    rule = energy_rule(module, options.property, notes)
    schnet = _schnet(representation, rule)
    if options.cutoff is not None and abs(options.cutoff - schnet.cutoff) > 1e-6 * schnet.cutoff:
        raise ConvertError(f"--cutoff {options.cutoff:g} contradicts the file, which says {schnet.cutoff:g}")
    _check_inputs(module, schnet.cutoff)
    rows = len(schnet.embedding.data)
    if rule.references is not None:
        rows = min(rows, rule.references.data.size)
    types = element_types(rows, options.types)
    units = options.units
    if units is None:
        units = ("Angstrom", "eV")
        notes.append("SchNetPack files carry no units: Angstrom and eV were assumed")
    network, tensors = schnet.write([int(entry["index"]) for entry in types])
    version = module.attribute("spk_version")
    framework = f"SchNetPack {version}" if isinstance(version, str) else "SchNetPack 2"
    return Model(framework, units, types, network, tensors, notes=notes)


def _check_inputs(module: Module, cutoff: float) -> None:
    inputs = module.find("input_modules")
    for part in inputs.children().values() if inputs is not None else ():
        if part.name == "FilterShortRange":
            reach = part.number("short_range_cutoff")
            if reach < cutoff:
                raise ConvertError(f"its input module {part.name} ends at {reach:g}, within the cutoff of {cutoff:g}")
        elif part.name not in _HARMLESS_INPUTS:
            raise ConvertError(f"its input module {part.path} is not supported")


def _schnet(module: Module, rule: EnergyRule) -> SchNet:
    embeddings = module.find("electronic_embeddings")
    if embeddings is not None and (extra := list(embeddings.children().values())):
        raise ConvertError(f"its electronic embedding {extra[0].path} is not supported")
    embedding = module.child("embedding")
    if embedding.name != "Embedding":
        raise ConvertError(f"its nuclear embedding {embedding.path} is not supported; torch.nn.Embedding is")
    cutoff_module = module.child("cutoff_fn")
    if cutoff_module.name not in _ENVELOPES:
        raise ConvertError(f"its cutoff function {cutoff_module.path} is not supported; {' and '.join(_ENVELOPES)} are")
    cutoff = cutoff_module.number("cutoff")
    basis, basis_tensors = _basis(module.child("radial_basis"))
    interactions = list(module.child("interactions").children().values())
    blocks: list[Block] = []
    activations: set[str] = set()
    for part in interactions:
        if part.name != "SchNetInteraction":
            raise ConvertError(f"its interaction block {part.path} is not supported; SchNetInteraction is")
        f2out = list(part.child("f2out").children().values())
        filters = list(part.child("filter_network").children().values())
        if len(f2out) != 2 or not filters:
            raise ConvertError(f"{part.label} is not built as SchNet's interaction blocks are")
        for dense in (part.child("in2f"), filters[-1], f2out[1]):
            if dense_activation(dense) != "identity":
                raise ConvertError(f"{dense.label} is followed by an activation, which is not supported")
        activations |= {dense_activation(dense) for dense in (*filters[:-1], f2out[0])}
        in2f = dense_layer(part.child("in2f"))
        if in2f.bias is not None:
            raise ConvertError(f"{part.label}: in2f has a bias, which is not supported")
        blocks.append(
            Block(
                in2f=in2f.weight,
                filter=[dense_layer(dense) for dense in filters],
                f2out=dense_layer(f2out[0]),
                dense=dense_layer(f2out[1]),
            )
        )
    if len(activations) != 1 or "identity" in activations:
        raise ConvertError(f"its blocks mix the activations {', '.join(sorted(activations)) or 'none'}")
    return SchNet(
        embedding=embedding.tensor("weight"),
        cutoff=cutoff,
        activation=activations.pop(),
        readout_activation=rule.activation,
        basis=basis,
        basis_tensors=basis_tensors,
        basis_envelope={"kind": "none"},
        filter_envelope={"kind": _ENVELOPES[cutoff_module.name], "cutoff": cutoff},
        blocks=blocks,
        shared_blocks=len(interactions) > 1 and len({id(part.instance) for part in interactions}) == 1,
        readout=[dense_layer(dense) for dense in rule.readout],
        energy_aggregation=rule.aggregation,
        scale=rule.scale,
        shift=rule.shift,
        reference_energies=rule.references,
    )


def _basis(module: Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if module.name in ("GaussianRBF", "GaussianRBFCentered"):
        widths = module.tensor("widths")
        # Only the square of a width counts; training may leave it negative.
        if (widths.float64() < 0).any():
            widths = widths.view(np.abs(widths.data))
        return {"kind": "gaussian", "size": widths.data.size}, {
            "basis.centers": module.tensor("offsets"),
            "basis.widths": widths,
        }
    if module.name == "BesselRBF":
        frequencies = module.tensor("freqs")
        return {"kind": "bessel", "size": frequencies.data.size}, {"basis.frequencies": frequencies}
    raise ConvertError(
        f"its radial basis {module.path} is not supported; GaussianRBF, GaussianRBFCentered and BesselRBF are"
    )


def dense_layer(module: Module) -> Layer:
    """A Dense layer's weights."""
    if module.name not in ("Dense", "Linear"):
        raise ConvertError(f"{module.label} stands where a Dense layer belongs")
    return Layer(module.tensor("weight"), module.optional("bias"))


def dense_activation(module: Module) -> str:
    """What follows a Dense layer: a function kept as an attribute, or a module."""
    part = module.find("activation")
    return activation_name(part if part is not None else module.attribute("activation"), module.label)
