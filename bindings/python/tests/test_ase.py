"""The ASE calculator."""

from __future__ import annotations

import copy
import json
import pickle

import modelfile
import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from ase.stress import full_3x3_to_voigt_6_stress
from structures import crystal

import flashschnet
from flashschnet.ase import FlashSchNetCalculator


@pytest.fixture
def atoms(model_file) -> Atoms:
    return made(FlashSchNetCalculator(model_file, precision="double"))


def made(calculator, seed: int = 0, repeat: int = 2) -> Atoms:
    positions, types, cell = crystal(seed, repeat)
    return Atoms(types, positions, cell=cell, pbc=True, calculator=calculator)


def test_is_the_potential_in_ases_units(atoms, potential):
    expected = potential.compute(*crystal(), virial=True, virials=True)
    assert atoms.get_potential_energy() == expected.energy
    assert atoms.get_potential_energy(force_consistent=True) == expected.energy
    np.testing.assert_array_equal(atoms.get_potential_energies(), expected.energies)
    np.testing.assert_array_equal(atoms.get_forces(), expected.forces)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), -expected.virial / atoms.get_volume(), rtol=1e-12)
    np.testing.assert_allclose(
        atoms.get_stresses(),
        [full_3x3_to_voigt_6_stress(-virial / atoms.get_volume()) for virial in expected.virials],
        rtol=1e-12,
        atol=1e-15,
    )
    np.testing.assert_allclose(atoms.get_stresses().sum(axis=0), atoms.get_stress(), atol=1e-12)


def test_reference(shared, tmp_path, precision):
    reference = np.load(shared / "reference" / "zro2_n1_96.npz")
    target = tmp_path / "model.safetensors"
    flashschnet.convert(shared / "models" / "zro2_n1_schnetkit.torch", target)
    atoms = Atoms(reference["numbers"], reference["positions"], cell=reference["cell"], pbc=reference["pbc"])
    atoms.calc = FlashSchNetCalculator(target, **precision.choices)
    stress = full_3x3_to_voigt_6_stress(reference["stress"])
    assert atoms.get_potential_energies() == pytest.approx(
        reference["energies"], abs=precision.energy * np.abs(reference["energies"]).max()
    )
    assert atoms.get_forces() == pytest.approx(
        reference["forces"], abs=precision.forces * np.abs(reference["forces"]).max()
    )
    assert atoms.get_stress() == pytest.approx(stress, abs=precision.forces * np.abs(stress).max())


@pytest.mark.parametrize(("length", "energy"), [("Bohr", "Hartree"), ("nm", "kJ/mol"), ("Angstrom", "kcal/mol")])
def test_converts_units(tmp_path, length, energy):
    path = modelfile.write_random(tmp_path / "m.safetensors", units=(length, energy))
    a = {"Bohr": units.Bohr, "nm": units.nm, "Angstrom": units.Angstrom}[length]
    e = {"Hartree": units.Hartree, "kJ/mol": units.kJ / units.mol, "kcal/mol": units.kcal / units.mol}[energy]
    positions, types, cell = crystal()
    expected = flashschnet.Potential(path, precision="double").compute(positions, types, cell, virial=True)
    calculator = FlashSchNetCalculator(path, precision="double", skin=0.5)
    atoms = Atoms(types, positions * a, cell=cell * a, pbc=True, calculator=calculator)
    # The constants of ASE and of the model are of different years.
    assert atoms.get_potential_energy() == pytest.approx(expected.energy * e, rel=1e-7)
    assert atoms.get_forces() == pytest.approx(expected.forces * e / a, rel=1e-6, abs=1e-7 * e / a)
    stress = full_3x3_to_voigt_6_stress(-expected.virial * e / atoms.get_volume())
    assert atoms.get_stress() == pytest.approx(stress, rel=1e-6, abs=1e-7 * np.abs(stress).max())
    assert calculator.potential.skin * a == pytest.approx(0.5, rel=1e-7)


@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 1, 0), (0, 0, 1), (0, 0, 0)])
def test_finite_differences(atoms, pbc):
    atoms.pbc = pbc
    forces = atoms.get_forces()
    np.testing.assert_allclose(
        forces, calculate_numerical_forces(atoms, 1e-4), rtol=0, atol=1e-6 * np.abs(forces).max()
    )
    stress = atoms.get_stress()
    np.testing.assert_allclose(
        stress, calculate_numerical_stress(atoms, 1e-5), rtol=0, atol=1e-6 * np.abs(stress).max()
    )


