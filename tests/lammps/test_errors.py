"""What cannot work is refused, with the core's text where it is the core that refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host import Host
from modelfile import rebuilt, write_random
from systems import SPECIES, crystal, pair, setup

ATOMS = crystal((2, 2, 2))


def said(text: str) -> str:
    """A message in one line, as it was before LAMMPS broke it."""
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("precision", "pair_style flashschnet: precision has no value: pair_style flashschnet [device auto|cpu|gpu]"),
        ("precision quadruple", 'precision is "quadruple", must be one of single, double, half'),
        ("device abacus", 'device is "abacus", must be one of auto, cpu, cuda'),
        ("filters none", 'filters is "none", must be one of auto, exact, table'),
        ("threads 0", 'threads is "0", must be a number from 1 on'),
        ("colour red", 'there is no option "colour"'),
        ("units nano", 'units is "nano", can only be model'),
        ("priors on", "priors are LAMMPS' own styles here, which flashschnet export-lammps writes"),
        ("skin 1.0", "the skin is LAMMPS' own, set by the neighbor command"),
    ],
)
def test_pair_style(host: Host, nacl: Path, style: str, text: str) -> None:
    script = setup(host.data(ATOMS, SPECIES), ATOMS) + pair(nacl, style)
    assert text in said(host.run(script, fails=True).text)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("* * {model}", "0 types of the model for 2 atom types"),
        ("* * {model} Na Cl Cl", "3 types of the model for 2 atom types"),
        ("1 2 {model} Na Cl", "Pair_coeff must start with * * for pair style flashschnet"),
        ("* *", "must be pair_coeff * * model.safetensors, then a type of the model for each atom type"),
        ("* * {model} Na Br", 'atom type 2 is "Br", which the model does not know; it has Na (11), Cl (17)'),
        ("* * {model} 11 18", 'atom type 2 is "18", which the model does not know'),
        ("* * {model} NULL NULL", "every atom type is NULL"),
        ("* * {model} Na NULL", "All pair coeffs are not set"),
        ("* * nowhere.safetensors Na Cl", "nowhere.safetensors"),
        ("* * damaged.safetensors Na Cl", "damaged.safetensors"),
        ("* * empty.safetensors Na Cl", "empty.safetensors"),
        ("* * . Na Cl", "cannot read .: it is not a regular file"),
        ("* * nothing.safetensors H C", "nothing to compute"),
    ],
)
def test_pair_coeff(host: Host, nacl: Path, arguments: str, text: str) -> None:
    """On two processes, so that none is left waiting for another."""
    (host.folder / "damaged.safetensors").write_bytes(nacl.read_bytes()[:-100])
    (host.folder / "empty.safetensors").write_bytes(b"")

    def without_anything(description: dict, tensors: dict) -> None:
        description["network"] = None
        tensors.clear()

    random = write_random(host.folder / "random.safetensors")
    (host.folder / "nothing.safetensors").write_bytes(rebuilt(random.read_bytes(), without_anything))
    script = setup(host.data(ATOMS, SPECIES), ATOMS) + "pair_style flashschnet\npair_coeff "
    output = host.run(script + arguments.format(model=nacl) + "\nrun 0\n", 2, fails=True)
    assert text in said(output.text)


def test_a_gpu_that_is_not_there(host: Host, nacl: Path) -> None:
    """With the core's words, whichever they are in this build and on this machine."""
    import flashschnet

    try:
        flashschnet.Potential(nacl, "gpu")
    except flashschnet.Error as error:
        text = str(error)
    else:
        pytest.skip("there is a GPU")
    script = setup(host.data(ATOMS, SPECIES), ATOMS) + pair(nacl, "device gpu")
    assert said(text) in said(host.run(script, 2, fails=True).text)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("pair_modify shift yes", "pair_modify shift and tail have no meaning for a network"),
        ("pair_modify tail yes", "pair_modify shift and tail have no meaning for a network"),
        ("neigh_modify include some", "neigh_modify include would leave atoms out of the graph"),
        ("compute c all pair/local eng", "Pair style does not support compute pair/local"),
        ("compute c all centroid/stress/atom NULL pair\ndump d all custom 1 /dev/null c_c[1]",
         "does not support compute centroid/stress/atom"),
        ("run_style respa 2 2 inner 1 3.0 4.0 outer 2", "rRESPA inner/middle/outer"),
    ],
)  # fmt: skip
def test_what_the_style_does_not_do(host: Host, nacl: Path, command: str, text: str) -> None:
    script = setup(host.data(ATOMS, SPECIES), ATOMS).replace("read_data", "atom_modify first some\nread_data")
    script += "group some id <= 10\n" + pair(nacl) + command + "\nrun 0\n"
    assert text in said(host.run(script, fails=True).text)


@pytest.mark.parametrize("ranks", [1, 2])
def test_two_atoms_at_one_point(host: Host, nacl: Path, ranks: int) -> None:
    """The core counts the atoms it was given; LAMMPS' users know them by their IDs."""
    atoms = ATOMS.copy()
    atoms.positions[40] = atoms.positions[17]
    text = said(host.run(setup(host.data(atoms, SPECIES), atoms) + pair(nacl) + "run 0\n", ranks, fails=True).text)
    assert "are at the same point" in text
    assert "has ID 41" in text
    assert "has ID 18" in text


def test_an_energy_that_is_no_number(host: Host) -> None:
    """Of a model whose weights are beyond reason."""
    atoms = ATOMS.copy()
    atoms.numbers = np.where(atoms.numbers == 11, 8, 1)
    model = write_random(host.folder / "model.safetensors", scale=1e308)
    script = setup(host.data(atoms, ["O", "H"]), atoms) + pair(model, species=["O", "H"]) + "run 0\n"
    assert "not finite" in said(host.run(script, fails=True).text) or "is inf" in said(
        host.run(script, fails=True).text
    )


def test_a_pair_coeff_that_is_missing(host: Host) -> None:
    script = setup(host.data(ATOMS, SPECIES), ATOMS) + "pair_style flashschnet\nrun 0\n"
    assert "All pair coeffs are not set" in said(host.run(script, fails=True).text)


def test_settings_given_again_want_coefficients_again(host: Host, nacl: Path) -> None:
    script = (
        setup(host.data(ATOMS, SPECIES), ATOMS) + pair(nacl) + "run 0\npair_style flashschnet precision single\nrun 0\n"
    )
    assert "All pair coeffs are not set" in said(host.run(script, fails=True).text)


def test_a_model_of_priors_only(host: Host, shared: Path) -> None:
    from flashschnet.convert import convert

    models = shared / "models"
    convert(
        models / "cln_5b_priors_mlcg.pt", host.folder / "priors.safetensors", terms=models / "cln_5b_structures_mlcg.pt"
    )
    script = setup(host.data(ATOMS, SPECIES), ATOMS) + "pair_style flashschnet\npair_coeff * * priors.safetensors 1 2\n"
    assert "has no network, only priors" in said(host.run(script, 2, fails=True).text)
