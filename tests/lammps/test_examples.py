"""The inputs of examples/lammps as they stand."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from flashschnet.convert import convert
from flashschnet.lammps import export
from host import Host, Output
from test_export import FORMS, chain, write_model

EXAMPLES = ROOT / "examples" / "lammps"


def run(host: Host, example: str, ranks: int, **variables: object) -> Output:
    """An example with other numbers, in a folder like its own."""
    (host.folder / "nacl").mkdir()
    shutil.copy(ROOT / "examples" / "nacl" / "nacl.safetensors", host.folder / "nacl")
    here = Host(host.plugin, host.folder / "lammps")
    here.folder.mkdir(exist_ok=True)
    words = [word for key, value in variables.items() for word in ("-var", key, str(value))]
    return here.run((EXAMPLES / example).read_text(), ranks, arguments=tuple(words))


def test_salt(host: Host) -> None:
    output = run(host, "in.nacl", 2, cells=3, steps=100)
    rows = output.thermo()
    assert rows[0, 1] == pytest.approx(600)
    assert rows[1, 1] < 500
    assert rows[1, 3] == pytest.approx(rows[0, 3], abs=0.01)
    assert (output.folder / "nacl.dump").read_text().count("ITEM: TIMESTEP") == 2


@pytest.mark.parametrize("name", ["in.protein", "in.replicas"])
def test_molecules(host: Host, name: str) -> None:
    """With a chain of all forms of priors."""
    (host.folder / "lammps").mkdir()
    model = write_model(host.folder / "model.safetensors", list(FORMS))
    atoms = chain()
    export(model, atoms, host.folder / "lammps" / "chain", repulsion_cutoff=10.0)
    # Random networks are rough: short runs, at little more than rest.
    output = run(host, name, 2, name="chain", steps=20, temperature=3)
    assert "Loop time" in output.text


def test_chignolin(host: Host, shared: Path) -> None:
    """Some picoseconds of a protein whose model was trained by others: it stays whole and at its temperature."""
    (host.folder / "lammps").mkdir()
    model = host.folder / "cln.safetensors"
    structures = host.folder / "cln.xyz"
    convert(shared / "models" / "cln_ca_mlcg.pt", model, structures=structures)
    from ase.io import read

    export(model, read(structures, index=0), host.folder / "lammps" / "cln")
    output = run(host, "in.protein", 1, name="cln", steps=4000)
    rows = output.thermo()
    assert 100 < rows[1:, 1].mean() < 600
    assert (rows[:, 7] < 12).all()
    assert np.isfinite(rows).all()
