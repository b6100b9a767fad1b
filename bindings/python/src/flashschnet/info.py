"""What ``flashschnet info`` prints: a model's description in words."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

__all__ = ["Cost", "cost", "lines"]

_BASES = {"gaussian": "Gaussian", "exponential_normal": "exponential-normal", "bessel": "Bessel"}
_ACTIVATIONS = {"shifted_softplus": "shifted softplus", "tanh": "tanh", "silu": "SiLU"}
_SHOWN = 12


class Cost:
    """Multiply-adds of one energy: per atom, per neighbour with exact filters, per neighbour with tabulated ones."""

    def __init__(self, atom: int, neighbour: int, tabulated: int) -> None:
        self.atom = atom
        self.neighbour = neighbour
        self.tabulated = tabulated


def cost(network: dict[str, Any]) -> Cost:
    """Count the multiply-adds of one evaluation of the energy. Forces take about twice as many again."""
    features, filters, blocks = network["features"], network["filters"], network["blocks"]
    readout = [features, *network["readout"]["hidden"], 1]
    atom = blocks * (2 * features * filters + features * features) + sum(a * b for a, b in pairwise(readout))
    widths = [network["basis"]["size"], *network["filter_network"]["hidden"], filters]
    layers = sum(a * b for a, b in pairwise(widths))
    # The envelope multiplies each filter once, the message multiplies and adds each once.
    # A table takes a polynomial of degree five instead of network and envelope.
    return Cost(atom, blocks * (layers + 2 * filters), blocks * 6 * filters)


def lines(description: dict[str, Any], path: str, parameters: int, neighbours: int) -> list[str]:
    """The description as lines of text."""
    units = description["units"]
    rows = [("file", path), ("units", f"{units['length']}, {units['energy']}; masses in u")]
    rows.append(("types", _types(description["types"])))
    network = description.get("network")
    if network is None:
        rows.append(("network", "none: priors only"))
    else:
        rows.extend(_network(network, units["length"]))
        if description.get("excluded_bonds", 0):
            rows.append(("excluded", f"pairs up to {description['excluded_bonds']} bonds apart"))
    rows.append(("parameters", f"{parameters:,}"))
    if network is not None:
        needs = cost(network)
        total = needs.atom + neighbours * needs.neighbour
        rows.append(
            (
                "cost",
                f"{needs.atom:,} + {needs.neighbour:,} n multiply-adds an atom with n neighbours "
                f"({total:,} for n = {neighbours}; filters from tables: {needs.tabulated:,} n)",
            )
        )
    for prior in description.get("priors", []):
        rows.append(("prior", _prior(prior)))
    structures = description.get("structures", [])
    if structures:
        shown = ", ".join(f"{s['name']} ({s['atoms']} atoms)" for s in structures[:_SHOWN])
        rows.append(("structures", shown + (f", ... {len(structures)} in all" if len(structures) > _SHOWN else "")))
    for key, value in description.get("provenance", {}).items():
        rows.append((key, value))
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {value}" for name, value in rows]


def _types(types: list[dict[str, Any]]) -> str:
    names = [f"{t['name']} ({t['index']})" for t in types[:_SHOWN]]
    return ", ".join(names) + (f", ... {len(types)} in all" if len(types) > _SHOWN else "")


def _network(network: dict[str, Any], length: str) -> list[tuple[str, str]]:
    shared = ", one set of weights for all" if network.get("shared_blocks") else ""
    basis = network["basis"]
    widths = [basis["size"], *network["filter_network"]["hidden"], network["filters"]]
    readout = [network["features"], *network["readout"]["hidden"], 1]
    activation = _ACTIVATIONS[network["activation"]]
    own = network["readout"].get("activation")
    scale, shift = network.get("scale", 1), network.get("shift", 0)
    sign = "-" if shift < 0 else "+"
    energy = f"{network.get('energy_aggregation', 'sum')} over atoms of {scale:g} x readout {sign} {abs(shift):g}"
    if network.get("reference_energies"):
        energy += " + reference energy of the type"
    return [
        (
            "network",
            f"SchNet, {network['blocks']} interaction blocks{shared}, {network['features']} features, "
            f"{network['filters']} filters",
        ),
        ("cutoff", f"{network['cutoff']:g} {length}"),
        ("basis", f"{basis['size']} {_BASES[basis['kind']]} functions, {_envelope(network['basis_envelope'], length)}"),
        ("filters", f"{'-'.join(map(str, widths))}, {_envelope(network['filter_envelope'], length)}"),
        ("activation", activation + (f", {_ACTIVATIONS[own]} in the readout" if own else "")),
        ("messages", f"{network.get('aggregation', 'sum')} over neighbours"),
        ("readout", "-".join(map(str, readout))),
        ("energy", energy),
    ]


def _envelope(envelope: dict[str, Any], length: str) -> str:
    kind = envelope["kind"].replace("_", " ")
    if kind == "none":
        return "no envelope"
    parts = [f"{kind} envelope"]
    if "cutoff" in envelope:
        parts.append(f"to {envelope['cutoff']:g} {length}")
    if envelope.get("lower"):
        parts.append(f"from {envelope['lower']:g}")
    if "width" in envelope:
        parts.append(f"over the last {envelope['width']:g}")
    return " ".join(parts)


def _prior(prior: dict[str, Any]) -> str:
    what = f"{prior['name']}: {prior['kind'].replace('_', ' ')}"
    if prior.get("degrees"):
        what += f" of degree {prior['degrees']}"
    of = "type tuples" if prior["lookup"] == "per_type" else "terms"
    lists = "" if prior["terms"] else ", no term lists"
    return f"{what}, {prior['count']} {of}{lists}"
