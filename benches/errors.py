#!/usr/bin/env python3
"""Errors of forces and energies of every precision and kind of filters, against the processor's double and exact.

    benches/errors.py MODEL STRUCTURES.xyz [--device cuda] [--displace 0.1]

STRUCTURES is anything ASE reads, in the model's unit of length. Types are those of an array ``types``, which
``flashschnet convert --structures`` writes, else atomic numbers. Priors are left out: they are in float64 everywhere.
"""

from __future__ import annotations

import argparse

import numpy as np
from ase import Atoms
from ase.io import read
from flashschnet import Potential, Results, Unsupported

VARIANTS = [(precision, filters) for precision in ("double", "single", "half") for filters in ("exact", "table")]


def compute(potential: Potential, atoms: Atoms) -> Results:
    """Energy and forces."""
    types = atoms.arrays.get("types", atoms.numbers)
    periodic = atoms.pbc.any()
    return potential.compute(
        atoms.positions, types, atoms.cell.array if periodic else None, atoms.pbc if periodic else None
    )


def main() -> None:
    """Print a line for each structure and variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("structures")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--displace", type=float, default=0.0, help="of atoms at rest, along each axis (standard deviation)"
    )
    arguments = parser.parse_args()
    reference = Potential(arguments.model, "cpu", "double", "exact", priors="off")
    for number, atoms in enumerate(read(arguments.structures, ":")):
        atoms.positions += arguments.displace * np.random.default_rng(number).normal(size=atoms.positions.shape)
        exact = compute(reference, atoms)
        for precision, filters in VARIANTS:
            try:
                potential = Potential(arguments.model, arguments.device, precision, filters, priors="off")
            except Unsupported as error:
                print(f"{number}: {precision}, {filters}: {error}")
                continue
            found = compute(potential, atoms)
            forces = np.linalg.norm(found.forces - exact.forces) / np.linalg.norm(exact.forces)
            energy = abs(found.energy - exact.energy) / len(atoms)
            what = f"{number}: {len(atoms)} atoms, {precision}, {filters}"
            print(f"{what}: forces {forces:.1e}, energy an atom {energy:.1e}")


if __name__ == "__main__":
    main()
