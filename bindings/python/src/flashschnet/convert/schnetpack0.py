"""SchNetPack 0.x and 1.0: pickled ``AtomisticModel`` objects, and state dictionaries such as schnetkit's."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from .errors import ConvertError
from .model import Layer, Model, Options, check_shape
from .modules import Module, activation_name, as_module, is_module
from .schnet import Block, SchNet
from .tensors import Tensor
from .type_table import element_types

__all__ = ["convert", "recognise"]

_REPRESENTATION = "representation."
_BLOCK = re.compile(r"interactions\.(\d+)\.(.+)")
_LINEAR = re.compile(r"(\d+)\.(weight|bias)")
#: What a block's parts are called; the filter and cutoff networks are registered twice.
_IGNORED = re.compile(r"^(filter_network|cutoff_network)\.")
_REFUSED = {
    "electronic": "ElectronicEmbedding",
    "charge_embedding": "charged embeddings",
    "spin_embedding": "spin embeddings",
    "out_net.1.layers": "elemental readout networks (ElementalAtomwise)",
}


def recognise(payload: Any) -> bool:
    """Whether the file's object is one of these."""
    if is_module(payload):
        module = as_module(payload)
        return module.package == "schnetpack" and module.find("representation") is not None and not _is_version2(module)
    state = _find_state(payload)
    return state is not None and any(".cfconv." in key for key in state)


def convert(payload: Any, options: Options) -> Model:
    """The model in ``payload``."""
    notes: list[str] = []
    if is_module(payload):
        module = as_module(payload)
        facts = _facts_of_module(module)
        state = module.state_dict()
        framework = "SchNetPack 0.x"
    else:
        found = _find_state(payload)
        if found is None:
            raise ConvertError("the file holds no state dictionary of a SchNetPack 0.x model")
        state = found
        facts = _facts_of_config(payload)
        if not facts:
            notes.append(
                "a state dictionary says nothing about cutoff function, activation and aggregation: SchNetPack's "
                "defaults were taken (cosine, shifted softplus, sum)"
            )
        framework = "SchNetPack 0.x (state dictionary)"
    return _Converter(state, facts, options, framework, notes).model()


def _is_version2(module: Module) -> bool:
    return module.name == "NeuralNetworkPotential" or module.find("postprocessors") is not None


def _find_state(payload: Any) -> dict[str, Tensor] | None:
    """The state dictionary in a file: the file itself, or its entry ``state`` or ``state_dict``."""
    if not isinstance(payload, dict):
        return None
    for candidate in (payload.get("state"), payload.get("state_dict"), payload):
        if isinstance(candidate, dict) and candidate and all(isinstance(v, Tensor) for v in candidate.values()):
            return {str(key): value for key, value in candidate.items()}
    return None


def _facts_of_config(payload: dict[Any, Any]) -> dict[str, Any]:
    """What a schnetkit file says beside the weights."""
    config = payload.get("config", payload.get("spec"))
    while isinstance(config, dict) and "representation" not in config and len(config) == 1:
        config = next(iter(config.values()))
    if not isinstance(config, dict):
        return {}
    representation = config.get("representation")
    facts = dict(representation) if isinstance(representation, dict) else {}
    for name in ("coupled_interactions", "normalize_filter"):
        facts.setdefault(name, False)
    facts["pooling"] = "sum"
    # The configuration leaves these at SchNetPack's defaults.
    facts.setdefault("envelope", "cosine")
    facts["centered"] = False
    return facts


def _facts_of_module(module: Module) -> dict[str, Any]:
    """What the objects of a pickled model say beside the weights; everything that is not SchNet is refused."""
    representation = module.child("representation")
    if representation.name != "SchNet":
        raise ConvertError(
            f"its representation is {representation.path}, which is not SchNet; only SchNet models are supported"
        )
    outputs = module.child("output_modules")
    output = outputs
    if outputs.name == "ModuleList":
        parts = list(outputs.children().values())
        if len(parts) != 1:
            names = ", ".join(part.name for part in parts) or "none"
            raise ConvertError(f"its output modules are {names}; one Atomwise is supported")
        output = parts[0]
    if output.name not in ("Atomwise", "Energy"):
        raise ConvertError(f"its output module {output.path} is not supported; Atomwise is")
    facts: dict[str, Any] = {}
    pool = output.find("atom_pool")
    facts["pooling"] = "mean" if pool is not None and pool.flag("average", pool.flag("mean")) else "sum"
    expansion = representation.child("distance_expansion")
    if expansion.name != "GaussianSmearing":
        raise ConvertError(f"its radial basis {expansion.path} is not supported; GaussianSmearing is")
    facts["centered"] = expansion.flag("centered")
    if representation.flag("charged_systems"):
        raise ConvertError("its representation adds a charge embedding (charged_systems), which is not supported")
    blocks = list(representation.child("interactions").children().values())
    facts["coupled_interactions"] = len(blocks) > 1 and len({id(block.instance) for block in blocks}) == 1
    kinds, activations, means = set(), set(), set()
    for block in blocks:
        cfconv = block.child("cfconv")
        cutoff = cfconv.find("cutoff_network")
        kinds.add("none" if cutoff is None else cutoff.name)
        aggregate = cfconv.find("agg")
        means.add(aggregate is not None and aggregate.flag("average", aggregate.flag("mean")))
        activations.add(_activation(cfconv.child("f2out")))
        layers = list(cfconv.child("filter_network").children().values())
        activations.update(_activation(layer) for layer in layers[:-1])
        for layer in (layers[-1], block.child("dense")):
            if _activation(layer) != "identity":
                raise ConvertError(f"{layer.label} is followed by an activation, which is not supported")
    if len(kinds) != 1 or len(means) != 1 or len(activations) != 1:
        raise ConvertError("its interaction blocks differ in cutoff function, activation or aggregation")
    envelopes = {"CosineCutoff": "cosine", "MollifierCutoff": "mollifier", "HardCutoff": "none", "none": "none"}
    kind = kinds.pop()
    if kind not in envelopes:
        raise ConvertError(f"its cutoff function {kind} is not supported")
    facts["envelope"] = envelopes[kind]
    facts["normalize_filter"] = means.pop()
    facts["activation"] = activations.pop()
    facts["readout_activation"] = _readout_activation(output)
    cutoff_value = representation.attribute("cutoff")
    if isinstance(cutoff_value, (int, float)):
        facts["cutoff"] = float(cutoff_value)
    return facts


