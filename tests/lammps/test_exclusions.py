"""Molecules: pairs that a model leaves out of its graph, and those that it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from host import Host, evaluate
from modelfile import write_random
from systems import agree, expected

SPECIES = ["C", "O"]
CHAIN = 7


def chains(seed: int = 0) -> Atoms:
    """Eight zigzag chains in a box."""
    random = np.random.default_rng(seed)
    zigzag = np.array([[1.3 * k, 0.5 * (k % 2), 0.35 * (k % 3)] for k in range(CHAIN)])
    corners = np.array([[0.0, 3.7 * i, 3.6 * j] for i in range(4) for j in range(2)])
    positions = (zigzag + corners[:, None]).reshape(-1, 3) + random.normal(scale=0.05, size=(8 * CHAIN, 3))
    symbols = random.choice(SPECIES, size=len(positions))
    atoms = Atoms(symbols, positions, cell=[10.4, 14.8, 9.1], pbc=True)
    atoms.wrap()
    return atoms


def write_data(path: Path, atoms: Atoms) -> None:
    """As `atom_style bond`: bonds along the chains."""
    bonds = [(i, i + 1) for i in range(1, len(atoms)) if i % CHAIN]
    lines = ["chains", "", f"{len(atoms)} atoms", f"{len(bonds)} bonds", "2 atom types", "1 bond types", ""]
    lines += [f"0 {size:.17g} {axis}lo {axis}hi" for axis, size in zip("xyz", atoms.cell.lengths(), strict=True)]
    lines += ["", "Masses", "", "1 12.0", "2 16.0", "", "Atoms # bond", ""]
    for number, atom in enumerate(atoms, 1):
        x, y, z = atom.position
        kind = SPECIES.index(atom.symbol) + 1
        lines.append(f"{number} {(number - 1) // CHAIN + 1} {kind} {x:.17g} {y:.17g} {z:.17g}")
    lines += ["", "Bonds", "", *(f"{number} 1 {i} {j}" for number, (i, j) in enumerate(bonds, 1))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def excluded(bonds: int) -> np.ndarray:
    """Pairs within so many bonds."""
    atoms = np.arange(8 * CHAIN)
    pairs = [(i, j) for i in atoms for j in range(i + 1, i + bonds + 1) if i // CHAIN == j // CHAIN]
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)


def start(host: Host, atoms: Atoms, newton: str = "on") -> str:
    write_data(host.folder / "chains.data", atoms)
    return f"""
clear
units metal
newton {newton}
atom_style bond
bond_style zero
special_bonds lj 1 1 1
read_data chains.data
bond_coeff *
"""


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("bonds", [0, 1, 2, 3])
def test_special_bonds_are_the_exclusions(host: Host, bonds: int, ranks: int) -> None:
    atoms = chains()
    model = write_random(host.folder / "model.safetensors", excluded_bonds=bonds)
    factors = " ".join("0" if level <= bonds else "1" for level in (1, 2, 3))
    script = ""
    for newton in ("on", "off"):
        script += start(host, atoms, newton) + f"special_bonds lj {factors} coul 1 1 1\n"
        script += f"pair_style flashschnet precision double\npair_coeff * * {model} C O\n" + evaluate(
            f"simple-{newton}"
        )
        # Each style of a hybrid has its own, where the common factors are neither 0 nor 1.
        script += "special_bonds lj 0.5 0.5 0.5\npair_style hybrid/overlay flashschnet precision double lj/cut 4.0\n"
        script += f"pair_coeff * * flashschnet {model} C O\npair_coeff * * lj/cut 0.0 1.0\n"
        script += f"pair_modify pair flashschnet special lj {factors}\n" + evaluate(f"hybrid-{newton}")
    output = host.run(script, ranks)
    wanted = expected(model, atoms, excluded=excluded(bonds))
    for name in ("simple-on", "hybrid-on", "simple-off", "hybrid-off"):
        agree(output.evaluation(name), wanted, 1e-10)


def test_exclusions_by_hand(host: Host) -> None:
    """`neigh_modify exclude` for what special_bonds cannot say."""
    atoms = chains()
    model = write_random(host.folder / "model.safetensors", excluded_bonds=CHAIN)
    script = start(host, atoms).replace("special_bonds lj 1 1 1", "special_bonds lj 0 0 0")
    script += f"pair_style flashschnet precision double\npair_coeff * * {model} C O\n"
    assert "special_bonds reaches 3 bonds only and there is no neigh_modify exclude" in host.run(
        script + "run 0", 2, fails=True
    ).text.replace("\n", " ")
    found = host.run(script + "neigh_modify exclude molecule/intra all\n" + evaluate("case"), 2).evaluation("case")
    agree(found, expected(model, atoms, excluded=excluded(CHAIN)), 1e-10)


@pytest.mark.parametrize(
    ("bonds", "factors", "text"),
    [
        (0, "0 0 0", "the model has bonded pairs in its graph, which is special_bonds lj 1 1 1"),
        (0, "1 1 0.5", "the model has bonded pairs in its graph, which is special_bonds lj 1 1 1"),
        (2, "1 1 1", "the model leaves out pairs within 2 bonds and no others, which is special_bonds lj 0 0 1"),
        (2, "0 0 0", "the model leaves out pairs within 2 bonds and no others, which is special_bonds lj 0 0 1"),
    ],
)
def test_other_pairs_are_refused(host: Host, bonds: int, factors: str, text: str) -> None:
    model = write_random(host.folder / "model.safetensors", excluded_bonds=bonds)
    script = start(host, chains()) + f"special_bonds lj {factors}\n"
    script += f"pair_style flashschnet\npair_coeff * * {model} C O\nrun 0\n"
    assert text in host.run(script, 2, fails=True).text


def test_a_model_that_wants_exclusions_and_has_none(host: Host) -> None:
    atoms = chains()
    model = write_random(host.folder / "model.safetensors", excluded_bonds=2)
    data = host.data(atoms, SPECIES)
    script = (
        f"units metal\natom_style atomic\nread_data {data}\npair_style flashschnet\npair_coeff * * {model} C O\nrun 0\n"
    )
    text = host.run(script, fails=True).text
    assert "leaves out pairs within 2 bonds, but no bonds between its atoms are defined" in text
