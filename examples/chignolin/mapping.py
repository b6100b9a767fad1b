#!/usr/bin/env python3
"""Map all-atom frames to one bead for each residue, at its Cα, with aggregated forces.

A bead's position is its Cα's. Its force is a sum over the whole molecule, with one weight for each group of atoms that
constraints hold together (a heavy atom and its hydrogens): 1 for the group of its own Cα, 0 for those of other beads.
The mean force is then the same whatever the weights of the other groups. They are chosen so that the mean square of the
force is least, that is, the noise which a network cannot learn (Krämer et al., J. Phys. Chem. Lett. 2023, 14, 3970).
With all of them 0 the map is the basic one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from openmm.app import PDBFile


def groups(atoms: int, constraints: np.ndarray) -> np.ndarray:
    """The number of the constrained group of each atom."""
    group = np.arange(atoms)
    # A hydrogen takes the number of its heavy atom; a few rounds would settle longer chains of constraints too.
    while True:
        settled = group.copy()
        for a, b in constraints:
            group[[a, b]] = group[[a, b]].min()
        if np.array_equal(settled, group):
            return np.unique(group, return_inverse=True)[1]


def optimal_weights(products: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Weights (beads, groups) of least mean square, from the groups' force products (groups, groups)."""
    free = np.setdiff1d(np.arange(len(products)), own)
    weights = np.zeros((len(own), len(products)))
    weights[np.arange(len(own)), own] = 1.0
    weights[:, free] = -np.linalg.solve(products[np.ix_(free, free)], products[np.ix_(free, own)]).T
    return weights


class Frames:
    """The files of `reference.py`, one after the other."""

    def __init__(self, folder: Path) -> None:
        topology = PDBFile(str(folder / "molecule.pdb")).topology
        self.names = [f"{atom.residue.name}{atom.residue.index + 1}-{atom.name}" for atom in topology.atoms()]
        self.residues = [residue.name for residue in topology.residues()]
        self.alphas = np.array([atom.index for atom in topology.atoms() if atom.name == "CA"])
        self.group = groups(len(self.names), np.load(folder / "constraints.npy"))
        self.sum_groups = np.eye(self.group.max() + 1)[:, self.group]
        self.parts = sorted(folder.glob("part-*.npz"))

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Positions of the Cα atoms and forces on groups (copies, frames, n, 3), and temperatures of the copies."""
        for part in self.parts:
            with np.load(part) as data:
                forces = np.einsum("ga,cfax->cfgx", self.sum_groups, data["forces"], optimize=True)
                yield data["positions"][:, :, self.alphas], forces, data["temperatures"]


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("reference"), help="what reference.py wrote")
    parser.add_argument("--out", type=Path, default=Path("beads.npz"))
    parser.add_argument("--held", type=float, default=0.25, help="fraction of copies held out, whole trajectories")
    args = parser.parse_args()

    frames = Frames(args.folder)
    own = frames.group[frames.alphas]
    products, number, held = 0.0, 0, np.zeros(0, bool)
    for _, forces, temperatures in frames:
        # Copies of a temperature are spread over the run's copies: the last ones have them all.
        held = np.arange(len(temperatures)) >= round((1 - args.held) * len(temperatures))
        seen = forces[~held]
        products = products + np.einsum("cfgx,cfhx->gh", seen, seen, optimize=True)
        number += 3 * seen.shape[0] * seen.shape[1]
    weights = optimal_weights(products / number, own)

    positions, mapped, temperature, copy = [], [], [], []
    squares = {"basic": [], "optimal": []}
    for where, forces, temperatures in frames:
        count = where.shape[1]
        positions.append(where - where.mean(axis=2, keepdims=True))
        mapped.append(np.einsum("bg,cfgx->cfbx", weights, forces, optimize=True))
        temperature.append(np.repeat(temperatures[:, None], count, axis=1))
        copy.append(np.repeat(np.arange(len(where))[:, None], count, axis=1))
        squares["basic"].append(np.mean(forces[held][:, :, own] ** 2))
        squares["optimal"].append(np.mean(mapped[-1][held] ** 2))

    def flat(parts: list[np.ndarray]) -> np.ndarray:
        joined = np.concatenate(parts, axis=1)
        return joined.reshape(-1, *joined.shape[2:])

    np.savez(
        args.out,
        positions=flat(positions).astype(np.float32),
        forces=flat(mapped).astype(np.float32),
        temperature=flat(temperature),
        copy=flat(copy).astype(np.int16),
        held=held[flat(copy)],
        residues=np.array(frames.residues),
    )
    for name, values in squares.items():
        print(f"{name} map: root mean square of a force component {np.sqrt(np.mean(values)):.2f} kcal/mol/Å (held out)")


if __name__ == "__main__":
    main()
