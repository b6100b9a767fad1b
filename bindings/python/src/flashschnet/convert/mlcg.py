"""mlcg: ``SumOut``, ``GradientsOut``, ``StandardSchNet`` and priors, alone or with their structures."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import ConvertError
from .mlcg_priors import PriorSet
from .mlcg_structures import Structure, structures_of
from .model import Layer, Model, Options, int_tensor
from .modules import Module, activation_name, as_module, is_module
from .schnet import Block, SchNet
from .tensors import Tensor
from .type_table import bead_types

__all__ = ["convert", "holds_structures_only", "recognise"]

_MAX_DEPTH = 16
_MAX_PARTS = 10_000


def recognise(payload: Any) -> bool:
    """Whether the file's object comes from mlcg."""
    if _is_from_mlcg(payload):
        return True
    if isinstance(payload, (tuple, list)):
        return any(_is_from_mlcg(part) for part in payload) or bool(structures_of(payload))
    return bool(structures_of(payload))


def holds_structures_only(payload: Any) -> bool:
    """Whether the file has structures and no model."""
    return _model_part(payload) is None and bool(structures_of(payload))


def convert(payload: Any, options: Options, terms: list[Structure] | None = None) -> Model:
    """The model in ``payload``; ``terms`` are structures of another file, whose term lists it is to carry."""
    part = _model_part(payload)
    if part is None:
        raise ConvertError("the file holds no mlcg model")
    structures = structures_of(payload) if terms is None else terms
    networks, priors = _collect(as_module(part, ""))
    if len(networks) > 1:
        raise ConvertError(f"the file holds {len(networks)} networks; one is supported")
    notes: list[str] = []
    prior_set = PriorSet(priors, structures, options.periodic_impropers, notes)
    excluded = _excluded_bonds(structures, options, bool(networks))

    schnet = _schnet(networks[0], notes) if networks else None
    present = set(prior_set.types_used()) | {int(t) for s in structures for t in np.unique(s.types)}
    if schnet is not None:
        rows = schnet.embedding.shape[0]
        if present and max(present) >= rows:
            raise ConvertError(f"the file uses type {max(present)}, but the network's embedding has {rows} rows")
        present = set(range(rows))
    types = bead_types(sorted(present), options.types, _masses(structures, notes))
    kept = {int(entry["index"]) for entry in types}
    for structure in structures:
        missing = {int(t) for t in structure.types} - kept
        if missing:
            raise ConvertError(f"--types leaves out type {min(missing)}, which structure {structure.name!r} uses")
    network: dict[str, Any] | None = None
    tensors: dict[str, Tensor] = {}
    if schnet is not None:
        network, tensors = schnet.write([int(entry["index"]) for entry in types])
    entries, prior_tensors = prior_set.write(kept)
    tensors.update(prior_tensors)
    if structures:
        tensors["structures.types"] = int_tensor(np.concatenate([s.types for s in structures]))
    if network is None and not entries:
        raise ConvertError("the file holds neither a network nor priors")
    return Model(
        framework="mlcg",
        units=options.units or ("Angstrom", "kcal/mol"),
        types=types,
        network=network,
        tensors=tensors,
        excluded_bonds=excluded,
        priors=entries,
        structures=[{"name": s.name, "atoms": len(s.types)} for s in structures],
        notes=notes,
    )


def _is_from_mlcg(value: Any) -> bool:
    if not is_module(value):
        return False
    module = Module(value, "")
    if module.package == "mlcg":
        return True
    return module.name in ("ModuleDict", "ModuleList") and any(
        part.package == "mlcg" for part in module.children().values()
    )


def _model_part(payload: Any) -> Any:
    if _is_from_mlcg(payload):
        return payload
    if isinstance(payload, (tuple, list)):
        parts = [part for part in payload if _is_from_mlcg(part)]
        if len(parts) > 1:
            raise ConvertError(f"the file holds {len(parts)} models; one is supported")
        return parts[0] if parts else None
    return None


