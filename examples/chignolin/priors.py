#!/usr/bin/env python3
"""Fit priors to the statistics of the beads: bonds, angles, dihedrals, and repulsion between the others.

Each is the free energy of its own coordinate as if that were independent of all others (Boltzmann inversion), in a
simple form. They keep the chain whole where the network has seen nothing; the network learns what they miss.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flashschnet.convert.model import Model, float_tensor, int_tensor
from flashschnet.convert.tensors import Tensor
from flashschnet.convert.writer import write

import internal
from internal import Beads

#: The types of mlcg: amino acids in alphabetical order, from 1.
AMINO_ACIDS = "ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL".split()
CARBON = 12.011  # u; mlcg gives a bead the mass of its atom
DEGREES = 3  # of the dihedrals' Fourier series
CLOSEST = 0.001  # of all distances of a pair are shorter than the one at which its repulsion is kT
UNITS = ("Angstrom", "kcal/mol")


@dataclass
class Priors:
    """Priors of one molecule, as the description of a model file and its tensors."""

    residues: list[str]
    entries: list[dict[str, Any]]
    tensors: dict[str, Tensor]

    @classmethod
    def fit(cls, beads: Beads, temperature: float) -> Priors:
        """Priors from frames at a temperature."""
        frames = beads.pick(temperature, held=False).positions
        thermal = internal.BOLTZMANN * temperature
        self = cls(beads.residues, [], {})
        n = len(self.residues)
        chain = {size: np.arange(n - size + 1)[:, None] + np.arange(size) for size in (2, 3, 4)}
        lengths = internal.distances(frames, chain[2])
        self._add("bonds", "harmonic_bond", chain[2], **harmonic(lengths, thermal))
        cosines = np.cos(internal.angles(frames, chain[3]))
        self._add("angles", "harmonic_angle_cos", chain[3], **harmonic(cosines, thermal))
        dihedrals = internal.dihedrals(frames, chain[4])
        self._add("dihedrals", "fourier_dihedral", chain[4], **fourier(dihedrals, thermal), degrees=DEGREES)
        others = np.array([(i, j) for i in range(n) for j in range(i + 3, n)])
        closest = np.quantile(internal.distances(frames, others), CLOSEST, axis=0)
        self._add("repulsion", "repulsion", others, sigma=closest * thermal ** (1 / 6))
        return self

    def _add(self, name: str, kind: str, atoms: np.ndarray, degrees: int = 0, **parameters: np.ndarray) -> None:
        entry = {"name": name, "kind": kind, "lookup": "per_term", "terms": True, "count": len(atoms)}
        self.entries.append({**entry, "degrees": degrees, "cutoff": None})
        self.tensors[f"priors.{name}.atoms"] = int_tensor(atoms)
        self.tensors[f"priors.{name}.offsets"] = int_tensor([0, len(atoms)])
        for parameter, values in parameters.items():
            self.tensors[f"priors.{name}.{parameter}"] = float_tensor(values)

    @property
    def types(self) -> np.ndarray:
        """The bead type of each residue."""
        return np.array([1 + AMINO_ACIDS.index(name) for name in self.residues])

    def write(self, path: Path, note: str, network: dict[str, Any] | None, tensors: dict[str, Tensor]) -> None:
        """Write a model file with these priors and a network, if there is one."""
        kinds = sorted({(int(t), name) for t, name in zip(self.types, self.residues, strict=True)})
        model = Model(
            framework="none",
            units=UNITS,
            types=[{"index": t, "name": name, "atomic_number": None, "mass": CARBON} for t, name in kinds],
            network=network,
            tensors={**self.tensors, **tensors, "structures.types": int_tensor(self.types)},
            priors=self.entries,
            structures=[{"name": "CLN025", "atoms": len(self.residues)}],
        )
        write(model, {"source": "examples/chignolin", "note": note}, path)


def harmonic(values: np.ndarray, thermal: float) -> dict[str, np.ndarray]:
    """Parameters of k (x − x0)² whose Boltzmann distribution has the mean and variance of each column."""
    columns = values.shape[1]
    return {"k": thermal / (2 * values.var(axis=0)), "x0": values.mean(axis=0), "v0": np.zeros(columns)}


def fourier(angles: np.ndarray, thermal: float, bins: int = 60) -> dict[str, np.ndarray]:
    """Fourier series fitted to −kT ln p of each column, bins counting by the square root of their frames."""
    edges = np.linspace(-np.pi, np.pi, bins + 1)
    middles = 0.5 * (edges[1:] + edges[:-1])
    orders = np.arange(1, DEGREES + 1)
    design = np.hstack([np.ones((bins, 1)), np.sin(np.outer(middles, orders)), np.cos(np.outer(middles, orders))])
    found = []
    for column in angles.T:
        counts = np.histogram(column, edges)[0] + 1.0
        weights = np.sqrt(counts)[:, None]
        energy = -thermal * np.log(counts / counts.max())[:, None]
        found.append(np.linalg.lstsq(weights * design, weights * energy, rcond=None)[0][:, 0])
    coefficients = np.array(found)
    v0, sines, cosines = np.split(coefficients, [1, 1 + DEGREES], axis=1)
    return {"v0": v0[:, 0], "sin": sines, "cos": cosines}


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("beads", type=Path, help="what mapping.py wrote")
    parser.add_argument("--temperature", type=float, default=350.0, help="in K")
    parser.add_argument("--out", type=Path, default=Path("priors.safetensors"))
    args = parser.parse_args()
    Priors.fit(Beads.load(args.beads), args.temperature).write(args.out, "priors alone", None, {})


if __name__ == "__main__":
    main()
