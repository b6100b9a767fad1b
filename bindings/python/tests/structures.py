"""Random structures whose atoms keep their distance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Structure(NamedTuple):
    positions: NDArray[np.float64]
    types: NDArray[np.int32]
    cell: NDArray[np.float64]


def crystal(seed: int = 0, repeat: int = 2, constant: float = 2.4) -> Structure:
    """A distorted simple cubic crystal in a skewed cell, with a few neighbours within 4 Å."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(repeat)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    cell = repeat * constant * (np.eye(3) + np.array([[0, 0, 0], [0.25, 0, 0], [-0.1, 0.2, 0]]))
    positions = grid / repeat @ cell + random.uniform(-0.25, 0.25, size=(len(grid), 3))
    types = random.choice(np.array([1, 6, 8], np.int32), len(grid))
    return Structure(positions, types, cell)


def rotation(seed: int = 0) -> NDArray[np.float64]:
    """A random proper rotation."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))