def _collect(root: Module) -> tuple[list[Module], list[tuple[str, Module]]]:
    """Take the wrappers off and sort what is within into networks and priors."""
    networks: list[Module] = []
    priors: list[tuple[str, Module]] = []
    pending, visited = [(root, "", 0)], 0
    while pending:
        module, name, depth = pending.pop()
        visited += 1
        if depth > _MAX_DEPTH or visited > _MAX_PARTS:
            raise ConvertError("its models are nested too deeply")
        if module.name == "SumOut":
            pending.append((module.child("models"), name, depth + 1))
        elif module.name in ("ModuleDict", "ModuleList"):
            parts = list(module.children().items())
            pending.extend((part, key, depth + 1) for key, part in reversed(parts))
        elif module.name in ("GradientsOut", "EnergyOut"):
            pending.append((module.child("model"), name or module.text("name"), depth + 1))
        elif module.name in ("StandardSchNet", "SchNet"):
            networks.append(module)
        elif PriorSet.knows(module):
            priors.append((name or module.text("name") or module.name, module))
        else:
            raise ConvertError(
                f"{module.path} is not supported: of mlcg, StandardSchNet and the priors "
                f"{', '.join(PriorSet.supported())} are"
            )
    return networks, priors


def _schnet(module: Module, notes: list[str]) -> SchNet:
    if module.flag("self_interaction"):
        raise ConvertError("the network lets atoms act on themselves (self_interaction), which is not supported")
    limit = module.attribute("max_num_neighbors")
    if isinstance(limit, int):
        notes.append(
            f"mlcg drops neighbours beyond {limit} an atom (max_num_neighbors); here every neighbour within "
            "the cutoff counts"
        )
    embedding = module.child("embedding_layer")
    if embedding.name != "Embedding":
        raise ConvertError(f"its embedding {embedding.path} is not supported; torch.nn.Embedding is")
    blocks, activations, aggregations, cutoffs = [], set(), set(), []
    parts = list(module.child("interaction_blocks").children().values())
    for part in parts:
        if part.name != "InteractionBlock":
            raise ConvertError(f"its interaction block {part.path} is not supported; InteractionBlock is")
        conv = part.child("conv")
        if conv.name != "CFConv":
            raise ConvertError(f"its convolution {conv.path} is not supported; CFConv is")
        layers, inner = _mlp(conv.child("filter_network"))
        activations |= inner | {activation_name(part.child("activation"), part.label)}
        aggregations.add(conv.text("aggr", "add"))
        cutoffs.append(conv.child("cutoff"))
        blocks.append(
            Block(
                in2f=_linear(conv.child("lin1"), bias=False).weight,
                filter=layers,
                f2out=_linear(conv.child("lin2")),
                dense=_linear(part.child("lin")),
            )
        )
    if len(activations) != 1 or "identity" in activations:
        raise ConvertError(f"its blocks mix the activations {', '.join(sorted(activations))}")
    aggregation = {"add": "sum", "sum": "sum", "mean": "mean"}.get(aggregations.pop())
    if aggregation is None or aggregations:
        raise ConvertError("its aggregation is not supported; add and mean are")
    basis_module = module.child("rbf_layer")
    basis_cutoff = basis_module.child("cutoff")
    cutoff = basis_cutoff.number("cutoff_upper")
    if not np.isfinite(cutoff):
        raise ConvertError("its cutoff is infinite, which is not supported")
    envelopes = [_envelope(part) for part in cutoffs]
    if any(envelope != envelopes[0] for envelope in envelopes):
        raise ConvertError("its blocks have different cutoff functions, which is not supported")
    basis, basis_tensors = _basis(basis_module)
    readout, inner = _mlp(module.child("output_network"))
    if len(inner) > 1:
        raise ConvertError(f"its readout mixes the activations {', '.join(sorted(inner))}")
    return SchNet(
        embedding=embedding.tensor("weight"),
        cutoff=cutoff,
        activation=activations.pop(),
        readout_activation=next(iter(inner), None),
        basis=basis,
        basis_tensors=basis_tensors,
        basis_envelope=_envelope(basis_cutoff),
        filter_envelope=envelopes[0],
        blocks=blocks,
        shared_blocks=len(parts) > 1 and len({id(part.instance) for part in parts}) == 1,
        readout=readout,
        aggregation=aggregation,
    )


