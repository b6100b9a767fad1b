"""The neighbour search against ASE's."""

from __future__ import annotations

import numpy as np
import pytest
from ase.neighborlist import primitive_neighbor_list

import flashschnet


def random_case(seed: int):
    """Atoms in and out of a cell that may be skewed, left-handed, smaller than the cutoff or periodic in part."""
    random = np.random.default_rng(seed)
    atoms = int(random.integers(1, 12))
    size = random.uniform(1.5, 6.0, size=3)
    cell = np.diag(size) @ (np.eye(3) + random.uniform(-0.6, 0.6, size=(3, 3)) * (1 - np.eye(3)))
    if abs(np.linalg.det(cell)) < 0.3 * np.prod(size):
        cell = np.diag(size)
    if random.random() < 0.3:
        cell[0] *= -1.0
    pbc = random.random(3) < 0.7
    positions = random.uniform(-1.0, 2.0, size=(atoms, 3)) @ cell
    return positions, float(random.uniform(0.5, 4.5)), cell, pbc


def as_set(i, j, shifts):
    return sorted(zip(i.tolist(), j.tolist(), map(tuple, np.asarray(shifts).tolist()), strict=True))


@pytest.mark.parametrize("block", range(8))
def test_same_pairs_as_ase(block):
    pairs = 0
    for seed in range(50 * block, 50 * (block + 1)):
        positions, cutoff, cell, pbc = random_case(seed)
        found = flashschnet.neighbor_list(positions, cutoff, cell, pbc)
        i, j, shifts, distances = primitive_neighbor_list("ijSd", pbc, cell, positions, cutoff)
        # ASE rounds on its own at the cutoff.
        assert np.abs(distances - cutoff).min(initial=1.0) > 1e-10
        assert as_set(found.i, found.j, found.S) == as_set(i, j, shifts), f"seed {seed}"
        np.testing.assert_array_equal(np.bincount(found.i, minlength=len(positions)), np.diff(found.offsets))
        pairs += len(i)
    assert pairs > 1000


def test_vectors_lead_to_the_neighbours():
    positions, cutoff, cell, pbc = random_case(5)
    found = flashschnet.neighbor_list(positions, cutoff, cell, pbc)
    vectors = positions[found.j] + found.S @ cell - positions[found.i]
    assert len(vectors) > 0
    assert (np.linalg.norm(vectors, axis=1) < cutoff).all()
    assert not np.isclose(np.linalg.norm(vectors, axis=1), 0).any()


def test_without_a_cell():
    found = flashschnet.neighbor_list([[0, 0, 0], [1, 0, 0], [5, 0, 0]], 2.0)
    assert found.i.tolist() == [0, 1]
    assert found.j.tolist() == [1, 0]
    assert found.S.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert found.offsets.tolist() == [0, 1, 2, 2]


def test_no_atoms_and_no_pairs():
    none = flashschnet.neighbor_list(np.empty((0, 3)), 2.0)
    assert [array.shape for array in none] == [(0,), (0,), (0, 3), (1,)]
    alone = flashschnet.neighbor_list([[0, 0, 0]], 2.0)
    assert [array.shape for array in alone] == [(0,), (0,), (0, 3), (2,)]


def test_the_result_outlives_the_list():
    lists = [flashschnet.neighbor_list(np.random.default_rng(0).uniform(0, 5, (200, 3)), 2.0) for _ in range(20)]
    assert all(np.array_equal(each.j, lists[0].j) for each in lists)
