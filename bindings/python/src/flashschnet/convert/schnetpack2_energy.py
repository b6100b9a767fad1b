"""How a SchNetPack 2 model makes its energy: output modules and postprocessors."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ConvertError
from .model import float_tensor
from .modules import Module, activation_name
from .tensors import Tensor

__all__ = ["EnergyRule", "energy_rule"]

_DERIVATIVES = ("Forces", "Response")
_RESPONSES = frozenset({"forces", "stress", "hessian"})
#: Output modules that only read the representation and leave the energy alone.
_BYSTANDERS = ("DipoleMoment", "Polarizability", "Atomwise")
_CASTS = ("CastTo64", "CastTo32", "CastMap")


@dataclass
class EnergyRule:
    """E = Σ or mean of (scale · readout(x) + shift + reference)."""

    readout: list[Module]
    activation: str | None
    aggregation: str
    scale: float = 1.0
    shift: float = 0.0
    references: Tensor | None = None


def energy_rule(module: Module, key: str | None, notes: list[str]) -> EnergyRule:
    """The rule of the output ``key``, or of the only one that can be the energy."""
    outputs = list(module.child("output_modules").children().values())
    key, head = _energy_head(outputs, key)
    for part in outputs:
        if part.instance is head.instance or part.name in _DERIVATIVES:
            continue
        if part.name == "Aggregation":
            continue
        if part.name not in _BYSTANDERS:
            raise ConvertError(f"its output module {part.path} is not supported")
        notes.append(f"output {part.name} {part.text('output_key') or part.text('dipole_key')!r} is left out")
    for part in outputs:
        if part.name == "Response":
            extra = [name for name in part.texts("response_properties") if name not in _RESPONSES]
            if extra:
                raise ConvertError(f"its output module {part.path} computes {', '.join(extra)}, which is not supported")
    modes = {"sum": "sum", "avg": "mean"}
    mode = head.text("aggregation_mode", "None")
    if mode not in modes:
        raise ConvertError(f"its output {key!r} is aggregated by {mode}, which is not supported; sum and avg are")
    layers = list(head.child("outnet").children().values())
    if head.child("outnet").name == "Dense":
        layers = [head.child("outnet")]
    activation = _readout_activation(layers)
    rule = EnergyRule(layers, activation, modes[mode])
    _postprocess(module, key, rule, notes)
    return rule


def _energy_head(outputs: list[Module], key: str | None) -> tuple[str, Module]:
    """The name of the energy and the Atomwise module that makes it."""
    heads = {part.text("output_key"): part for part in outputs if part.name == "Atomwise"}
    if not heads:
        names = ", ".join(part.name for part in outputs) or "none"
        raise ConvertError(f"none of its output modules ({names}) gives an energy; Atomwise does")
    if key is None:
        wanted = {part.text("energy_key") for part in outputs if part.name in _DERIVATIVES}
        candidates = wanted or set(heads)
        if len(candidates) > 1:
            candidates &= {"energy"}
        if len(candidates) != 1:
            raise ConvertError(f"it predicts {', '.join(sorted(heads))}: say with --property which is the energy")
        key = candidates.pop()
    source = key
    for part in outputs:
        if part.name == "Aggregation" and part.text("output_key") == key:
            keys = part.texts("keys")
            if len(keys) != 1 or keys[0] not in heads:
                others = [name for name in keys if name not in heads]
                raise ConvertError(
                    f"its energy {key!r} is a sum of several outputs"
                    + (f" ({', '.join(others)} beside the network's)" if others else "")
                    + ", which is not supported"
                )
            source = keys[0]
    if source not in heads:
        raise ConvertError(f"no Atomwise module of the file predicts {key!r}; it predicts {', '.join(sorted(heads))}")
    return key, heads[source]


def _readout_activation(layers: list[Module]) -> str | None:
    names = []
    for layer in layers:
        part = layer.find("activation")
        names.append(activation_name(part if part is not None else layer.attribute("activation"), layer.label))
    if not names or names[-1] != "identity":
        raise ConvertError("its readout ends with an activation, which is not supported")
    inner = set(names[:-1])
    if len(inner) > 1 or "identity" in inner:
        raise ConvertError(f"its readout mixes the activations {', '.join(sorted(inner))}")
    return next(iter(inner), None)


def _postprocess(module: Module, key: str, rule: EnergyRule, notes: list[str]) -> None:
    """Fold the postprocessors that change the energy into the rule, in their order."""
    found = module.find("postprocessors")
    parts = list(found.children().values()) if found is not None else []
    if parts and not module.flag("do_postprocessing", True):
        names = ", ".join(part.name for part in parts)
        notes.append(f"the file switches its postprocessors off ({names}), and so they are left out")
        return
    scaled: dict[str, float] = {}
    for part in parts:
        if part.name in _CASTS:
            continue
        if part.name == "AddOffsets":
            if part.text("_property") == key:
                _add_offsets(part, rule)
        elif part.name == "ScaleProperty":
            source, target = part.text("input_key"), part.text("output_key")
            factor = part.number("scale")
            scaled[target] = scaled.get(target, 1.0) * factor
            if key in (source, target):
                if source != target:
                    raise ConvertError(f"its postprocessor ScaleProperty turns {source!r} into {target!r}")
                rule.scale *= factor
                rule.shift *= factor
                if rule.references is not None:
                    rule.references = float_tensor(rule.references.float64() * factor)
        else:
            raise ConvertError(f"its postprocessor {part.path} is not supported")
    for part in module.child("output_modules").children().values():
        if part.name == "Forces" and scaled.get(key, 1.0) != scaled.get(part.text("force_key"), 1.0):
            notes.append(
                "SchNetPack scales energy and forces differently; here forces are the derivative of the energy"
            )


def _add_offsets(part: Module, rule: EnergyRule) -> None:
    extensive = part.flag("is_extensive", True)
    if extensive != (rule.aggregation == "sum"):
        kind = "extensive" if extensive else "intensive"
        raise ConvertError(
            f"its postprocessor AddOffsets is {kind}, but the energy is aggregated by "
            f"{'sum' if rule.aggregation == 'sum' else 'avg'}; that is not supported"
        )
    if part.flag("add_mean"):
        rule.shift += part.number("mean")
    if part.flag("add_atomrefs"):
        references = part.tensor("atomref")
        if rule.references is None:
            rule.references = references.view(references.data.reshape(-1))
        else:
            both = rule.references.float64(), references.float64().reshape(-1)
            size = min(len(values) for values in both)
            rule.references = float_tensor(both[0][:size] + both[1][:size])
