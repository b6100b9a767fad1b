"""The Fortran module: handles, arrays, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flashschnet import Potential, Simulation
from flashschnet.convert.model import Model, float_tensor, int_tensor
from flashschnet.convert.writer import write
from tree import FLAGS, MODULE, NACL, ROOT, Prefix, need, run


def build(name: str, prefix: Prefix, folder: Path, checks: str) -> Path:
    """A program with the module compiled by the same rules."""
    need("gfortran", "pkg-config")
    flags = [*FLAGS["Fortran"].split(), *checks.split(), f"-J{folder}"]
    program = ROOT / "tests" / "link" / "programs" / f"{name}.f90"
    run("gfortran", *flags, *MODULE, program, "-o", folder / name, *prefix.flags("--libs", "flashschnet"))
    return folder / name


CHECKS = pytest.mark.parametrize("checks", ["", "-fsanitize=address,undefined"], ids=["plain", "sanitizers"])


@CHECKS
def test_handles(prefix, tmp_path, checks):
    assert "NOT TRUE" not in run(build("handles", prefix, tmp_path, checks), NACL)


@CHECKS
def test_dynamics(prefix, tmp_path, checks):
    path = tmp_path / "bonds.safetensors"
    write_bonds(path)
    said = run(build("dynamics", prefix, tmp_path, checks), path)
    assert "NOT TRUE" not in said
    found = np.array(said.split(), float).reshape(3, 3, 3)
    # The same in Python.
    potential = Potential(path, "cpu", "double", threads=1)
    number = potential.add_topology([1, 2, 3], {"p": [[0, 1], [1, 2]]})
    start = [[[1.1 * (i % 3), 0.1 * i, 0.0] for i in range(3 * r, 3 * r + 3)] for r in range(3)]
    simulation = Simulation(
        potential, start, [1, 2, 3], thermal_energy=[0.5, 0.6, 0.7], timestep=0.002, friction=3.0, seed=11,
        topologies=[number] * 3, streams=[4, 2, 7], exchange_interval=5, ladders=[0, 0, -1],
    )  # fmt: skip
    simulation.run(40)
    np.testing.assert_allclose(found, simulation.positions, rtol=0, atol=1e-9)


def write_bonds(path: Path) -> None:
    """A model of harmonic bonds by type, without a network."""
    kinds = [1, 2, 3]
    pairs = [(a, b) for a in kinds for b in kinds]
    bonds = {"k": 2.0 + 0.1 * np.arange(9), "x0": 1.0 + 0.05 * np.arange(9), "v0": np.zeros(9)}
    tensors = {f"priors.p.{name}": float_tensor(values) for name, values in bonds.items()}
    tensors |= {
        "priors.p.types": int_tensor(pairs),
        "priors.p.atoms": int_tensor([[0, 1]]),
        "priors.p.offsets": int_tensor([0, 1]),
        "structures.types": int_tensor([1, 1]),
    }
    types = [{"index": kind, "name": f"B{kind}", "atomic_number": None, "mass": 12.0} for kind in kinds]
    prior = {"name": "p", "kind": "harmonic_bond", "lookup": "per_type", "terms": True, "count": 9}
    structures = [{"name": "pair", "atoms": 2}]
    model = Model("test", ("Angstrom", "kcal/mol"), types, None, tensors, priors=[prior], structures=structures)
    write(model, {}, path)


FORGETFUL = """
program forgetful
   use flashschnet
   type(fsn_model) :: model
   type(fsn_potential) :: potential
   real(kind(1d0)) :: positions(3, 2), energy
   positions = 0
   positions(1, 2) = 2.7d0
   {loading}
   {making}
   call potential%compute(positions, [11, 17], energy=energy)
   print *, 'went on'
end program
"""


@pytest.mark.parametrize(
    ("loading", "making", "text"),
    [
        ("", "call potential%create(model)", "invalid argument: model is a null pointer"),
        ("call model%load('{model}')", "", "invalid argument: potential is a null pointer"),
        ("call model%load('no.safetensors')", "", "cannot read no.safetensors: No such file or directory (os error 2)"),
    ],
)
def test_what_is_forgotten_stops_cleanly(prefix, tmp_path, loading, making, text):
    need("gfortran", "pkg-config")
    source = FORGETFUL.format(loading=loading.format(model=NACL), making=making)
    (tmp_path / "program.f90").write_text(source)
    flags = prefix.flags("--cflags", "--libs", "flashschnet-fortran")
    run("gfortran", tmp_path / "program.f90", "-o", tmp_path / "program", *flags)
    output = run(tmp_path / "program", fails=True)
    assert output.splitlines()[0] == text
    assert "ERROR STOP 1" in output
    assert "SIG" not in output
    assert "went on" not in output


def test_sources_keep_to_their_lines():
    for path in MODULE[0].parent.glob("*.f90"):
        assert path in MODULE
        assert max(map(len, path.read_text().splitlines())) <= 132, path
