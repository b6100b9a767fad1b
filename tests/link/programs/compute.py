"""What compute.c does, in Python; see there."""

from __future__ import annotations

import sys
from pathlib import Path

import flashschnet
import numpy as np
from flashschnet import _library


class Ghosts:
    """Every image that is a neighbour of an atom as an atom of its own."""

    def __init__(self, potential, positions, types, cell, pbc, *, broken):
        found = flashschnet.neighbor_list(positions, potential.model.cutoff, cell, pbc)
        self.owned, self.broken = len(types), broken
        number = {(atom, (0, 0, 0)): atom for atom in range(self.owned)}
        images = list(zip(found.j.tolist(), map(tuple, found.S.tolist()), strict=True))
        for image in images:
            number.setdefault(image, len(number))
        self.owners = np.array([atom for atom, _ in number])
        shifts = np.array([shift for _, shift in number])
        self.positions = positions[self.owners] + (0.0 if cell is None else shifts @ cell)
        self.types = types[self.owners]
        potential.set_neighbors(found.offsets, [number[image] for image in images], atoms=len(number))

    def forward(self, rows):
        if self.broken:
            raise RuntimeError("the host's own trouble")
        rows[self.owned :] = rows[self.owners[self.owned :]]


def compute(how: str, path: str, structure: str, *options: str):
    words = Path(structure).read_text().split()
    pbc = [flag == "1" for flag in words[1:4]]
    cell = np.array(words[4:13], float).reshape(3, 3) if any(pbc) else None
    atoms = np.array(words[13:], float).reshape(-1, 4)
    types, positions = atoms[:, 0].astype(int), np.ascontiguousarray(atoms[:, 1:])
    potential = flashschnet.Potential(path, **dict(option.split("=") for option in options))
    if how == "unmade":
        potential.close()
    if how in ("structures", "unmade"):
        results = potential.compute(positions, types, cell, pbc if cell is not None else None, virial=True)
        return results.energy, results.forces, results.virial
    if how == "unset":
        return potential.compute_domain(positions[:0], types[:0], virial=True)
    ghosts = Ghosts(potential, positions, types, cell, pbc if cell is not None else None, broken=how == "broken")
    results = potential.compute_domain(ghosts.positions, ghosts.types, forward=ghosts.forward, virial=True)
    return results.energy, results.forces[: ghosts.owned], results.virial


if __name__ == "__main__":
    statuses = {kind: status for status, kind in _library._CLASSES.items()}
    try:
        energy, forces, virial = compute(*sys.argv[1:])
    except flashschnet.Error as error:
        print(statuses[type(error)], error)
        sys.exit(3)
    except RuntimeError as error:
        print("thrown", error)
        sys.exit(3)
    for value in (energy, *forces.flat, *virial.flat):
        print(repr(float(value)))
