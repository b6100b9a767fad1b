"""Priors of coarse-grained models, against mlcg's own numbers, and molecules that callers add."""

from __future__ import annotations

import pickle
from pathlib import Path

import modelfile
import numpy as np
import pytest
from conftest import Precision

import flashschnet

#: Rounding of float64 in the terms: some 10 operations each, and sums of a few hundred.
EXACT = 1e-12


def relative(found, expected) -> float:
    return np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()


def test_every_term_of_chignolin(shared: Path, tmp_path: Path, precision: Precision):
    reference = np.load(shared / "reference" / "cln_ca.npz")
    target = tmp_path / "model.safetensors"
    flashschnet.convert(shared / "models" / "cln_ca_mlcg.pt", target)
    potential = flashschnet.Potential(target, **precision.choices)
    assert set(potential.model.priors) == {"bonds", "angles", "dihedrals", "non_bonded"}
    found = potential.compute_batch(reference["positions"], reference["types"])
    for prior in potential.model.priors:
        assert relative([each.terms[prior] for each in found], reference[f"{prior}_energy"]) < EXACT
    tolerance = max(EXACT, precision.energy)
    assert relative([each.terms["network"] for each in found], reference["SchNet_energy"]) < tolerance
    assert relative([each.energy for each in found], reference["energy"]) < tolerance
    assert relative([each.forces for each in found], reference["forces"]) < max(EXACT, precision.forces)
    # Priors alone: the difference of two calls.
    off = flashschnet.Potential(target, **precision.choices, priors="off")
    network = off.compute_batch(reference["positions"], reference["types"])
    forces = np.array([each.forces for each in found]) - [each.forces for each in network]
    assert relative(forces, sum(reference[f"{prior}_forces"] for prior in potential.model.priors)) < EXACT
    assert [list(each.terms) for each in network] == [["network"]] * 4


def test_every_term_of_five_beads(shared: Path, tmp_path: Path):
    reference = np.load(shared / "reference" / "cln_5b_priors.npz")
    target = tmp_path / "model.safetensors"
    source = shared / "models" / "cln_5b_priors_mlcg.pt"
    flashschnet.convert(source, target, terms=shared / "models" / "cln_5b_structures_mlcg.pt")
    potential = flashschnet.Potential(target)
    found = potential.compute_batch(reference["positions"], reference["types"])
    compared = 0
    for prior in potential.model.priors:
        energies = np.array([each.terms[prior] for each in found])
        if f"{prior}_energy" in reference:
            assert relative(energies, reference[f"{prior}_energy"]) < EXACT, prior
            compared += 1
        else:
            assert (energies == 0).all(), prior
    assert compared == len([name for name in reference if name.endswith("_energy")])
    assert relative([each.energy for each in found], reference["energy"]) < EXACT
    assert relative([each.forces for each in found], reference["forces"]) < EXACT


POSITIONS = np.array([[0.0, 0.0, 0.0], [1.25, 0.0, 0.0], [1.25, 2.0, 0.0]])
TYPES = [1, 1, 2]
#: What the terms of the molecule are by hand.
BONDS, FAR = 0.25**2 + 2 * 0.5**2 + 0.25, (2.0 / np.hypot(1.25, 2.0)) ** 6


@pytest.fixture
def bonds(tmp_path: Path) -> flashschnet.Potential:
    return flashschnet.Potential(modelfile.write_bonds(tmp_path / "bonds.safetensors"))