def _linear(module: Module, bias: bool = True) -> Layer:
    if module.name != "Linear":
        raise ConvertError(f"{module.label} stands where a Linear belongs")
    layer = Layer(module.tensor("weight"), module.optional("bias"))
    if not bias and layer.bias is not None:
        raise ConvertError(f"{module.label} has a bias, which is not supported there")
    return layer


def _mlp(module: Module) -> tuple[list[Layer], set[str]]:
    """The linear layers of an MLP and the activations between them."""
    if module.name not in ("MLP", "Sequential"):
        raise ConvertError(f"{module.path} ({module.where}) is not supported; MLP is")
    parts = list((module.find("layers") or module).children().values())
    layers: list[Layer] = []
    activations: set[str] = set()
    for number, part in enumerate(parts):
        if number % 2 == 0:
            layers.append(_linear(part))
        else:
            activations.add(activation_name(part, part.label))
    if len(parts) % 2 == 0:
        raise ConvertError(f"{module.label} ends with an activation, which is not supported")
    if "identity" in activations:
        raise ConvertError(f"{module.label} has layers without an activation between them")
    return layers, activations


def _basis(module: Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if module.name in ("ExpNormalBasis", "ExtendedExpNormalBasis"):
        means, betas = module.tensor("means"), module.tensor("betas")
        if module.name == "ExtendedExpNormalBasis":
            start = module.number("internal_cutoff_lower")
        else:
            start = module.child("cutoff").number("cutoff_lower")
        basis = {
            "kind": "exponential_normal",
            "size": means.data.size,
            "alpha": module.number("alpha"),
            "start": start,
        }
        return basis, {"basis.means": means, "basis.betas": betas}
    if module.name == "GaussianBasis":
        offset, coefficient = module.tensor("offset"), module.tensor("coeff").float64()
        if (coefficient >= 0).any():
            raise ConvertError(f"{module.label}: its coefficients are not negative")
        widths = np.broadcast_to(np.sqrt(-0.5 / coefficient), offset.shape)
        return {"kind": "gaussian", "size": offset.data.size}, {
            "basis.centers": offset,
            "basis.widths": Tensor("F64", np.ascontiguousarray(widths)),
        }
    raise ConvertError(
        f"its radial basis {module.path} is not supported; ExpNormalBasis, ExtendedExpNormalBasis and GaussianBasis are"
    )


def _envelope(module: Module) -> dict[str, Any]:
    if module.name == "IdentityCutoff":
        return {"kind": "none"}
    cutoff = module.number("cutoff_upper")
    if module.name == "CosineCutoff":
        lower = module.number("cutoff_lower")
        return {"kind": "cosine", "cutoff": cutoff, **({"lower": lower} if lower > 0 else {})}
    if module.name == "ShiftedCosineCutoff":
        return {"kind": "shifted_cosine", "cutoff": cutoff, "width": module.number("smooth_width")}
    raise ConvertError(
        f"its cutoff function {module.path} is not supported; CosineCutoff, ShiftedCosineCutoff and IdentityCutoff are"
    )


def _masses(structures: list[Structure], notes: list[str]) -> dict[int, float]:
    """Mass of each type, where all structures agree on one."""
    masses: dict[int, set[float]] = {}
    for structure in structures:
        if structure.masses is not None:
            for kind, mass in zip(structure.types.tolist(), structure.masses.tolist(), strict=True):
                masses.setdefault(kind, set()).add(mass)
    result = {}
    for kind, values in masses.items():
        if max(values) - min(values) <= 1e-5 * max(values) and min(values) > 0:
            result[kind] = min(values)
        else:
            notes.append(f"beads of type {kind} have different masses in the structures: none is kept")
    return result


def _excluded_bonds(structures: list[Structure], options: Options, network: bool) -> int:
    if options.excluded_bonds is not None:
        return options.excluded_bonds
    if network and any(structure.excludes_pairs for structure in structures):
        raise ConvertError(
            "its structures exclude pairs from the network (exc_pair_index): say with --excluded-bonds N "
            "up to how many bonds apart they are"
        )
    return 0
