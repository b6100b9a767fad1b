"""How a potential is made, called, copied and closed."""

from __future__ import annotations

import copy
import os
import pickle
import warnings

import modelfile
import numpy as np
import pytest
from structures import crystal

import flashschnet


def test_says_how_it_computes(model, precision):
    potential = flashschnet.Potential(model, "cpu", **precision.choices, threads=1, skin=0.25)
    assert (potential.device, potential.precision, potential.threads) == ("cpu", precision.name, 1)
    assert potential.filters in ("exact", "table")
    assert potential.skin == 0.25
    assert potential.list_builds == 0
    assert repr(potential).startswith(f"<flashschnet.Potential {model.name!r}: cpu, {precision.name}, ")


def test_default_skin_is_one_angstrom(tmp_path):
    path = modelfile.write_random(tmp_path / "bohr.safetensors", units=("Bohr", "Hartree"))
    potential = flashschnet.Potential(path, precision="double")
    assert potential.skin * potential.model.length_in_angstrom == pytest.approx(1.0, rel=1e-15)


def test_the_list_serves_until_an_atom_has_moved_half_the_skin(model):
    structure, potential = crystal(), flashschnet.Potential(model, precision="double", skin=0.5)
    fresh = flashschnet.Potential(model, precision="double", skin=0)
    builds = []
    for step in range(6):
        moved = structure.positions.copy()
        moved[0, 0] += 0.1 * step
        found = potential.compute(moved, structure.types, structure.cell)
        expected = fresh.compute(moved, structure.types, structure.cell)
        assert found.energy == pytest.approx(expected.energy, rel=1e-13)
        builds.append(potential.list_builds)
    assert builds == [1, 1, 1, 2, 2, 2]
    assert fresh.list_builds == 6


def test_computes_only_what_is_asked(potential):
    structure = crystal()
    everything = potential.compute(*structure, virial=True, virials=True)
    least = potential.compute(*structure, forces=False)
    assert (least.forces, least.virial, least.virials) == (None, None, None)
    assert least.energy == everything.energy
    np.testing.assert_array_equal(least.energies, everything.energies)
    only = potential.compute(*structure, forces=False, virial=True)
    assert only.forces is None
    np.testing.assert_array_equal(only.virial, everything.virial)
    shapes = [getattr(everything, name).shape for name in ("energies", "forces", "virial", "virials")]
    assert shapes == [(8,), (8, 3), (3, 3), (8, 3, 3)]


def test_takes_what_numpy_takes(potential):
    positions, types, cell = crystal()
    expected = potential.compute(positions, types, cell)
    big = np.zeros((len(positions), 6))
    big[:, ::2] = positions
    unaligned = np.frombuffer(b"\0" + positions.tobytes(), np.uint8)[1:].view(np.float64).reshape(-1, 3)
    read_only = positions.copy()
    read_only.flags.writeable = False
    for same in (positions.tolist(), np.asfortranarray(positions), big[:, ::2], positions.astype(">f8"), unaligned,
                 read_only):  # fmt: skip
        assert potential.compute(same, types, cell).energy == expected.energy
    for same in (types.tolist(), types.astype(np.int64), types.astype(np.uint8), types.astype(">i4"), tuple(types)):
        assert potential.compute(positions, same, cell).energy == expected.energy
    rounded = potential.compute(positions.astype(np.float32), types, cell)
    assert rounded.energy == pytest.approx(expected.energy, rel=1e-5)


def test_arrays_that_fit_are_used_where_they_are():
    from flashschnet import _arrays

    positions, types, _ = crystal()
    assert _arrays.floats(positions, "positions", "atoms", 3) is positions
    assert _arrays.integers(types, "types", "atoms") is types


def test_inputs_are_left_alone_and_results_are_new(potential):
    structure = crystal()
    kept = copy.deepcopy(structure)
    first = potential.compute(*structure)
    forces = first.forces.copy()
    potential.compute(structure.positions + 0.01, structure.types, structure.cell)
    potential.compute(structure.positions * 1.01, structure.types, structure.cell)
    np.testing.assert_array_equal(first.forces, forces)
    for now, before in zip(structure, kept, strict=True):
        np.testing.assert_array_equal(now, before)


def test_periodicity(potential):
    positions, types, cell = crystal()
    everywhere = potential.compute(positions, types, cell).energy
    assert potential.compute(positions, types, cell, True).energy == everywhere
    assert potential.compute(positions, types, cell, [1, 1, 1]).energy == everywhere
    nowhere = potential.compute(positions, types).energy
    assert potential.compute(positions, types, cell, False).energy == nowhere
    assert potential.compute(positions, types, pbc=False).energy == nowhere
    slab = potential.compute(positions, types, cell, (True, True, False)).energy
    assert len({everywhere, nowhere, slab}) == 3
    # A direction that is not periodic needs no vector; a long one leaves no neighbours.
    assert potential.compute(positions, types, [cell[0], cell[1], [0, 0, 0]], (1, 1, 0)).energy == slab
    tall = potential.compute(positions, types, [cell[0], cell[1], cell[2] * 50]).energy
    assert tall == pytest.approx(slab, rel=1e-12)


