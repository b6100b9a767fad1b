"""The library's neighbour search by itself."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _structures
from ._library import check, ffi, lib, struct

__all__ = ["NeighborList", "neighbor_list"]


class NeighborList(NamedTuple):
    """All directed pairs of a structure, sorted by their first atom.

    The vector of pair p is ``positions[j[p]] + S[p] @ cell - positions[i[p]]``.
    """

    #: (pairs,): first atoms.
    i: NDArray[np.intp]
    #: (pairs,): second atoms.
    j: NDArray[np.intp]
    #: (pairs, 3): how many cells the second atom's image is away, along each lattice vector.
    S: NDArray[np.int32]
    #: (atoms + 1,): pairs of atom a are ``offsets[a]`` to ``offsets[a + 1] - 1``.
    offsets: NDArray[np.intp]


def neighbor_list(
    positions: ArrayLike, cutoff: float, cell: ArrayLike | None = None, pbc: ArrayLike | None = None
) -> NeighborList:
    """All pairs of atoms closer than ``cutoff``, each in both directions, periodic images among them.

    Takes time linear in the number of atoms. May be called from several threads at once.

    Parameters
    ----------
    positions
        (atoms, 3); they need not lie in the cell.
    cutoff
        In the unit of the positions.
    cell
        (3, 3), lattice vectors as rows.
    pbc
        Whether the directions are periodic, one value or three; by default they are if there is a cell.

    Raises
    ------
    InvalidArgument
        A position is not finite, the cutoff not positive, a periodic cell without volume.
    TypeError
        Arrays that are not numbers.
    """
    structures = _structures.untyped(positions, cell, pbc)
    place = ffi.new("fsn_neighbor_list **")
    check(lib.fsn_neighbor_list_new(structures.struct, cutoff, place))
    handle = ffi.gc(place[0], lib.fsn_neighbor_list_free)
    found = struct("fsn_pairs")
    check(lib.fsn_neighbor_list_get(handle, found))
    offsets = _copy(found.offsets, found.atoms + 1, np.uintp).astype(np.intp)
    return NeighborList(
        np.repeat(np.arange(found.atoms), np.diff(offsets)),
        _copy(found.neighbors, found.pairs, np.uint32).astype(np.intp),
        _copy(found.shifts, 3 * found.pairs, np.int32).reshape(-1, 3),
        offsets,
    )


def _copy(pointer: Any, length: int, dtype: type[np.generic]) -> NDArray[Any]:
    """A copy of ``length`` numbers of the library."""
    return np.frombuffer(ffi.buffer(pointer, length * np.dtype(dtype).itemsize), dtype).copy()
