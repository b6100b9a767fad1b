"""Energies, forces and virials of LAMMPS against the library called from Python, on any number of processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import flashschnet
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from host import PRESSURE, Evaluation, Host, evaluate

RANKS = [1, 2, 3, 4]
SPECIES = ["Na", "Cl"]
# Of the tensors LAMMPS prints six numbers: xx, yy, zz, xy, xz, yz.
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
    # 5.6 Å with a cutoff of 5: atoms meet several images of others and of themselves
    "small": crystal((1, 1, 1)),
    "small triclinic": crystal((1, 1, 2), skew=True),
    "slab": slab(),
}


@dataclass
class Expected:
    energy: float
    virial: np.ndarray
    forces: np.ndarray
    energies: np.ndarray
    virials: np.ndarray


def expected(model: Path, atoms: Atoms) -> Expected:
    """What the library says from Python, in double precision."""
    potential = flashschnet.Potential(model, precision="double")
    found = potential.compute(atoms.positions, atoms.numbers, atoms.cell, atoms.pbc, virial=True, virials=True)
    return Expected(found.energy, found.virial[SIX], found.forces, found.energies, found.virials[:, SIX[0], SIX[1]])


def agree(found: Evaluation, wanted: Expected, energy: float, rest: float, unit: float = 1.0) -> None:
    """Everything LAMMPS shows; tolerances relative to the largest number of a kind."""
    assert found.energy * unit == pytest.approx(wanted.energy, rel=energy)
    # A stress per atom is minus the atom's virial, times the factor to LAMMPS' unit of pressure.
    for name in ("forces", "energies", "virial", "virials"):
        value, right = getattr(found, name) * unit, getattr(wanted, name)
        np.testing.assert_allclose(value, right, rtol=0, atol=rest * np.abs(right).max(), err_msg=name)


def result(found: Evaluation, units: str = "metal") -> Evaluation:
    found.virials = -found.virials / PRESSURE[units]
    return found


def setup(
    data: str, model: Path, atoms: Atoms, *, units: str = "metal", newton: str = "on",
    pair: str = "precision double", more: str = "",
) -> str:  # fmt: skip
    boundary = " ".join("p" if periodic else "f" for periodic in atoms.pbc)
    return f"""
clear
units {units}
newton {newton}
boundary {boundary}
atom_style atomic
{more}
read_data {data}
pair_style flashschnet {pair}
pair_coeff * * {model} {" ".join(SPECIES)}
"""


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("box", BOXES)
def test_double_precision(host: Host, nacl: Path, box: str, ranks: int) -> None:
    """Sums run in another order than in Python: 1e-10 is what is promised, rounding leaves 1e-13."""
    atoms = BOXES[box]
    data = host.data(atoms, SPECIES)
    cases = [("on", ""), ("off", "")]
    if ranks == 4:
        cases += [("on", "processors 1 1 4"), ("off", "processors 4 1 1")]
        # Tiled communication wants boxes larger than the ghost cutoff, whoever computes.
        if "small" not in box:
            cases[1] = ("off", "comm_style tiled")
    script = ""
    for number, (newton, grid) in enumerate(cases):
        script += setup(data, nacl, atoms, newton=newton, more=grid) + evaluate(f"case{number}")
    output = host.run(script, ranks)
    wanted = expected(nacl, atoms)
    for number in range(len(cases)):
        agree(result(output.evaluation(f"case{number}")), wanted, 1e-10, 1e-10)