def test_no_cell(atoms):
    free = Atoms(atoms.numbers, atoms.positions, calculator=atoms.calc)
    assert np.isfinite(free.get_potential_energy())
    assert free.get_forces().shape == (8, 3)
    for stress in (free.get_stress, free.get_stresses):
        with pytest.raises(PropertyNotImplementedError):
            stress()


def test_a_slab_without_a_third_vector(atoms):
    atoms.pbc = (True, True, False)
    energy = atoms.get_potential_energy()
    atoms.cell[2] = 0
    assert atoms.get_potential_energy() == energy
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_follows_every_change(atoms, model_file):
    def expected():
        fresh = atoms.copy()
        fresh.calc = FlashSchNetCalculator(model_file, precision="double", skin=0.0)
        return fresh.get_potential_energy()

    seen = [atoms.get_potential_energy()]
    for change in (
        lambda: atoms.rattle(0.05, seed=1),
        lambda: atoms.set_cell(atoms.cell.array * 1.02, scale_atoms=True),
        lambda: atoms.set_cell(atoms.cell.array * 1.02),
        lambda: atoms.symbols.__setitem__(0, "O" if atoms.symbols[0] != "O" else "C"),
        lambda: atoms.set_pbc((True, False, True)),
        lambda: atoms.__delitem__(3),
        lambda: atoms.extend(Atoms("H", [atoms.positions.mean(axis=0) + 1.1])),
        lambda: atoms.positions.__iadd__(0.3 * np.arange(3) * (np.arange(len(atoms)) == 0)[:, None]),
    ):
        change()
        energy = atoms.get_potential_energy()
        assert energy == pytest.approx(expected(), rel=1e-12)
        assert energy not in seen
        seen.append(energy)


def test_types_come_first(atoms, potential):
    positions, types, cell = crystal()
    expected = atoms.get_potential_energy()
    beads = Atoms(np.zeros(len(types)), positions, cell=cell, pbc=True, calculator=atoms.calc)
    beads.set_array("types", types)
    assert beads.get_potential_energy() == expected
    other = np.roll(types, 1)
    beads.arrays["types"][:] = other
    assert beads.get_potential_energy() == potential.compute(positions, other, cell).energy
    assert beads.get_potential_energy() != expected
    assert beads.copy().arrays["types"].tolist() == other.tolist()


def test_excluded(tmp_path):
    path = modelfile.write_random(tmp_path / "bonds.safetensors", excluded_bonds=1)
    calculator = FlashSchNetCalculator(path, precision="double", excluded=[[0, 1]])
    near = Atoms("HO", [[0, 0, 0], [1.5, 0, 0]], calculator=calculator)
    far = Atoms("HO", [[0, 0, 0], [9.5, 0, 0]], calculator=calculator)
    assert near.get_potential_energy() == far.get_potential_energy()
    calculator.set(excluded=[])
    assert near.get_potential_energy() != far.get_potential_energy()


@pytest.mark.parametrize(
    ("properties", "computed"),
    [
        (["energy"], {"energy", "free_energy", "energies"}),
        (["forces"], {"energy", "free_energy", "energies", "forces"}),
        (["stress"], {"energy", "free_energy", "energies", "stress"}),
        (["energy", "stresses"], {"energy", "free_energy", "energies", "stresses"}),
        (None, {"energy", "free_energy", "energies", "forces"}),
    ],
)
def test_computes_only_what_is_asked(atoms, properties, computed):
    atoms.calc.calculate(atoms, properties)
    assert set(atoms.calc.results) == computed


def test_does_not_compute_twice(atoms):
    atoms.get_forces()
    atoms.get_potential_energy()
    with_forces = atoms.calc.results
    atoms.get_forces()
    assert atoms.calc.results is with_forces
    assert atoms.calc.get_property("stress", atoms, allow_calculation=False) is None


def test_several_calculators(tmp_path, model_file):
    other = modelfile.write_random(tmp_path / "other.safetensors", seed=1)
    atoms = [
        made(FlashSchNetCalculator(path, precision="double"), seed) for path in (model_file, other) for seed in (0, 1)
    ]
    first = [each.get_potential_energy() for each in atoms]
    assert len(set(first)) == 4
    for each in atoms:
        each.rattle(0.01, seed=1)
        each.get_forces()
    for number, each in enumerate(atoms):
        each.positions = crystal(number % 2).positions
        assert each.get_potential_energy() == pytest.approx(first[number], rel=1e-13)


