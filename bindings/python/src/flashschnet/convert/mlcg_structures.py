"""mlcg's ``AtomicData``: positions, types, masses and term lists of one molecule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import ConvertError
from .tensors import Tensor
from .unpickle import Instance

__all__ = ["MASS_UNIT", "Structure", "structures_of"]

_MAX_STRUCTURES = 10_000
_MAX_ATOMS = 10_000_000
#: mlcg's unit of mass, kcal/mol · ps² / Å², in unified atomic mass units.
MASS_UNIT = 418.4


@dataclass
class Structure:
    """One molecule."""

    name: str
    types: np.ndarray[Any, Any]
    positions: np.ndarray[Any, Any]
    masses: np.ndarray[Any, Any] | None
    #: Term lists by prior: [terms, atoms of a term].
    terms: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    #: [pairs, 2] that are left out of the network's graph.
    excluded: np.ndarray[Any, Any] = field(default_factory=lambda: np.empty((0, 2), np.int64))

    @property
    def excludes_pairs(self) -> bool:
        """Whether pairs are left out of the network's graph."""
        return len(self.excluded) > 0


def structures_of(payload: Any) -> list[Structure]:
    """The structures in a file, in order; their names are made different."""
    stores: list[dict[Any, Any]] = []
    _find_stores(payload, 0, stores)
    structures: list[Structure] = []
    atoms = 0
    for number, store in enumerate(stores):
        structures.append(_structure(store, number))
        atoms += len(structures[-1].types)
        if atoms > _MAX_ATOMS:
            raise ConvertError(f"the file's structures have more than {_MAX_ATOMS} atoms")
    names = [structure.name for structure in structures]
    for number, structure in enumerate(structures):
        if names.count(structure.name) > 1:
            structure.name = f"{structure.name}-{number}"
    return structures


def _find_stores(value: Any, depth: int, stores: list[dict[Any, Any]]) -> None:
    if depth > 2 or not isinstance(value, (list, tuple, Instance)):
        return
    if isinstance(value, (list, tuple)):
        if len(value) > _MAX_STRUCTURES:
            return
        for part in value:
            _find_stores(part, depth + 1, stores)
        if len(stores) > _MAX_STRUCTURES:
            raise ConvertError(f"the file holds more than {_MAX_STRUCTURES} structures")
        return
    if value.cls.name in ("AtomicData", "Data") and isinstance(value.state, dict):
        store = value.state.get("_store")
        if isinstance(store, Instance) and isinstance(store.state, dict):
            mapping = store.state.get("_mapping")
            if isinstance(mapping, dict) and "pos" in mapping and "atom_types" in mapping:
                stores.append(mapping)


def _structure(store: dict[Any, Any], number: int) -> Structure:
    name = store.get("name")
    label = name if isinstance(name, str) and name else f"structure-{number}"
    positions, types = store["pos"], store["atom_types"]
    if not isinstance(positions, Tensor) or not isinstance(types, Tensor):
        raise ConvertError(f"structure {number} has no positions or types")
    kinds = types.integers().reshape(-1)
    if positions.shape != (len(kinds), 3) or not len(kinds):
        raise ConvertError(f"structure {number} has positions of shape {list(positions.shape)} and {len(kinds)} types")
    if (kinds < 0).any():
        raise ConvertError(f"structure {number} has a negative type")
    counts = store.get("n_atoms")
    if isinstance(counts, Tensor) and counts.data.size > 1:
        raise ConvertError("its structures are collated into one batch; save them as a list")
    masses = store.get("masses")
    structure = Structure(label, kinds, positions.float64(), None)
    if isinstance(masses, Tensor):
        if masses.data.size != len(kinds):
            raise ConvertError(f"structure {number} has {masses.data.size} masses and {len(kinds)} atoms")
        # Single precision masses carry seven digits: more would only show the conversion's rounding.
        structure.masses = np.round(masses.float64().reshape(-1) * MASS_UNIT, 5)
    excluded = store.get("exc_pair_index")
    if isinstance(excluded, Tensor) and excluded.data.size:
        structure.excluded = _pairs(excluded, len(kinds), number)
    lists = store.get("neighbor_list")
    if isinstance(lists, dict):
        for prior, entry in lists.items():
            if isinstance(entry, dict) and isinstance(entry.get("index_mapping"), Tensor):
                structure.terms[str(prior)] = _terms(entry, len(kinds), f"structure {number}: list {prior!r}")
    return structure


def _pairs(excluded: Tensor, atoms: int, number: int) -> np.ndarray[Any, Any]:
    pairs = excluded.integers()
    if pairs.ndim != 2 or pairs.shape[0] != 2 or pairs.min() < 0 or pairs.max() >= atoms:
        raise ConvertError(
            f"structure {number}: its excluded pairs (exc_pair_index) are not pairs of its {atoms} atoms"
        )
    return pairs.T


def _terms(entry: dict[Any, Any], atoms: int, where: str) -> np.ndarray[Any, Any]:
    shifts = entry.get("cell_shifts")
    if isinstance(shifts, Tensor) and shifts.data.size and (shifts.float64() != 0).any():
        raise ConvertError(f"{where} reaches into periodic images (cell_shifts), which is not supported")
    mapping: np.ndarray[Any, Any] = entry["index_mapping"].integers()
    if mapping.ndim != 2:
        raise ConvertError(f"{where} has shape {list(mapping.shape)}")
    if mapping.size and (mapping.min() < 0 or mapping.max() >= atoms):
        raise ConvertError(f"{where} names an atom that is not there")
    return mapping.T
