"""Small models with random weights, and model files taken apart and put together again, with faults if wished."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from flashschnet.convert import writer
from flashschnet.convert.model import Model, float_tensor, int_tensor

TYPES = {"H": 1, "C": 6, "O": 8}

Description = dict[str, Any]
Tensors = dict[str, tuple[str, list[int], bytes]]


def write_random(path: Path, *, blocks: int = 2, seed: int = 0, units: tuple[str, str] = ("Angstrom", "eV"),
                 excluded_bonds: int = 0, scale: float = 1.0) -> Path:  # fmt: skip
    """A SchNet of two blocks with random weights and a cutoff of 4."""
    random = np.random.default_rng(seed)
    features, filters, basis, cutoff = 12, 10, 9, 4.0
    tensors = {
        "embedding": random.normal(size=(len(TYPES), features)),
        "basis.centers": np.linspace(0.0, cutoff, basis),
        "basis.widths": np.full(basis, cutoff / (basis - 1)),
        "reference_energies": random.normal(size=len(TYPES)),
    }

    def layers(prefix: str, *widths: int) -> None:
        for number, (inputs, outputs) in enumerate(pairwise(widths)):
            tensors[f"{prefix}.{number}.weight"] = random.normal(size=(outputs, inputs)) / np.sqrt(inputs)
            tensors[f"{prefix}.{number}.bias"] = 0.1 * random.normal(size=outputs)

    for block in range(blocks):
        prefix = f"blocks.{block}"
        tensors[f"{prefix}.in2f.weight"] = random.normal(size=(filters, features)) / np.sqrt(features)
        layers(f"{prefix}.filter", basis, filters, filters)
        for name, inputs in (("f2out", filters), ("dense", features)):
            tensors[f"{prefix}.{name}.weight"] = random.normal(size=(features, inputs)) / np.sqrt(inputs)
            tensors[f"{prefix}.{name}.bias"] = 0.1 * random.normal(size=features)
    layers("readout", features, 6, 1)
    network = {
        "cutoff": cutoff,
        "features": features,
        "filters": filters,
        "blocks": blocks,
        "activation": "shifted_softplus",
        "basis": {"kind": "gaussian", "size": basis},
        "basis_envelope": {"kind": "none"},
        "filter_envelope": {"kind": "cosine"},
        "filter_network": {"hidden": [filters], "bias": [True, True]},
        "readout": {"hidden": [6], "bias": [True, True]},
        "scale": scale,
        "shift": -0.5,
        "reference_energies": True,
    }
    types = [
        {"index": index, "name": name, "atomic_number": index, "mass": 2.0 * index} for name, index in TYPES.items()
    ]
    model = Model("random", units, types, network, {name: float_tensor(values) for name, values in tensors.items()},
                  excluded_bonds=excluded_bonds)  # fmt: skip
    writer.write(model, {"framework": "random"}, path)
    return path


def write_bonds(path: Path) -> Path:
    """Bonds and repulsion by types, one molecule, no network."""
    types = [{"index": t, "name": n, "atomic_number": None, "mass": 12.0} for t, n in ((1, "A"), (2, "B"))]
    tensors = {
        "priors.bonds.k": float_tensor([1.0, 2.0, 2.0]),
        "priors.bonds.x0": float_tensor([1.0, 1.5, 1.5]),
        "priors.bonds.v0": float_tensor([0.0, 0.25, 0.25]),
        "priors.bonds.types": int_tensor([[1, 1], [1, 2], [2, 1]]),
        "priors.bonds.atoms": int_tensor([[0, 1], [1, 2]]),
        "priors.bonds.offsets": int_tensor([0, 2]),
        "priors.far.sigma": float_tensor([2.0]),
        "priors.far.types": int_tensor([[1, 2]]),
        "priors.far.atoms": int_tensor([[0, 2]]),
        "priors.far.offsets": int_tensor([0, 1]),
        "structures.types": int_tensor([1, 1, 2]),
    }
    priors = [
        {"name": "bonds", "kind": "harmonic_bond", "lookup": "per_type", "terms": True, "count": 3},
        {"name": "far", "kind": "repulsion", "lookup": "per_type", "terms": True, "count": 1},
    ]
    model = Model("by hand", ("Angstrom", "kcal/mol"), types, None, tensors, priors=priors,
                  structures=[{"name": "bent", "atoms": 3}])  # fmt: skip
    writer.write(model, {}, path)
    return path


def parse(data: bytes) -> tuple[Description, Tensors]:
    """The description and the tensors of a model file."""
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    metadata = header.pop("__metadata__")
    tensors = {name: (t["dtype"], t["shape"], body[slice(*t["data_offsets"])]) for name, t in header.items()}
    return json.loads(metadata["flashschnet"]), tensors


def build(description: Description | str, tensors: Tensors, crc: str | None = None, **metadata: str) -> bytes:
    """A model file of its parts; ``crc`` is what it says its description's is, the right one by default."""
    text = description if isinstance(description, str) else json.dumps(description)
    header: dict[str, Any] = {
        "__metadata__": {"flashschnet": text, "flashschnet_crc32": crc or crc32(text.encode()), **metadata}
    }
    position = 0
    for name, (dtype, shape, blob) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [position, position + len(blob)]}
        position += len(blob)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + b"".join(blob for _, _, blob in tensors.values())


def rebuilt(data: bytes, change: Callable[[Description, Tensors], None], *, sums: bool = True) -> bytes:
    """A model file after a ``change`` to its parts, its tensors' checksums right again unless told otherwise."""
    description, tensors = parse(data)
    change(description, tensors)
    if sums:
        description["checksums"] = {name: crc32(blob) for name, (_, _, blob) in tensors.items()}
    return build(description, tensors)


def without_priors(description: Description, tensors: Tensors) -> None:
    """Leave the network of a file only."""
    description["priors"], description["structures"] = [], []
    for name in list(_prior_tensors(tensors)):
        del tensors[name]


def _prior_tensors(tensors: Tensors) -> Iterator[str]:
    return (name for name in tensors if name.startswith(("priors.", "structures.")))


def crc32(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}"