def test_one_calculator_for_several_atoms(atoms):
    other = made(atoms.calc, 1, 3)
    energies = atoms.get_potential_energy(), other.get_potential_energy()
    assert (atoms.get_potential_energy(), other.get_potential_energy()) == pytest.approx(energies, rel=1e-13)


def test_copies(atoms):
    energy = atoms.get_potential_energy()
    assert atoms.copy().calc is None
    for calculator in (copy.deepcopy(atoms.calc), pickle.loads(pickle.dumps(atoms.calc))):
        assert calculator.potential is not atoms.calc.potential
        assert calculator.parameters == atoms.calc.parameters
        again = made(calculator)
        again.rattle(0.1, seed=3)
        again.get_forces()
        assert atoms.get_potential_energy() == energy
        again.positions = atoms.positions
        assert again.get_potential_energy() == pytest.approx(energy, rel=1e-13)


def test_todict_makes_it_again(atoms, model_file):
    kept = json.loads(json.dumps(atoms.calc.todict()))
    assert kept == {"path": str(model_file), "precision": "double"}
    assert made(FlashSchNetCalculator(**kept)).get_potential_energy() == atoms.get_potential_energy()


def test_set(atoms, model_file, tmp_path):
    energy = atoms.get_potential_energy()
    assert atoms.calc.set(precision="double") == {}
    assert atoms.calc.results
    assert atoms.calc.set(skin=0.3) == {"skin": 0.3}
    assert not atoms.calc.results
    assert atoms.calc.potential.skin == 0.3
    assert atoms.get_potential_energy() == pytest.approx(energy, rel=1e-13)
    atoms.calc.set(path=str(modelfile.write_random(tmp_path / "other.safetensors", seed=1)))
    assert atoms.get_potential_energy() != energy
    with pytest.raises(TypeError, match="there is no parameter 'prescision'; there are path, device, precision, "):
        atoms.calc.set(prescision="double")
    with pytest.raises(TypeError):
        FlashSchNetCalculator(model_file, prescision="double")


def test_errors_are_the_cores(atoms):
    atoms.numbers[2] = 7
    with pytest.raises(flashschnet.InvalidArgument) as error:
        atoms.get_potential_energy()
    assert str(error.value) == f"invalid argument: atom 2 has type 7, which {atoms.calc.parameters.path} does not know"
    atoms.numbers[2] = 6
    assert np.isfinite(atoms.get_potential_energy())


def test_no_atoms(atoms):
    assert Atoms(calculator=atoms.calc).get_potential_energy() == 0.0


def test_energy_is_conserved(model_file, precision):
    atoms = made(FlashSchNetCalculator(model_file, **precision.choices))
    atoms.set_masses(np.full(len(atoms), 12.0))
    atoms.set_momenta(np.random.default_rng(0).normal(scale=np.sqrt(12.0 * 300.0 * units.kB), size=(len(atoms), 3)))
    start = atoms.get_positions()
    kinetic, totals = [], []
    dynamics = VelocityVerlet(atoms, 0.25 * units.fs)
    dynamics.attach(lambda: kinetic.append(atoms.get_kinetic_energy()))
    dynamics.attach(lambda: totals.append(atoms.get_total_energy()))
    dynamics.run(200)
    assert np.abs(atoms.positions - start).max() > 0.5
    assert np.ptp(totals) < 2e-3 * np.ptp(kinetic)
    assert 1 < atoms.calc.potential.list_builds < 20


def test_relaxation_with_cell_and_constraints(tmp_path):
    path = modelfile.write_random(tmp_path / "m.safetensors", scale=0.05)
    atoms = made(FlashSchNetCalculator(path, precision="double"))
    atoms.set_constraint(FixAtoms([0]))
    before = atoms.get_potential_energy()
    fixed = atoms.positions[0] @ np.linalg.inv(atoms.cell)
    BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-4, steps=20)
    assert atoms.get_potential_energy() < before - 1e-3
    np.testing.assert_allclose(atoms.positions[0] @ np.linalg.inv(atoms.cell), fixed, atol=1e-12)
