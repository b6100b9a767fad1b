"""Arrays that are on a GPU, as torch, CuPy, JAX and others show them, for the library to read and write there."""

from __future__ import annotations

from math import prod
from typing import Any

from ._arrays import invalid
from ._library import ffi, struct

__all__ = ["handle", "results", "structures"]

_FLOATS = ("<f8",)
_INTEGERS = ("<i4",)
_SIZES = ("<i8", "<u8")
_SWITCHES = ("|b1", "|u1")


def structures(
    positions: Any,
    types: Any,
    cells: Any = None,
    pbc: Any = None,
    offsets: Any = None,
    excluded: Any = None,
    topologies: Any = None,
) -> Any:
    """The struct that tells the library of them; it keeps nothing alive."""
    given = struct("fsn_structures")
    given.atoms = _length(positions, "positions")
    given.structures = 1 if offsets is None else _length(offsets, "offsets") - 1
    given.excluded_pairs = 0 if excluded is None else _length(excluded, "excluded")
    atoms, count = given.atoms, given.structures
    for name, array, kinds, shape in (
        ("positions", positions, _FLOATS, (atoms, 3)),
        ("types", types, _INTEGERS, (atoms,)),
        ("cells", cells, _FLOATS, (count, 3, 3)),
        ("periodic", pbc, _SWITCHES, (count, 3)),
        ("offsets", offsets, _SIZES, (count + 1,)),
        ("excluded", excluded, _INTEGERS, (given.excluded_pairs, 2)),
        ("topologies", topologies, _INTEGERS, (count,)),
    ):
        if array is not None:
            place = _address(array, "pbc" if name == "periodic" else name, kinds, shape)
            setattr(given, name, ffi.cast(ffi.typeof(getattr(given, name)), place))
    return given


def results(atoms: int, count: int, terms: int, **arrays: Any) -> Any:
    """The struct that tells the library where results go."""
    wanted = struct("fsn_results")
    shapes = {
        "energies": (count,),
        "atom_energies": (atoms,),
        "forces": (atoms, 3),
        "virials": (count, 3, 3),
        "atom_virials": (atoms, 3, 3),
        "term_energies": (count, terms),
    }
    for name, shape in shapes.items():
        if arrays[name] is not None:
            place = _address(arrays[name], name, _FLOATS, shape, writes=True)
            setattr(wanted, name, ffi.cast("double *", place))
    return wanted


def handle(stream: Any) -> Any:
    """A stream as the library takes it: torch and CuPy have objects for it, others numbers."""
    number = getattr(stream, "cuda_stream", getattr(stream, "ptr", stream))
    if number is None:
        number = 0
    if not isinstance(number, int):
        raise TypeError(f"stream must be a stream of CUDA or its number, not {type(stream).__name__}")
    return ffi.cast("void *", number)


def _interface(array: Any, name: str) -> dict[str, Any]:
    found = getattr(array, "__cuda_array_interface__", None)
    if not isinstance(found, dict):
        raise TypeError(f"{name} must be an array on a GPU (with __cuda_array_interface__), not {type(array).__name__}")
    return found


def _length(array: Any, name: str) -> int:
    shape = _interface(array, name)["shape"]
    if not shape:
        raise invalid(f"{name} must have a length, not shape ()")
    return int(shape[0])


def _address(array: Any, name: str, kinds: tuple[str, ...], shape: tuple[int, ...], writes: bool = False) -> int:
    seen = _interface(array, name)
    if seen["typestr"] not in kinds:
        raise TypeError(f"{name} must be of type {' or '.join(kinds)}, not {seen['typestr']}")
    if tuple(seen["shape"]) != shape:
        raise invalid(f"{name} must have shape {shape}, not {tuple(seen['shape'])}")
    size = int(kinds[0][2:])
    rows = tuple(size * prod(shape[axis + 1 :]) for axis in range(len(shape)))
    if seen.get("strides") is not None and tuple(seen["strides"]) != rows and prod(shape) > 0:
        raise invalid(f"{name} must be in C order, without gaps")
    place, read_only = seen["data"]
    if writes and read_only:
        raise invalid(f"{name} is read-only")
    return int(place)
