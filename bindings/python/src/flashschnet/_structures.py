"""Structures as callers give them, as the library reads them: one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arrays import floats, integers, invalid, pairs, pointer, switches
from ._library import struct

__all__ = ["Structures", "batch", "single", "untyped"]


class Structures:
    """The arrays of one or several structures, and the struct that tells the library of them."""

    def __init__(
        self,
        offsets: NDArray[np.uintp],
        positions: NDArray[np.float64],
        types: NDArray[np.int32] | None,
        cells: NDArray[np.float64] | None,
        periodic: NDArray[np.bool_] | None,
        excluded: NDArray[np.int32] | None,
        topologies: NDArray[np.int32] | None = None,
    ) -> None:
        self.offsets = offsets
        self.struct = struct("fsn_structures")
        self.struct.structures = len(offsets) - 1
        self.struct.atoms = len(positions)
        self.struct.excluded_pairs = 0 if excluded is None else len(excluded)
        # A struct of C does not keep alive what it points to.
        self._memory = []
        arrays: dict[str, NDArray[Any] | None] = {
            "offsets": offsets,
            "positions": positions,
            "types": types,
            "cells": cells,
            "periodic": periodic,
            "excluded": excluded,
            "topologies": topologies,
        }
        for name, array in arrays.items():
            memory = pointer(array)
            self._memory.append(memory)
            setattr(self.struct, name, memory)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def atoms(self) -> int:
        """Number of atoms of all structures together."""
        return int(self.struct.atoms)

    def slices(self) -> Iterable[slice]:
        """The atoms of each structure."""
        bounds = self.offsets.tolist()
        return map(slice, bounds[:-1], bounds[1:])


def single(
    positions: ArrayLike,
    types: ArrayLike,
    cell: ArrayLike | None,
    pbc: ArrayLike | None,
    excluded: ArrayLike | None = None,
    topology: int | None = None,
) -> Structures:
    """One structure; its arrays are not copied if they have the library's types and layout."""
    where = floats(positions, "positions", "atoms", 3)
    number = None if topology is None else integers([topology], "topology", 1)
    return _single(where, _types(types, len(where), ""), cell, pbc, excluded, number)


def untyped(positions: ArrayLike, cell: ArrayLike | None, pbc: ArrayLike | None) -> Structures:
    """One structure, for what does not look at types."""
    return _single(floats(positions, "positions", "atoms", 3), None, cell, pbc, None)


def _single(
    positions: NDArray[np.float64],
    types: NDArray[np.int32] | None,
    cell: ArrayLike | None,
    pbc: ArrayLike | None,
    excluded: ArrayLike | None,
    topologies: NDArray[np.int32] | None = None,
) -> Structures:
    return Structures(
        np.array([0, len(positions)], np.uintp),
        positions,
        types,
        None if cell is None else floats(cell, "cell", 3, 3),
        None if pbc is None else switches(pbc, "pbc"),
        None if excluded is None else pairs(excluded, "excluded"),
        topologies,
    )


def batch(
    positions: Sequence[ArrayLike],
    types: Sequence[ArrayLike] | ArrayLike,
    cells: Sequence[ArrayLike | None] | ArrayLike | None,
    pbc: Sequence[ArrayLike] | ArrayLike | None,
    excluded: Sequence[ArrayLike] | ArrayLike | None,
    topologies: ArrayLike | None = None,
) -> Structures:
    """Several structures; what is given once holds for each."""
    try:
        count = len(positions)
    except TypeError:
        raise TypeError("positions must be a sequence of arrays, one a structure") from None
    where = [floats(each, f"positions[{s}]", "atoms", 3) for s, each in enumerate(positions)]
    what = [_types(each, len(where[s]), f"[{s}]") for s, each in enumerate(_each(types, 1, count, "types"))]
    sizes = [len(each) for each in where]
    offsets = np.zeros(count + 1, np.uintp)
    np.cumsum(sizes, out=offsets[1:])
    vectors, periodic = _cells(cells, pbc, count)
    return Structures(
        offsets,
        _joined(where, np.empty((0, 3))),
        _joined(what, np.empty(0, np.int32)),
        vectors,
        periodic,
        _excluded(excluded, offsets),
        _topologies(topologies, count),
    )


def _topologies(topologies: ArrayLike | None, count: int) -> NDArray[np.int32] | None:
    if topologies is None:
        return None
    numbers = integers(
        np.broadcast_to(topologies, count) if np.ndim(topologies) == 0 else topologies, "topologies", "structures"
    )
    if len(numbers) != count:
        raise invalid(f"{len(numbers)} topologies for {count} structures")
    return numbers


def _joined(arrays: list[NDArray[Any]], empty: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else empty


def _types(types: ArrayLike, atoms: int, which: str) -> NDArray[np.int32]:
    array = integers(types, f"types{which}", "atoms")
    if len(array) != atoms:
        raise invalid(f"{len(array)} types{which} for {atoms} positions{which}")
    return array


def _each(value: Any, depth: int, count: int, name: str) -> Iterable[Any]:
    """One value a structure: ``value`` for all of them unless it is nested deeper than the ``depth`` of one."""
    if value is None or not _deeper(value, depth):
        return repeat(value, count)
    if len(value) != count:
        raise invalid(f"{len(value)} {name} for {count} structures")
    each: Iterable[Any] = value
    return each


def _deeper(value: Any, depth: int) -> bool:
    """Whether ``value`` has more dimensions than ``depth``; lists may be ragged, or hold None for one structure."""
    if isinstance(value, (list, tuple)):
        return depth == 0 or any(_deeper(element, depth - 1) for element in value)
    return value is None or np.ndim(value) > depth


def _cells(cells: Any, pbc: Any, count: int) -> tuple[NDArray[np.float64] | None, NDArray[np.bool_] | None]:
    if cells is None and pbc is None:
        return None, None
    vectors = np.zeros((count, 3, 3))
    periodic = np.zeros((count, 3), np.bool_)
    given = list(_each(cells, 2, count, "cells"))
    for s, each in enumerate(given):
        if each is not None:
            vectors[s] = floats(each, f"cells[{s}]", 3, 3)
            periodic[s] = True
    if pbc is not None:
        # Truth values in a row are directions, not structures, here as everywhere.
        for s, each in enumerate(_each(pbc, 1, count, "pbc")):
            periodic[s] = switches(each, f"pbc[{s}]")
    return (None if all(each is None for each in given) else vectors), periodic


def _excluded(excluded: Any, offsets: NDArray[np.uintp]) -> NDArray[np.int32] | None:
    if excluded is None:
        return None
    count = len(offsets) - 1
    sizes = np.diff(offsets).tolist()
    found = [np.empty((0, 2), np.int32)]
    for s, each in enumerate(_each(excluded, 2, count, "excluded")):
        array = pairs(each, f"excluded[{s}]")
        # Counted over the batch an atom that is not there would be one of the next structure.
        for pair in array[((array < 0) | (array >= sizes[s])).any(axis=1)][:1]:
            raise invalid(f"excluded[{s}] joins atoms {pair[0]} and {pair[1]} of {sizes[s]}")
        found.append(array + np.int32(offsets[s]))
    return np.concatenate(found)
