"""What must not change the energy, and how forces change with it."""

from __future__ import annotations

import numpy as np
import pytest
from structures import Structure, crystal, rotation

import flashschnet


@pytest.fixture
def structure() -> Structure:
    return crystal()


@pytest.fixture
def expected(potential: flashschnet.Potential, structure: Structure) -> flashschnet.Results:
    return potential.compute(*structure, virial=True, virials=True)


def same(found, expected, size=None):
    size = np.abs(expected).max() if size is None else size
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * size)


def test_rotation(potential, structure, expected):
    turn = rotation()
    found = potential.compute(
        structure.positions @ turn.T, structure.types, structure.cell @ turn.T, virial=True, virials=True
    )
    same(found.energy, expected.energy)
    same(found.forces, expected.forces @ turn.T)
    same(found.virial, turn @ expected.virial @ turn.T)
    same(found.virials, turn @ expected.virials @ turn.T)


def test_mirror(potential, structure, expected):
    mirror = np.diag([1.0, 1.0, -1.0])
    found = potential.compute(structure.positions @ mirror, structure.types, structure.cell @ mirror)
    same(found.energy, expected.energy)
    same(found.forces, expected.forces @ mirror)


def test_translation(potential, structure, expected):
    found = potential.compute(structure.positions + np.array([31.7, -12.1, 5.3]), structure.types, structure.cell)
    same(found.energy, expected.energy)
    same(found.forces, expected.forces)


def test_permutation(potential, structure, expected):
    order = np.random.default_rng(1).permutation(len(structure.types))
    found = potential.compute(structure.positions[order], structure.types[order], structure.cell)
    same(found.energy, expected.energy)
    same(found.energies, expected.energies[order])
    same(found.forces, expected.forces[order])


def test_wrapping(potential, structure, expected):
    away = np.random.default_rng(2).integers(-3, 4, size=structure.positions.shape)
    found = potential.compute(structure.positions + away @ structure.cell, structure.types, structure.cell, virial=True)
    same(found.energy, expected.energy)
    same(found.forces, expected.forces)
    same(found.virial, expected.virial)


@pytest.mark.parametrize(
    "change",
    [
        [[1, 0, 0], [1, 1, 0], [0, 0, 1]],
        [[1, 2, -1], [0, 1, 3], [0, 0, 1]],
        [[0, 1, 0], [1, 0, 0], [0, 0, 1]],
        [[-1, 0, 0], [0, -1, 0], [0, 0, -1]],
    ],
    ids=["sheared", "skewed", "left-handed", "inverted"],
)
def test_other_lattice_vectors(potential, structure, expected, change):
    found = potential.compute(structure.positions, structure.types, np.array(change) @ structure.cell, virial=True)
    same(found.energy, expected.energy)
    same(found.forces, expected.forces)
    same(found.virial, expected.virial)


def test_supercell(potential, structure, expected):
    shifts = np.stack(np.meshgrid([0, 1], [0, 1, 2], [0], indexing="ij"), axis=-1).reshape(-1, 3)
    positions = np.concatenate([structure.positions + shift @ structure.cell for shift in shifts])
    found = potential.compute(
        positions, np.tile(structure.types, 6), np.diag([2.0, 3.0, 1.0]) @ structure.cell, virial=True
    )
    same(found.energy, 6 * expected.energy)
    same(found.forces, np.tile(expected.forces, (6, 1)))
    same(found.virial, 6 * expected.virial)


def test_forces_and_virial_are_balanced(expected):
    same(expected.forces.sum(axis=0), np.zeros(3), np.abs(expected.forces).max())
    same(expected.virial, expected.virial.T)
    same(expected.virials.sum(axis=0), expected.virial)
    same(expected.energies.sum(), expected.energy)


def test_forces_are_the_slope_of_the_energy(potential, structure, expected):
    step = 1e-4
    for atom, axis in [(0, 0), (3, 1), (7, 2)]:
        energies = []
        for sign in (1, -1):
            moved = structure.positions.copy()
            moved[atom, axis] += sign * step
            energies.append(potential.compute(moved, structure.types, structure.cell, forces=False).energy)
        slope = -(energies[0] - energies[1]) / (2 * step)
        assert slope == pytest.approx(expected.forces[atom, axis], rel=1e-6, abs=1e-7)


def test_virial_is_the_slope_of_the_energy(potential, structure, expected):
    step = 1e-5
    for row, column in np.ndindex(3, 3):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[row, column] += sign * step
            energies.append(
                potential.compute(
                    structure.positions @ strain.T, structure.types, structure.cell @ strain.T, forces=False
                ).energy
            )
        slope = -(energies[0] - energies[1]) / (2 * step)
        assert slope == pytest.approx(expected.virial[row, column], rel=1e-6, abs=1e-6)