def _activation(layer: Module) -> str:
    part = layer.find("activation")
    return activation_name(part if part is not None else layer.attribute("activation"), layer.label)


def _readout_activation(output: Module) -> str | None:
    names = {_activation(part) for part in output.child("out_net").walk() if part.name == "Dense"} - {"identity"}
    if len(names) > 1:
        raise ConvertError(f"its readout mixes the activations {', '.join(sorted(names))}")
    return names.pop() if names else None


class _Converter:
    def __init__(
        self, state: dict[str, Tensor], facts: dict[str, Any], options: Options, framework: str, notes: list[str]
    ) -> None:
        self._facts = facts
        self._options = options
        self._framework = framework
        self._notes = notes
        for part, text in _REFUSED.items():
            if any(part in key for key in state):
                raise ConvertError(f"the model uses {text}, which are not supported")
        # A file may hold a bare representation's or a whole model's state.
        prefix = _REPRESENTATION if any(key.startswith(_REPRESENTATION) for key in state) else ""
        self._representation = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
        outputs = {key: value for key, value in state.items() if key.startswith("output_modules")}
        self._output = {re.sub(r"^output_modules\.(0\.)?", "", key): value for key, value in outputs.items()}
        if any(re.match(r"output_modules\.[1-9]", key) for key in state):
            raise ConvertError("the model has several output modules; one Atomwise is supported")
        if not self._output:
            raise ConvertError("the file holds a representation without an output module, so it gives no energy")
        self._known: set[str] = set()

    def model(self) -> Model:
        embedding = self._take("embedding.weight")
        types = element_types(len(embedding.data), self._options.types)
        blocks, shared = self._blocks()
        basis, basis_tensors = self._basis()
        cutoff = self._cutoff(blocks)
        scale, shift = self._standardize()
        references = self._output.get("atomref.weight")
        activation = str(self._facts.get("activation", "shifted_softplus"))
        if self._facts.get("normalize_filter"):
            self._notes.append(
                "messages are averaged over the neighbours within the cutoff; a SchNetPack environment that lists "
                "more neighbours than that would have divided by more"
            )
        schnet = SchNet(
            embedding=embedding,
            cutoff=cutoff,
            activation=activation,
            readout_activation=self._facts.get("readout_activation"),
            basis=basis,
            basis_tensors=basis_tensors,
            basis_envelope={"kind": "none"},
            filter_envelope=_envelope(str(self._facts.get("envelope", "cosine")), cutoff),
            blocks=blocks,
            shared_blocks=shared,
            readout=self._readout(),
            aggregation="mean" if self._facts.get("normalize_filter") else "sum",
            energy_aggregation=str(self._facts.get("pooling", "sum")),
            scale=scale,
            shift=shift,
            reference_energies=references,
        )
        network, tensors = schnet.write([int(entry["index"]) for entry in types])
        units = self._options.units
        if units is None:
            units = ("Angstrom", "eV")
            self._notes.append("SchNetPack files carry no units: Angstrom and eV were assumed")
        return Model(self._framework, units, types, network, tensors, notes=self._notes)

    def _take(self, name: str) -> Tensor:
        try:
            return self._representation[name]
        except KeyError:
            raise ConvertError(f"the model has no {name!r}, so it is not a SchNet of SchNetPack 0.x") from None

    def _blocks(self) -> tuple[list[Block], bool]:
        parts: dict[int, dict[str, Tensor]] = {}
        for key, value in self._representation.items():
            if match := _BLOCK.fullmatch(key):
                parts.setdefault(int(match[1]), {})[match[2]] = value
        if sorted(parts) != list(range(len(parts))) or not parts:
            raise ConvertError("the state dictionary has no interaction blocks 0, 1, ...")
        declared = self._facts.get("n_interactions")
        if isinstance(declared, int) and declared != len(parts):
            raise ConvertError(
                f"its configuration says {declared} interaction blocks, its weights are for {len(parts)}"
            )
        blocks = []
        for number in range(len(parts)):
            part = {key: value for key, value in parts[number].items() if not _IGNORED.match(key)}
            needed = {"cfconv.in2f.weight", "cfconv.f2out.weight", "cfconv.f2out.bias", "dense.weight", "dense.bias"}
            extra = {k for k in part if not k.startswith(("cfconv.filter_network.", "cfconv.cutoff_network."))} - needed
            if missing := needed - set(part):
                raise ConvertError(f"block {number} has no {sorted(missing)[0]!r}")
            if extra:
                raise ConvertError(f"block {number} has {sorted(extra)[0]!r}, which a SchNet of SchNetPack 0.x has not")
            blocks.append(
                Block(
                    in2f=part["cfconv.in2f.weight"],
                    filter=_layers(part, "cfconv.filter_network."),
                    f2out=Layer(part["cfconv.f2out.weight"], part["cfconv.f2out.bias"]),
                    dense=Layer(part["dense.weight"], part["dense.bias"]),
                )
            )
        places = {tuple(parts[b][k].place for k in sorted(parts[b])) for b in parts}
        shared = len(parts) > 1 and len(places) == 1
        return blocks, shared

    def _basis(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        for widths in ("distance_expansion.width", "distance_expansion.widths"):
            if widths in self._representation:
                break
        width, offsets = self._take(widths), self._take("distance_expansion.offsets")
        size = offsets.data.size
        if self._facts.get("centered"):
            # Centred Gaussians keep their widths where the others keep their centres.
            width, offsets = offsets, Tensor(offsets.dtype, np.zeros_like(offsets.data))
        check_shape(offsets, (size,), "the radial basis's centres")
        if (width.float64() <= 0).any():
            raise ConvertError("the radial basis has a width that is not positive")
        return {"kind": "gaussian", "size": size}, {
            "basis.centers": offsets,
            "basis.widths": check_shape(width, (size,), "the radial basis's widths"),
        }

    def _cutoff(self, blocks: list[Block]) -> float:
        values = {
            tensor.item()
            for key, tensor in self._representation.items()
            if key.startswith("interactions.") and key.endswith("cutoff_network.cutoff")
        }
        if len(values) > 1:
            raise ConvertError(f"its {len(blocks)} blocks have different cutoffs: {sorted(values)}")
        stated = self._facts.get("cutoff")
        if isinstance(stated, (int, float)):
            values.add(float(stated))
        if len(values) > 1 and max(values) - min(values) > 1e-6 * max(values):
            raise ConvertError(f"the file gives different cutoffs: {sorted(values)}")
        given = self._options.cutoff
        if not values and given is None:
            raise ConvertError("the state dictionary carries no cutoff: give it with --cutoff")
        # The weights' own number is the one that was computed with: it stands first.
        cutoff = next(iter(values)) if values else given
        assert cutoff is not None
        if given is not None and abs(given - cutoff) > 1e-6 * cutoff:
            raise ConvertError(f"--cutoff {given:g} contradicts the file, which says {cutoff:g}")
        return cutoff

    def _standardize(self) -> tuple[float, float]:
        def number(key: str, default: float) -> float:
            tensor = self._output.get(key)
            return default if tensor is None else tensor.item()

        return number("standardize.stddev", 1.0), number("standardize.mean", 0.0)

    def _readout(self) -> list[Layer]:
        prefix = "out_net.1.out_net."
        layers = _layers(self._output, prefix)
        known = {"standardize.mean", "standardize.stddev", "atomref.weight"}
        extra = {key for key in self._output if not key.startswith(prefix)} - known
        if extra:
            raise ConvertError(f"the output module has {sorted(extra)[0]!r}, which an Atomwise has not")
        return layers


def _layers(state: dict[str, Tensor], prefix: str) -> list[Layer]:
    """The linear layers 0, 1, … under ``prefix``."""
    weights: dict[int, Tensor] = {}
    biases: dict[int, Tensor] = {}
    for key, value in state.items():
        if not key.startswith(prefix):
            continue
        match = _LINEAR.fullmatch(key[len(prefix) :])
        if match is None:
            raise ConvertError(f"{key!r} is not the weight or bias of a linear layer")
        (weights if match[2] == "weight" else biases)[int(match[1])] = value
    if not weights or sorted(weights) != list(range(len(weights))) or not set(biases) <= set(weights):
        raise ConvertError(f"the layers {prefix}0, {prefix}1, ... are not complete")
    return [Layer(weights[number], biases.get(number)) for number in sorted(weights)]


def _envelope(kind: str, cutoff: float) -> dict[str, Any]:
    return {"kind": "none"} if kind == "none" else {"kind": kind, "cutoff": cutoff}
