"""The priors of a model file, each term with its parameters."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ExportError

__all__ = ["ATOMS", "Prior", "Term", "read_priors"]

#: Atoms of a term, by kind.
ATOMS = {
    "harmonic_bond": 2,
    "harmonic_angle_cos": 3,
    "harmonic_angle": 3,
    "quartic_angle": 3,
    "restricted_bending": 3,
    "fourier_dihedral": 4,
    "harmonic_improper": 4,
    "repulsion": 2,
    "exponential_repulsion": 2,
}
_NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}


@dataclass(frozen=True)
class Term:
    """Atoms of a molecule, counted from 0, and the parameters of what joins them: numbers, or lists of them."""

    atoms: tuple[int, ...]
    parameters: dict[str, tuple[float, ...]]

    def __getitem__(self, name: str) -> float:
        return self.parameters[name][0]


@dataclass(frozen=True)
class Prior:
    """One prior of a molecule."""

    name: str
    kind: str
    cutoff: float | None
    terms: list[Term]


def read_priors(path: Path, description: dict[str, Any], types: NDArray[np.int64], topology: str | None) -> list[Prior]:
    """The priors of a molecule whose atoms have these ``types``: the file's, called ``topology`` or found by the types.

    The file has been checked by the library, which gave the ``description``.
    """
    tensors = _tensors(path)
    number = _topology(tensors, description, types, topology)
    return [_prior(tensors, prior, types, number) for prior in description["priors"]]


def _tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of priors and structures."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    tensors: dict[str, NDArray[Any]] = {}
    for name, tensor in header.items():
        if not name.startswith(("priors.", "structures.")):
            continue
        first, last = (8 + length + offset for offset in tensor["data_offsets"])
        blob = data[first:last]
        if tensor["dtype"] == "BF16":  # the upper half of a float32
            numbers: NDArray[Any] = (np.frombuffer(blob, "<u2").astype("<u4") << 16).view("<f4")
        else:
            numbers = np.frombuffer(blob, _NUMBERS[tensor["dtype"]])
        tensors[name] = numbers.reshape(tensor["shape"])
    return tensors


def _topology(
    tensors: dict[str, NDArray[Any]], description: dict[str, Any], types: NDArray[np.int64], name: str | None
) -> int:
    """The number of the molecule in the file."""
    names = [structure["name"] for structure in description["structures"]]
    if not names:
        raise ExportError("the model file has no molecules with lists of terms (flashschnet convert --terms)")
    ends = np.cumsum([structure["atoms"] for structure in description["structures"]])
    each = np.split(tensors["structures.types"], ends[:-1])
    fitting = [number for number, of_file in enumerate(each) if np.array_equal(of_file, types)]
    if name is not None:
        fitting = [number for number in fitting if names[number] == name]
    if not fitting:
        asked = f" called {name!r}" if name is not None else ""
        raise ExportError(
            f"no molecule of the model file{asked} has the types of these atoms; it has {', '.join(names)}"
        )
    lists = [
        {prior["name"]: _rows(tensors, prior["name"], number)[1].tolist() for prior in description["priors"]}
        for number in fitting
    ]
    if any(other != lists[0] for other in lists[1:]):
        found = ", ".join(names[number] for number in fitting)
        raise ExportError(f"molecules with these types differ in their terms: say which one with --topology ({found})")
    return fitting[0]


def _rows(tensors: dict[str, NDArray[Any]], name: str, number: int) -> tuple[int, NDArray[Any]]:
    """The first row of a molecule in a prior's list of terms, and the atoms of its terms."""
    if f"priors.{name}.offsets" not in tensors:
        raise ExportError(f"prior {name} has no list of terms in the model file")
    first, last = tensors[f"priors.{name}.offsets"][number : number + 2]
    return int(first), tensors[f"priors.{name}.atoms"][first:last]


def _prior(
    tensors: dict[str, NDArray[Any]], description: dict[str, Any], types: NDArray[np.int64], number: int
) -> Prior:
    name = description["name"]
    prefix = f"priors.{name}."
    first, atoms = _rows(tensors, name, number)
    if description["lookup"] == "per_type":
        rows = {tuple(row): place for place, row in enumerate(tensors[f"{prefix}types"].tolist())}
        places = [rows[tuple(types[row].tolist())] for row in atoms]
    else:
        places = list(range(first, first + len(atoms)))
    parameters = {
        key.removeprefix(prefix): values.astype(float).reshape(description["count"], -1)
        for key, values in tensors.items()
        if key.startswith(prefix) and key.removeprefix(prefix) not in ("types", "atoms", "offsets")
    }
    terms = [
        Term(tuple(row), {key: tuple(values[place].tolist()) for key, values in parameters.items()})
        for row, place in zip(atoms.tolist(), places, strict=True)
    ]
    return Prior(name, description["kind"], description.get("cutoff"), terms)
