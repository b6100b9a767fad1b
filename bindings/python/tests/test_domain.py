"""A host's neighbour list: ghosts, their owners, and the exchange between them."""

from __future__ import annotations

import numpy as np
import pytest
from structures import crystal

import flashschnet


class Ghosts:
    """A periodic structure as a host has it: every image in reach of an atom is an atom of its own."""

    def __init__(self, positions, types, cell, cutoff):
        found = flashschnet.neighbor_list(positions, cutoff, cell)
        owned = len(positions)
        number = {(atom, (0, 0, 0)): atom for atom in range(owned)}
        images = list(zip(found.j.tolist(), map(tuple, found.S.tolist()), strict=True))
        for image in images:
            number.setdefault(image, len(number))
        self.neighbors = np.array([number[image] for image in images])
        self.offsets, self.owned = found.offsets, owned
        self.owners = np.array([atom for atom, _ in number])
        self.positions = positions[self.owners] + np.array([shift for _, shift in number]) @ cell
        self.types = types[self.owners]
        self.sources = self.owners[owned:]
        self.calls = []

    def forward(self, rows):
        self.calls.append(rows.shape)
        rows[self.owned :] = rows[self.sources]

    def folded(self, values):
        total = np.zeros((self.owned, *values.shape[1:]))
        np.add.at(total, self.owners, values)
        return total


@pytest.fixture
def structure():
    return crystal()


@pytest.fixture
def ghosts(structure, model):
    return Ghosts(*structure, model.cutoff)


def agree(found, expected, ghosts, precision):
    assert found.energy == pytest.approx(expected.energy, rel=precision.energy)
    for name, value in (
        ("energies", found.energies),
        ("forces", ghosts.folded(found.forces)),
        ("virial", found.virial),
        ("virials", ghosts.folded(found.virials)),
    ):
        size = np.abs(getattr(expected, name)).max()
        np.testing.assert_allclose(value, getattr(expected, name), rtol=0, atol=precision.forces * size)


@pytest.mark.parametrize("base", [0, 1])
def test_owners(model, structure, ghosts, precision, base):
    potential = flashschnet.Potential(model, "cpu", **precision.choices)
    expected = potential.compute(*structure, virial=True, virials=True)
    potential.set_neighbors(ghosts.offsets, ghosts.neighbors + base, owners=ghosts.owners + base, base=base)
    found = potential.compute_domain(ghosts.positions, ghosts.types, virial=True, virials=True)
    assert len(ghosts.owners) > 4 * ghosts.owned
    assert (found.forces[ghosts.owned :] == 0).all()
    agree(found, expected, ghosts, precision)


def test_exchange(model, structure, ghosts, precision):
    potential = flashschnet.Potential(model, "cpu", **precision.choices)
    expected = potential.compute(*structure, virial=True, virials=True)
    potential.set_neighbors(ghosts.offsets, ghosts.neighbors, atoms=len(ghosts.owners))
    found = potential.compute_domain(ghosts.positions, ghosts.types, forward=ghosts.forward, virial=True, virials=True)
    agree(found, expected, ghosts, precision)
    assert {rows for rows, _ in ghosts.calls} == {len(ghosts.owners)}
    energy = potential.compute_domain(ghosts.positions, ghosts.types, forward=ghosts.forward, forces=False)
    assert energy.forces is None
    assert energy.energy == pytest.approx(expected.energy, rel=precision.energy)


@pytest.mark.parametrize("base", [0, 1])
def test_an_exchange_of_each_atom_once(model, structure, ghosts, precision, base):
    """Ghosts as if of another process, where all images of an atom have one row."""
    potential = flashschnet.Potential(model, "cpu", **precision.choices)
    expected = potential.compute(*structure, virial=True, virials=True)
    owners = np.arange(len(ghosts.owners))
    for atom in range(ghosts.owned):
        images = np.flatnonzero(ghosts.owners == atom)[1:]
        owners[images] = images[0]
    ghosts.sources = ghosts.owners[owners == np.arange(len(owners))][ghosts.owned :]
    assert len(ghosts.sources) == ghosts.owned
    potential.set_neighbors(ghosts.offsets, ghosts.neighbors + base, owners=owners + base, base=base)
    found = potential.compute_domain(ghosts.positions, ghosts.types, forward=ghosts.forward, virial=True, virials=True)
    agree(found, expected, ghosts, precision)
    assert {rows for rows, _ in ghosts.calls} == {2 * ghosts.owned}


def test_what_a_callback_raises_comes_out(potential, ghosts):
    def fails(rows):
        raise KeyError("the host's own trouble")

    potential.set_neighbors(ghosts.offsets, ghosts.neighbors, atoms=len(ghosts.owners))
    with pytest.raises(KeyError, match="the host's own trouble"):
        potential.compute_domain(ghosts.positions, ghosts.types, forward=fails)
    found = potential.compute_domain(ghosts.positions, ghosts.types, forward=ghosts.forward)
    assert np.isfinite(found.energy)


def test_a_list_that_is_refused_leaves_the_one_before(potential, ghosts):
    potential.set_neighbors(ghosts.offsets, ghosts.neighbors, owners=ghosts.owners)
    before = potential.compute_domain(ghosts.positions, ghosts.types)
    with pytest.raises(flashschnet.InvalidArgument):
        potential.set_neighbors([0, 1], [7])
    assert potential.compute_domain(ghosts.positions, ghosts.types).energy == before.energy


def test_closing_during_a_call_lets_it_finish(model, ghosts):
    potential = flashschnet.Potential(model, precision="double")
    potential.set_neighbors(ghosts.offsets, ghosts.neighbors, atoms=len(ghosts.owners))

    def forward(rows):
        potential.close()
        ghosts.forward(rows)

    found = potential.compute_domain(ghosts.positions, ghosts.types, forward=forward)
    assert np.isfinite(found.forces).all()
    with pytest.raises(flashschnet.InvalidArgument) as error:
        potential.compute(*crystal())
    assert str(error.value) == "invalid argument: potential is a null pointer"