def test_a_model_without_network(bonds: flashschnet.Potential):
    found = bonds.compute(POSITIONS, TYPES, virial=True, virials=True)
    assert found.terms == pytest.approx({"network": 0.0, "bonds": BONDS, "far": FAR}, rel=1e-15)
    assert found.energy == pytest.approx(BONDS + FAR, rel=1e-15)
    assert found.energies.sum() == pytest.approx(found.energy, rel=1e-15)
    np.testing.assert_allclose(found.forces.sum(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(found.virial, found.forces.T @ POSITIONS, atol=1e-14)
    np.testing.assert_allclose(found.virials.sum(axis=0), found.virial, atol=1e-14)
    assert (bonds.device, bonds.precision) == ("cpu", "double")
    assert (bonds.model.priors, bonds.model.structures, bonds.model.cutoff) == (("bonds", "far"), ("bent",), 0)


def test_molecules_are_found_by_their_types(bonds: flashschnet.Potential):
    alone = bonds.compute(POSITIONS, TYPES).energy
    number = bonds.add_topology([2, 1], {"bonds": [[0, 1]], "far": []}, "pair")
    assert number == 1
    pair = bonds.compute_batch([POSITIONS, POSITIONS[:2], POSITIONS], [TYPES, [2, 1], TYPES], topologies=[0, -1, -1])
    assert [each.energy for each in pair] == [alone, pytest.approx(2 * 0.25**2 + 0.25), alone]
    assert bonds.compute(POSITIONS[:2], [2, 1], topology=1).energy == pair[1].energy
    copy = pickle.loads(pickle.dumps(bonds))
    assert copy.compute(POSITIONS[:2], [2, 1]).energy == pair[1].energy


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ({"bonds": [[0, 1, 2]], "far": []}, "terms['bonds'] must have shape (terms, 2), not (1, 3)"),
        ({"bonds": [0, 1], "far": []}, "terms['bonds'] must have shape (terms, atoms), not (2,)"),
        (
            {"bonds": [[0, 1]]},
            'topology "mine": prior "far": has no term list; give an empty one if the molecule has no such terms',
        ),
        ({"bonds": [[0, 2]], "far": []}, 'topology "mine": prior "bonds": term 0 names atom 2, and there are 2'),
        (
            {"bonds": [], "far": [[1, 0]]},
            'topology "mine": prior "far": term 0 joins atoms [1, 0] of types [2, 1], which its table does not have',
        ),
        ({"bands": [], "far": []}, 'topology "mine": there is no prior "bands" in {model}; there are bonds, far'),
    ],
)
def test_wrong_terms(bonds: flashschnet.Potential, terms, text):
    with pytest.raises(flashschnet.InvalidArgument) as caught:
        bonds.add_topology([1, 2], terms, "mine")
    assert str(caught.value) == "invalid argument: " + text.replace("{model}", bonds.model.name)


def test_structures_that_fit_no_molecule(bonds: flashschnet.Potential):
    for arguments, text in (
        ({}, f"structure 0 has 2 atoms of types that none of 1 topologies has, and {bonds.model.name} has priors: "
             "add a topology with its term lists, or turn priors off"),
        ({"topology": 0}, 'structure 0 does not have the types of topology 0 ("bent")'),
        ({"topology": 3}, "structure 0 asks for topology 3, and there are 1"),
    ):  # fmt: skip
        with pytest.raises(flashschnet.InvalidArgument) as caught:
            bonds.compute(POSITIONS[:2], [1, 1], **arguments)
        assert str(caught.value) == "invalid argument: " + text
    with pytest.raises(flashschnet.InvalidArgument, match="2 topologies for 1 structures"):
        bonds.compute_batch([POSITIONS], [TYPES], topologies=[0, 0])
    with pytest.raises(TypeError, match="topology must be integers"):
        bonds.compute(POSITIONS, TYPES, topology=0.5)
    with pytest.raises(flashschnet.InvalidArgument) as caught:
        bonds.compute(POSITIONS * [1, 0, 1], TYPES)
    assert str(caught.value) == ('invalid argument: structure 0: prior "bonds": atoms 1 and 2 are at the same point')


def test_a_domain_computes_the_network_only(bonds: flashschnet.Potential, shared: Path, tmp_path: Path):
    bonds.set_neighbors([0, 0, 0, 0], [])
    with pytest.raises(flashschnet.Unsupported) as caught:
        bonds.compute_domain(POSITIONS, TYPES)
    assert str(caught.value) == f"not supported: {bonds.model.name} has no network, only priors"


def test_ase(tmp_path: Path):
    pytest.importorskip("ase")
    from ase import Atoms, units

    from flashschnet.ase import FlashSchNetCalculator

    atoms = Atoms("X3", POSITIONS)
    atoms.set_array("types", np.array(TYPES))
    atoms.calc = FlashSchNetCalculator(modelfile.write_bonds(tmp_path / "bonds.safetensors"))
    assert atoms.get_potential_energy() == pytest.approx((BONDS + FAR) * units.kcal / units.mol, rel=1e-7)
    atoms.calc.set(topology=0)
    assert atoms.get_potential_energy() == pytest.approx((BONDS + FAR) * units.kcal / units.mol, rel=1e-7)
    with pytest.raises(flashschnet.Unsupported):
        atoms.calc.set(priors="off")


def test_choices(tmp_path: Path):
    path = modelfile.write_random(tmp_path / "m.safetensors")
    with pytest.raises(flashschnet.InvalidArgument) as caught:
        flashschnet.Potential(path, priors="maybe")
    assert str(caught.value) == 'invalid argument: priors is "maybe", must be one of on, off'
    with pytest.raises(flashschnet.Unsupported, match="has no priors, or they are off"):
        flashschnet.Potential(path).add_topology([1], {})
