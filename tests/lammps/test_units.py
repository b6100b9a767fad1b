"""Models and LAMMPS in different units."""

from __future__ import annotations

from pathlib import Path

import pytest
from ase import units
from host import PRESSURE, Host, evaluate
from modelfile import write_random
from systems import SPECIES, agree, crystal, expected, pair, setup

KCAL_PER_MOL = 4184.0 / 6.02214076e23 / 1.602176634e-19  # eV
HARTREE, BOHR = 27.211386245988, 0.529177210903
# LAMMPS' units of length in Å and of energy in eV.
STYLES = {
    "metal": (1.0, 1.0),
    "real": (1.0, KCAL_PER_MOL),
    "electron": (BOHR, HARTREE),
    "si": (1e10, 1 / 1.602176634e-19),
    "cgs": (1e8, 1e-7 / 1.602176634e-19),
    "micro": (1e4, 1e-15 / 1.602176634e-19),
    "nano": (10.0, 1e-21 / 1.602176634e-19),
}
# The same of models.
MODELS = {
    ("Angstrom", "eV"): (1.0, 1.0),
    ("nm", "kJ/mol"): (10.0, KCAL_PER_MOL / 4.184),
    ("Bohr", "Hartree"): (BOHR, HARTREE),
}


@pytest.mark.parametrize("ranks", [1, 2])
def test_every_unit_style(host: Host, ranks: int) -> None:
    """Physics is the same in all of them."""
    ase_crystal = crystal((2, 2, 2))
    ase_crystal.numbers = [{11: 8, 17: 1}[number] for number in ase_crystal.numbers]
    script, cases = "", []
    for style, (length, energy) in STYLES.items():
        for (length_name, energy_name), (model_length, model_energy) in MODELS.items():
            if style not in ("metal", "real") and length_name != "nm":
                continue
            name = f"{style}-{length_name}"
            model = write_random(host.folder / f"{name}.safetensors", units=(length_name, energy_name))
            # The cutoff of random models is 4 of their unit, so the structure is scaled to theirs.
            in_model = ase_crystal.copy()
            in_model.set_cell(in_model.cell / 1.5, scale_atoms=True)
            in_lammps = in_model.copy()
            in_lammps.set_cell(in_model.cell * model_length / length, scale_atoms=True)
            data = host.data(in_lammps, ["O", "H"], f"{name}.data")
            skin = 0.5 * model_length / length
            script += setup(data, in_lammps, units=style) + f"neighbor {skin} bin\n"
            script += pair(model, species=["O", "H"])
            # The factor of pressures is LAMMPS' own, known to the tests where people use virials most.
            script += evaluate(name, units=style if style in PRESSURE else "metal")
            cases.append((name, style, model, in_model, model_length / length, model_energy / energy))
    output = host.run(script, ranks)
    for name, style, model, atoms, length, energy in cases:
        found, wanted = output.evaluation(name), expected(model, atoms)
        wanted.forces /= length
        names = ("forces", "energies") + (("virial", "virials") if style in PRESSURE else ())
        agree(found, wanted, 1e-10, unit=energy, units=style, names=names)


def test_lj_wants_consent(host: Host, nacl: Path) -> None:
    atoms = crystal((2, 2, 2))
    data = host.data(atoms, SPECIES)
    output = host.run(setup(data, atoms, units="lj") + pair(nacl), fails=True)
    assert (
        "units lj have no length and energy of their own; if lengths are in Angstrom and energies in eV, as the "
        "model's, say pair_style flashschnet units model" in output.text
    )
    output = host.run(setup(data, atoms, units="lj") + pair(nacl, "precision double units model") + evaluate("case"))
    agree(output.evaluation("case"), expected(nacl, atoms), 1e-10, names=("forces", "energies"))


def test_constants_are_those_of_the_core() -> None:
    """The table of LAMMPS' units and the core's: ASE's constants are of 2014, 1e-8 away."""
    assert pytest.approx(units.kcal / units.mol, rel=1e-7) == KCAL_PER_MOL
