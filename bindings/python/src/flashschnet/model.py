"""Model files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ._library import check, ffi, lib, string, struct, text

__all__ = ["AtomType", "Model", "Units"]


class Units(NamedTuple):
    """Names of a model's units, such as ``Angstrom`` and ``eV``."""

    length: str
    energy: str


@dataclass(frozen=True)
class AtomType:
    """An atom or bead type of a model."""

    #: The integer that stands for it in ``types`` arrays: an atomic number or a bead type.
    index: int
    #: Element symbol or bead name.
    name: str
    #: None if it is not an element.
    atomic_number: int | None
    #: In unified atomic mass units; None if the model does not say.
    mass: float | None


class Model:
    """A model file, read and checked.

    Immutable: it may be used from several threads at once, and by any number of potentials.

    Parameters
    ----------
    path
        The model file (``*.safetensors``).

    Raises
    ------
    FileError
        If it cannot be read.
    ModelError
        If it is truncated, damaged or inconsistent; the text names the field.
    """

    #: The file, None for a model from memory.
    path: Path | None
    #: The file's path, or the name given to a model from memory.
    name: str
    #: Pairs closer than this interact, in the model's unit of length; 0 without a network.
    cutoff: float
    #: Interaction blocks; 0 without a network.
    blocks: int
    #: Width of the atoms' features.
    features: int
    #: Width of the filters.
    filters: int
    #: Number of radial basis functions.
    basis_functions: int
    #: Number of weights and prior parameters.
    parameters: int
    #: Names of its analytic priors, in the order of their energies.
    priors: tuple[str, ...]
    #: The molecules whose term lists the file carries; their numbers are those of topologies.
    structures: tuple[str, ...]
    #: Pairs within this many bonds are left out of the graph; if not 0, ``excluded`` must be given when computing.
    excluded_bonds: int
    #: Names of the units of everything the model computes.
    units: Units
    #: The unit of length in ångström.
    length_in_angstrom: float
    #: The unit of energy in electronvolt.
    energy_in_ev: float
    #: Its atom or bead types, in the order of the embedding's rows.
    types: tuple[AtomType, ...]

    def __init__(self, path: str | os.PathLike[str]) -> None:
        encoded = string(os.fspath(path), "path")
        self._open(os.fsdecode(encoded), Path(path), lambda place: lib.fsn_model_load(encoded, place))

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, name: str = "model in memory") -> Model:
        """A model from the bytes of a model file; ``name`` stands for the path in error texts.

        Raises
        ------
        ModelError
            If it is truncated, damaged or inconsistent.
        """
        encoded = string(name, "name")
        buffer = ffi.from_buffer("uint8_t[]", data)
        self = cls.__new__(cls)
        self._open(name, None, lambda place: lib.fsn_model_load_buffer(encoded, buffer, len(buffer), place))
        return self

    @cached_property
    def description(self) -> dict[str, Any]:
        """What the file says of itself: the JSON of docs/model-format.md."""
        description: dict[str, Any] = json.loads(text(lib.fsn_model_description(self._handle)))
        return description

    def _open(self, name: str, path: Path | None, load: Callable[[Any], int]) -> None:
        place = ffi.new("fsn_model **")
        check(load(place))
        self._handle = ffi.gc(place[0], lib.fsn_model_free)
        self.name, self.path = name, path
        info = struct("fsn_model_info")
        check(lib.fsn_model_get_info(self._handle, info))
        for field in ("cutoff", "blocks", "features", "filters", "basis_functions", "parameters"):
            setattr(self, field, getattr(info, field))
        self.excluded_bonds = info.excluded_bonds
        self.units = Units(text(info.length_unit), text(info.energy_unit))
        self.length_in_angstrom = info.length_in_angstrom
        self.energy_in_ev = info.energy_in_ev
        self.types = tuple(self._type(number) for number in range(info.types))
        self.priors = tuple(self._prior(number) for number in range(info.priors))
        self.structures = tuple(structure["name"] for structure in self.description.get("structures", ()))

    def _type(self, number: int) -> AtomType:
        kind = struct("fsn_type")
        check(lib.fsn_model_get_type(self._handle, number, kind))
        return AtomType(kind.index, text(kind.name), kind.atomic_number or None, kind.mass or None)

    def _prior(self, number: int) -> str:
        prior = struct("fsn_prior")
        check(lib.fsn_model_get_prior(self._handle, number, prior))
        return text(prior.name)

    def __repr__(self) -> str:
        names = [kind.name for kind in self.types]
        shown = ", ".join(names[:6]) + (f", ... {len(names)} in all" if len(names) > 6 else "")
        return (
            f"<flashschnet.Model {self.name!r}: {self.blocks} blocks, {self.features} features, {self.filters} "
            f"filters, cutoff {self.cutoff:g} {self.units.length}, types {shown}>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        if self.path is None:
            raise TypeError(f"{self.name}: a model from memory cannot be pickled; a model from a file can")
        return type(self), (str(self.path),)

    def __copy__(self) -> Model:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        return self
