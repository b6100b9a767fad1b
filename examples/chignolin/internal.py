"""Frames of beads, and what is measured of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

BOLTZMANN = 0.0019872042586408316  # kcal/mol/K


@dataclass
class Beads:
    """Frames of one molecule: positions (frames, beads, 3) in Å, forces in kcal/mol/Å."""

    positions: np.ndarray
    forces: np.ndarray
    temperature: np.ndarray
    #: Which copy of the molecule each frame is of.
    copy: np.ndarray
    #: Whether that copy is held out.
    held: np.ndarray
    residues: list[str]

    @classmethod
    def load(cls, path: Path) -> Beads:
        """Read a file of `mapping.py`."""
        with np.load(path) as data:
            arrays = [data[name] for name in ("positions", "forces", "temperature", "copy", "held")]
            return cls(*arrays, data["residues"].tolist())

    def pick(self, temperature: float | None = None, held: bool | None = None) -> Beads:
        """The frames at a temperature, and of copies that are held out or not."""
        chosen = np.ones(len(self.positions), bool)
        if temperature is not None:
            chosen &= self.temperature == temperature
        if held is not None:
            chosen &= self.held == held
        return self.where(chosen)

    def where(self, chosen: np.ndarray) -> Beads:
        """Some of the frames."""
        arrays = (self.positions, self.forces, self.temperature, self.copy, self.held)
        return Beads(*(array[chosen] for array in arrays), self.residues)


def distances(frames: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(frames, pairs), in Å."""
    return np.linalg.norm(frames[:, pairs[:, 1]] - frames[:, pairs[:, 0]], axis=-1).astype(float)


def angles(frames: np.ndarray, triples: np.ndarray) -> np.ndarray:
    """(frames, triples), at the second of three beads, in radians."""
    a, b, c = (frames[:, column].astype(float) for column in triples.T)
    u, v = a - b, c - b
    cosine = np.sum(u * v, axis=-1) / (np.linalg.norm(u, axis=-1) * np.linalg.norm(v, axis=-1))
    return np.arccos(np.clip(cosine, -1.0, 1.0))


def dihedrals(frames: np.ndarray, fours: np.ndarray) -> np.ndarray:
    """(frames, fours), about the second and third of four beads, in radians, IUPAC's sign."""
    a, b, c, d = (frames[:, column].astype(float) for column in fours.T)
    first, axis, last = b - a, c - b, d - c
    left, right = np.cross(first, axis), np.cross(axis, last)
    y = np.sum(first * right, axis=-1) * np.linalg.norm(axis, axis=-1)
    return np.arctan2(y, np.sum(left * right, axis=-1))


def gyration(frames: np.ndarray) -> np.ndarray:
    """(frames,): radius of gyration of equal masses, in Å."""
    centred = frames - frames.mean(axis=1, keepdims=True)
    return np.sqrt(np.mean(np.sum(centred.astype(float) ** 2, axis=-1), axis=-1))
