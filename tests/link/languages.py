"""The same calculations in several languages: how each is run, and what it says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray
from tree import NACL, ROOT, environment

PROGRAMS = ROOT / "tests" / "link" / "programs"


@dataclass(frozen=True)
class Answer:
    """What a program printed: energy, forces and virial; or status and text of what was refused."""

    values: NDArray[np.float64] | None
    status: int
    text: str


Language = Callable[..., Answer]


def answer(done: subprocess.CompletedProcess[str]) -> Answer:
    """Read what a program printed."""
    if done.returncode == 0:
        return Answer(np.array([float(number) for number in done.stdout.split()]), 0, "")
    assert done.returncode == 3, f"{done.args}: {done.returncode}\n{done.stdout}{done.stderr}"
    status, _, text = done.stdout.strip().partition(" ")
    return Answer(None, -1 if status == "thrown" else int(status), text)


def language(*command: str | Path, **more: str) -> Language:
    """A program of `programs`, as a function."""

    def compute(how: str, structure: Path, *options: str, model: Path = NACL) -> Answer:
        arguments = [*map(str, command), how, str(model), str(structure), *options]
        return answer(
            subprocess.run(arguments, env=environment(**more), capture_output=True, text=True, check=False, timeout=600)
        )

    return compute


def python(library: Path) -> Language:
    """The package, with the library that the other languages use."""
    return language(sys.executable, PROGRAMS / "compute.py", FLASHSCHNET_LIBRARY=str(library))


def crystal(repeat: tuple[int, int, int], *, skew: bool = False, slab: bool = False) -> Atoms:
    """Rock salt out of order, in a cell that LAMMPS can have."""
    atoms = bulk("NaCl", "rocksalt", 5.6, cubic=True) * repeat
    if skew:
        cell = atoms.cell.array
        cell[1, 0], cell[2, 0], cell[2, 1] = 0.21 * cell[0, 0], -0.13 * cell[0, 0], 0.17 * cell[1, 1]
        atoms.set_cell(cell, scale_atoms=True)
    if slab:
        atoms.center(vacuum=6.0, axis=2)
        atoms.pbc = (True, True, False)
    atoms.positions += np.random.default_rng(1).normal(scale=0.1, size=(len(atoms), 3))
    return atoms


#: What is computed in all languages.
STRUCTURES = {
    "one cell": crystal((1, 1, 1)),
    "64 ions": crystal((2, 2, 2)),
    "skew cell": crystal((1, 2, 2), skew=True),
    "slab": crystal((2, 2, 1), slab=True),
    "pair": Atoms("NaCl", [[0.1, 0.2, 0.3], [2.4, 1.3, 0.4]]),
}


def written(atoms: Atoms, path: Path) -> Path:
    """A structure as the programs read it."""
    rows = [f"{len(atoms)} {' '.join(str(int(flag)) for flag in atoms.pbc)}"]
    rows += [" ".join(repr(float(value)) for value in row) for row in atoms.cell.array]
    for number, position in zip(atoms.numbers, atoms.positions, strict=True):
        rows.append(f"{number} {' '.join(repr(float(value)) for value in position)}")
    path.write_text("\n".join(rows) + "\n")
    return path
