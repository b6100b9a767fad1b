"""Structures, and what the library says about them from Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import flashschnet
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from host import PRESSURE, Array, Evaluation

SPECIES = ["Na", "Cl"]
# Of tensors LAMMPS shows six numbers: xx, yy, zz, xy, xz, yz.
SIX = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])


def crystal(repeat: tuple[int, int, int], *, skew: bool = False, seed: int = 0) -> Atoms:
    """Distorted rock salt, of a cubic cell or one that LAMMPS takes as triclinic."""
    atoms = bulk("NaCl", "rocksalt", 5.6, cubic=True) * repeat
    if skew:
        cell = atoms.cell.array
        cell[1, 0], cell[2, 0], cell[2, 1] = 0.21 * cell[0, 0], -0.13 * cell[0, 0], 0.17 * cell[1, 1]
        atoms.set_cell(cell, scale_atoms=True)
    atoms.positions += np.random.default_rng(seed).normal(scale=0.12, size=(len(atoms), 3))
    return atoms


def slab() -> Atoms:
    atoms = crystal((2, 3, 2))
    atoms.center(vacuum=4.0, axis=2)
    atoms.pbc = (True, True, False)
    return atoms


BOXES = {
    "cubic": crystal((3, 2, 2)),
    "triclinic": crystal((2, 2, 3), skew=True),
    # 5.6 Å with a cutoff of 5: atoms meet several images of others and of themselves.
    "small": crystal((1, 1, 1)),
    "small triclinic": crystal((1, 1, 2), skew=True),
    "slab": slab(),
}


@dataclass
class Expected:
    """In the model's units."""

    energy: float
    virial: Array
    forces: Array
    energies: Array
    virials: Array


def expected(model: Path, atoms: Atoms, precision: str = "double", **extra: object) -> Expected:
    """What the library says from Python, in one process."""
    potential = flashschnet.Potential(model, precision=precision)
    types = atoms.arrays.get("types", atoms.numbers)
    found = potential.compute(
        atoms.positions, types, atoms.cell if atoms.cell.rank else None, atoms.pbc if atoms.cell.rank else None,
        virial=True, virials=True, **extra,
    )  # fmt: skip
    assert found.forces is not None
    assert found.virial is not None
    assert found.virials is not None
    return Expected(found.energy, found.virial[SIX], found.forces, found.energies, found.virials[:, SIX[0], SIX[1]])


def agree(
    found: Evaluation, wanted: Expected, tolerance: float, *, units: str = "metal", unit: float = 1.0,
    names: tuple[str, ...] = ("forces", "energies", "virial", "virials"),
) -> None:  # fmt: skip
    """All that LAMMPS shows, each to `tolerance` of the largest number of its kind; `unit` is the model's energy."""
    assert found.energy == pytest.approx(wanted.energy * unit, rel=tolerance)
    # A stress per atom is minus the atom's virial, times the factor to LAMMPS' unit of pressure.
    seen = {"virials": -found.virials / PRESSURE.get(units, 1.0)}
    for name in names:
        value, right = seen.get(name, getattr(found, name)), getattr(wanted, name) * unit
        np.testing.assert_allclose(value, right, rtol=0, atol=tolerance * np.abs(right).max(), err_msg=name)


def setup(
    data: str, atoms: Atoms, *, units: str = "metal", newton: str = "on", more: str = "", style: str = "atomic"
) -> str:
    """Commands up to the structure."""
    boundary = " ".join("p" if periodic else "f" for periodic in atoms.pbc)
    return f"""
clear
units {units}
newton {newton}
boundary {boundary}
atom_style {style}
{more}
read_data {data}
"""


def pair(model: Path, choices: str = "precision double", species: list[str] = SPECIES) -> str:
    """The two lines of an input."""
    return f"pair_style flashschnet {choices}\npair_coeff * * {model} {' '.join(species)}\n"
