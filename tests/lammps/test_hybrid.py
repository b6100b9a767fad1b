"""Several styles and several models side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from host import PRESSURE, Host, evaluate
from modelfile import write_random
from systems import SPECIES, agree, crystal, expected, setup

MIXED = [*SPECIES, "Ar"]


def with_argon() -> tuple[Atoms, Atoms]:
    """Rock salt with argon between its layers, in an order that mixes them; and the salt alone."""
    salt = crystal((2, 2, 2))
    gas = crystal((2, 2, 1), seed=1)[::3]
    gas.symbols[:] = "Ar"
    gas.positions[:, 2] += 13.5
    atoms = salt + gas
    cell = salt.cell.array.copy()
    cell[2, 2] += 8.0
    atoms.set_cell(cell)
    atoms = atoms[np.random.default_rng(3).permutation(len(atoms))]
    return atoms, atoms[[atom.symbol != "Ar" for atom in atoms]]


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("newton", ["on", "off"])
def test_atoms_of_other_styles_are_not_in_the_graph(host: Host, nacl: Path, ranks: int, newton: str) -> None:
    atoms, salt = with_argon()
    start = setup(host.data(atoms, MIXED), atoms, newton=newton)
    network = f"pair_coeff * * flashschnet {nacl} Na Cl NULL\n"
    script = ""
    for name, style in (("overlay", "hybrid/overlay"), ("plain", "hybrid")):
        script += start + f"pair_style {style} flashschnet precision double lj/cut 6.5\n" + network
        # Without depth, so that all that is left is the network's.
        script += "pair_coeff * 3 lj/cut 0.0 3.0\n" + evaluate(name)
    output = host.run(script, ranks)
    wanted = expected(nacl, salt)
    is_salt = np.array([atom.symbol != "Ar" for atom in atoms])
    for name in ("overlay", "plain"):
        found = output.evaluation(name)
        assert found.energy == pytest.approx(wanted.energy, rel=1e-10)
        for value, right in (
            (found.forces, wanted.forces),
            (found.energies, wanted.energies),
            (-found.virials / PRESSURE["metal"], wanted.virials),
        ):
            np.testing.assert_allclose(value[is_salt], right, rtol=0, atol=1e-10 * np.abs(right).max())
            assert (value[~is_salt] == 0).all()
        np.testing.assert_allclose(found.virial, wanted.virial, rtol=0, atol=1e-10 * np.abs(wanted.virial).max())
        sent, others = found.extras[:2]
        # Rows of the network's atoms only: 64 channels, 2 of 3 blocks forth and 3 back.
        assert sent == (0 if ranks == 1 else others * 64 * 5 * 8)


@pytest.mark.parametrize("ranks", [1, 2])
def test_two_models(host: Host, nacl: Path, ranks: int) -> None:
    """Of different widths and cutoffs, on the same atoms."""
    atoms = crystal((2, 2, 2))
    atoms.numbers = [{11: 6, 17: 8}[number] for number in atoms.numbers]
    one, other = (write_random(host.folder / f"{seed}.safetensors", seed=seed, blocks=seed + 1) for seed in (1, 2))
    start = setup(host.data(atoms, ["C", "O"]), atoms)
    script = start + "pair_style hybrid/overlay flashschnet precision double flashschnet precision double\n"
    script += f"pair_coeff * * flashschnet 1 {one} C O\npair_coeff * * flashschnet 2 {other} C O\n"
    script += evaluate("sum", "flashschnet 2")
    script += start + "pair_style hybrid/scaled 0.25 flashschnet precision double 0.75 flashschnet precision double\n"
    script += f"pair_coeff * * flashschnet 1 {one} C O\npair_coeff * * flashschnet 2 {one} C O\n"
    script += evaluate("mean", "flashschnet 1")
    output = host.run(script, ranks)
    first, second = expected(one, atoms), expected(other, atoms)
    agree(output.evaluation("mean"), first, 1e-10)
    for name in ("energy", "forces", "energies", "virial", "virials"):
        setattr(first, name, getattr(first, name) + getattr(second, name))
    agree(output.evaluation("sum"), first, 1e-10)