def test_a_batch_is_its_structures(potential):
    each = [crystal(seed, repeat) for seed, repeat in ((0, 2), (1, 3), (2, 1), (3, 2))]
    found = potential.compute_batch(*zip(*each, strict=True), virial=True, virials=True)
    assert len(found) == len(each)
    for results, structure in zip(found, each, strict=True):
        expected = potential.compute(*structure, virial=True, virials=True)
        assert results.energy == pytest.approx(expected.energy, rel=1e-13)
        for name in ("energies", "forces", "virial", "virials"):
            np.testing.assert_allclose(getattr(results, name), getattr(expected, name), rtol=1e-11, atol=1e-12)


def test_a_batch_of_mixed_cells(potential):
    positions, types, cell = crystal()
    choices = [(None, None), (cell, True), (cell, (True, False, True)), (cell, False)]
    found = potential.compute_batch([positions] * 4, types, [c for c, _ in choices], [p or False for _, p in choices])
    for results, (vectors, pbc) in zip(found, choices, strict=True):
        assert results.energy == pytest.approx(potential.compute(positions, types, vectors, pbc).energy, rel=1e-13)
    default = potential.compute_batch([positions] * 2, types, [None, cell])
    assert [each.energy for each in default] == pytest.approx([found[0].energy, found[1].energy], rel=1e-13)


def test_a_batch_takes_once_what_is_the_same(potential):
    positions, types, cell = crystal()
    replicas = positions + np.random.default_rng(0).normal(scale=0.02, size=(5, *positions.shape))
    once = potential.compute_batch(replicas, types, cell, True, excluded=[[0, 1], [2, 3]])
    every = potential.compute_batch(
        list(replicas), [types] * 5, [cell] * 5, [[True] * 3] * 5, excluded=[np.array([[0, 1], [2, 3]])] * 5
    )
    assert [each.energy for each in once] == [each.energy for each in every]
    assert potential.compute_batch(replicas, types, cell)[0].energy != once[0].energy


def test_a_batch_may_be_small(potential):
    positions, types, cell = crystal()
    (alone,) = potential.compute_batch([positions], [types], [cell])
    assert alone.energy == potential.compute(positions, types, cell).energy
    empty = potential.compute(np.empty((0, 3)), [])
    assert empty.energy == 0.0
    assert empty.forces.shape == (0, 3)
    pair = potential.compute_batch([np.empty((0, 3)), positions], [[], types])
    assert pair[0].energy == 0.0
    assert pair[1].energy == pytest.approx(potential.compute(positions, types).energy, rel=1e-13)


def test_excluded_pairs_do_not_interact(tmp_path):
    path = modelfile.write_random(tmp_path / "bonds.safetensors", excluded_bonds=1)
    potential = flashschnet.Potential(path, precision="double")
    near, far = [[0, 0, 0], [1.5, 0, 0]], [[0, 0, 0], [9.0, 0, 0]]
    apart = potential.compute(far, [1, 8], excluded=[]).energy
    assert potential.compute(near, [1, 8], excluded=[]).energy != apart
    for pairs in ([[0, 1]], [[1, 0]], np.array([[0, 1], [1, 0]], np.int64)):
        assert potential.compute(near, [1, 8], excluded=pairs).energy == apart


def test_threads_are_taken_from_the_environment_or_the_caller(model, precision):
    potential = flashschnet.Potential(model, "cpu", **precision.choices)
    assert 1 <= potential.threads <= int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count())


def test_copies_compute_the_same(potential):
    structure = crystal()
    expected = potential.compute(*structure).energy
    for copied in (pickle.loads(pickle.dumps(potential)), copy.deepcopy(potential), copy.copy(potential)):
        assert copied is not potential
        assert copied.precision == "double"
        assert copied.compute(*structure).energy == expected
    assert copy.deepcopy(potential).model is potential.model


def test_the_model_may_go_first(model_file):
    model = flashschnet.Model(model_file)
    potential = flashschnet.Potential(model, precision="double")
    expected = potential.compute(*crystal()).energy
    del potential.model, model
    assert potential.compute(*crystal()).energy == expected


def test_closing(model):
    with flashschnet.Potential(model, precision="double") as potential:
        potential.compute(*crystal())
    assert repr(potential) == f"<flashschnet.Potential {model.name!r}, closed>"
    potential.close()


def test_it_says_why_auto_does_not_take_tables(model_file):
    def kink(description, _):
        description["network"]["filter_envelope"] = {"kind": "cosine", "lower": 1.7}

    model = flashschnet.Model.from_bytes(modelfile.rebuilt(model_file.read_bytes(), kink), "kinked")
    with pytest.warns(UserWarning, match="kinked: filters are evaluated exactly, which is slower: tables of") as said:
        potential = flashschnet.Potential(model, "cpu")
    assert len(said) == 1
    assert potential.filters == "exact"
    assert any(f"kinked: {note}" == str(said[0].message) for note in potential.notes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert flashschnet.Potential(model, "cpu", filters="exact").notes == []
        assert flashschnet.Potential(model_file, "cpu").notes == []
