"""Energies, forces and virials of LAMMPS against the library called from Python, on any number of processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from flashschnet.convert import convert
from host import PRESSURE, Host, evaluate
from systems import BOXES, SPECIES, agree, crystal, expected, pair, setup

RANKS = [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("box", "ranks"),
    [*((box, ranks) for box in BOXES for ranks in (1, 2, 4)), ("cubic", 3), ("small triclinic", 3)],
)
def test_double_precision(host: Host, nacl: Path, box: str, ranks: int) -> None:
    """Sums run in another order than in Python: 1e-10 is what is promised, rounding leaves 1e-13."""
    atoms = BOXES[box]
    data = host.data(atoms, SPECIES)
    cases = [("on", ""), ("off", "")]
    if ranks == 4:
        cases += [("on", "processors 1 1 4"), ("off", "processors 4 1 1")]
        # Tiled communication wants boxes larger than the ghost cutoff, whoever computes.
        if "small" not in box:
            cases[1] = ("off", "comm_style tiled")
    script = ""
    for number, (newton, grid) in enumerate(cases):
        script += setup(data, atoms, newton=newton, more=grid) + pair(nacl) + evaluate(f"case{number}")
    output = host.run(script, ranks)
    wanted = expected(nacl, atoms)
    for number in range(len(cases)):
        agree(output.evaluation(f"case{number}"), wanted, 1e-10)


@pytest.mark.parametrize("ranks", [1, 2])
def test_other_precisions(host: Host, nacl: Path, ranks: int) -> None:
    """Against double precision: rounding of float32, and what tables leave. Energies are held closer than forces."""
    atoms = BOXES["triclinic"]
    data = host.data(atoms, SPECIES)
    choices = {"precision single": 5e-6, "precision single filters exact": 5e-6, "precision double filters table": 1e-8}
    script = ""
    for number, choice in enumerate(choices):
        script += setup(data, atoms, newton=("on", "off")[number % 2]) + pair(nacl, choice) + evaluate(f"case{number}")
    output = host.run(script, ranks)
    wanted = expected(nacl, atoms)
    for number, tolerance in enumerate(choices.values()):
        found = output.evaluation(f"case{number}")
        agree(found, wanted, tolerance)
        assert found.energy == pytest.approx(wanted.energy, rel=2e-6)


def test_default_precision_is_single_and_the_same_on_two_processes(host: Host, nacl: Path) -> None:
    """float32 sums in another order: 2e-6 of the largest force."""
    atoms = crystal((3, 2, 2))
    script = setup(host.data(atoms, SPECIES), atoms) + pair(nacl, "") + evaluate("case")
    one, two = (host.run(script, ranks).evaluation("case") for ranks in (1, 2))
    assert two.energy == pytest.approx(one.energy, rel=2e-6)
    np.testing.assert_allclose(two.forces, one.forces, rtol=0, atol=2e-6 * np.abs(one.forces).max())


@pytest.mark.parametrize("number", [96, 324, 768, 1500])
def test_zirconia(host: Host, shared: Path, number: int) -> None:
    """A model trained by others, with five blocks: double precision as from Python, single the same on all processes.

    The larger cells are crystals at rest, whose forces are next to nothing: sums over pairs that cancel, and in float32
    as sharp as their terms. They are held to the forces of the hot structure, of 96 atoms: the root of the mean square
    of components there is 1.7 eV/Å, the largest 6.5. Atoms' energies cancel
    to 4 to 12% of the sum of their sizes, and like atoms are rounded alike: what single precision makes of the energy
    is held to that sum.
    """
    model = host.folder / "zro2_n5.safetensors"
    convert(shared / "models" / "zro2_n5_schnetkit.torch", model)
    with pytest.warns(FutureWarning, match="FHI-aims"):
        atoms = read(shared / "models" / f"zro2_{number}.in", format="aims")
    species = ["Zr", "O"]
    script = setup(host.data(atoms, species), atoms) + pair(model, species=species) + evaluate("double")
    script += pair(model, "", species) + evaluate("single")
    wanted = expected(model, atoms)
    hot, hottest = 1.7, 6.5
    rounding = 1e-6 * np.abs(wanted.energies).sum()
    factor = PRESSURE["metal"] / 3 / atoms.get_volume()
    pressure = wanted.virial[:3].sum() * factor
    first = None
    for ranks in RANKS if number < 1000 else [1, 4]:
        output = host.run(script, ranks)
        found = output.evaluation("double")
        assert found.energy == pytest.approx(wanted.energy, rel=1e-10)
        assert found.virial[:3].sum() * factor == pytest.approx(pressure, rel=1e-10)
        np.testing.assert_allclose(found.forces, wanted.forces, rtol=0, atol=1e-10 * np.abs(wanted.forces).max())
        found = output.evaluation("single")
        first = first or found
        assert found.energy == pytest.approx(first.energy, rel=2e-6)
        assert found.energy == pytest.approx(wanted.energy, abs=rounding)
        np.testing.assert_allclose(found.forces, first.forces, rtol=0, atol=2e-6 * hottest)
        assert np.sqrt(np.mean((found.forces - first.forces) ** 2)) < 2e-6 * hot
        size = 2e-6 * hottest * 2.1 * number  # forces times bonds
        np.testing.assert_allclose(found.virial, first.virial, rtol=0, atol=size)
