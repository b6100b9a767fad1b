"""What a potential computes, and the memory the library writes it to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._arrays import pointer
from ._library import struct

__all__ = ["Outputs", "Results"]


@dataclass(frozen=True)
class Results:
    """Energy, forces and virial of a structure, in the model's units. What was not asked for is None."""

    #: Energy of the structure.
    energy: float
    #: (atoms,): energy of each atom; of each owned atom for a domain.
    energies: NDArray[np.float64]
    #: (atoms, 3): forces, −dE/dr.
    forces: NDArray[np.float64] | None = None
    #: (3, 3): −dE/dε for a strain ε that takes r to (1 + ε) r. The stress is −virial / volume.
    virial: NDArray[np.float64] | None = None
    #: (atoms, 3, 3): each atom's share of the virial, half of every pair's to either atom.
    virials: NDArray[np.float64] | None = None
    #: Energy of the network, under ``"network"``, and of each of the model's priors under its name.
    terms: Mapping[str, float] | None = None


class Outputs:
    """Arrays for the results of one call, and the struct that tells the library of them."""

    def __init__(
        self,
        structures: int,
        owned: int,
        atoms: int,
        forces: bool,
        virial: bool,
        virials: bool,
        terms: tuple[str, ...] | None = None,
    ) -> None:
        self.energies = np.empty(structures)
        self.atom_energies = np.empty(owned)
        self.forces = np.empty((atoms, 3)) if forces else None
        self.virials = np.empty((structures, 3, 3)) if virial else None
        self.atom_virials = np.empty((atoms, 3, 3)) if virials else None
        self._terms = terms
        self.term_energies = None if terms is None else np.empty((structures, len(terms)))
        self.struct = struct("fsn_results")
        # A struct of C does not keep alive what it points to.
        self._memory = []
        for name in ("energies", "atom_energies", "forces", "virials", "atom_virials", "term_energies"):
            memory = pointer(getattr(self, name))
            self._memory.append(memory)
            setattr(self.struct, name, memory)

    def of(self, structure: int, atoms: slice) -> Results:
        """The results of one structure, views of the whole."""
        return Results(
            float(self.energies[structure]),
            self.atom_energies[atoms],
            None if self.forces is None else self.forces[atoms],
            None if self.virials is None else self.virials[structure],
            None if self.atom_virials is None else self.atom_virials[atoms],
            self._by_name(structure),
        )

    def _by_name(self, structure: int) -> dict[str, float] | None:
        if self._terms is None or self.term_energies is None:
            return None
        return dict(zip(self._terms, self.term_energies[structure].tolist(), strict=True))
