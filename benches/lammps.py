#!/usr/bin/env python3
"""The pair style of LAMMPS: what it adds to the core's time, how it scales, its memory and its drift.

    python benches/lammps.py [--quick]

wants flashschnet and its extra `lammps` installed, and two cores with nothing else to do. Everything is a ratio of
numbers that were measured by turns, with the salt of examples/nacl, single precision and one thread a process.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import flashschnet
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "examples" / "nacl" / "nacl.safetensors"
LATTICE = 5.4648
PROGRAMS = Path(sys.executable).parent

SALT = """
units metal
atom_modify sort 0 0
lattice fcc {lattice}
region box block 0 {x} 0 {y} 0 {z}
create_box 2 box
create_atoms 1 box
lattice fcc {lattice} origin 0.5 0 0
create_atoms 2 box
mass 1 22.99
mass 2 35.45
{pair}
velocity all create 600 4711 mom yes rot no dist gaussian
fix move all nve
timestep 0.001
thermo_modify norm no
"""
NETWORK = f"pair_style flashschnet\npair_coeff * * {MODEL} Na Cl"


@dataclass
class Cells:
    """A box of unit cells of eight atoms."""

    x: int
    y: int
    z: int

    @property
    def atoms(self) -> int:
        """Number of atoms."""
        return 8 * self.x * self.y * self.z

    def script(self, pair: str = NETWORK) -> str:
        """Commands up to a run."""
        return SALT.format(lattice=LATTICE, x=self.x, y=self.y, z=self.z, pair=pair)


def lammps(script: str, ranks: int) -> str:
    """What LAMMPS prints."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in.lmp").write_text(script, encoding="utf-8")
        done = subprocess.run(
            [PROGRAMS / "mpiexec", "-n", str(ranks), PROGRAMS / "lmp", "-in", "in.lmp", "-log", "none", "-nc"],
            cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"LAMMPS failed:\n{done.stdout[-2000:]}{done.stderr}")
    return done.stdout


def rows(text: str) -> np.ndarray:
    """Rows of thermodynamic output."""
    return np.array(
        [line.split() for line in re.findall(r"^ *\d+(?: +[-+.\de]+)+ *$", text, re.MULTILINE)], dtype=float
    )


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def overhead(runs: int, steps: int) -> None:
    """Time in the style that is not the core's, of the core's: in steps with the list they have, and in all."""
    cells = Cells(8, 8, 8)
    script = cells.script() + "compute times all pair flashschnet\nthermo 1\nneigh_modify every 10 delay 0 check no\n"
    script += f"thermo_style custom step c_times[3] c_times[4]\nthermo_modify format float %.12g\nrun {steps}\n"
    kept, all_steps = [], []
    for _ in range(runs):
        table = rows(lammps(script, 1))[1:]
        style, core = table[:, 1], table[:, 2]
        old = table[:, 0] % 10 != 0
        kept.append(100 * (style[old] - core[old]).sum() / core[old].sum())
        all_steps.append(100 * (style - core).sum() / core.sum())
    print(f"overhead at {cells.atoms} atoms on 1 process, % of the core's time: {spread(kept)}")
    print(f"  with a new list every 10 steps: {spread(all_steps)}")


def step_time(cells: Cells, ranks: int, steps: int) -> float:
    """Seconds a step, after some."""
    text = lammps(cells.script() + f"run 5 post no\nrun {steps}\n", ranks)
    return float(re.findall(r"^Loop time of (\S+)", text, re.MULTILINE)[-1]) / steps


def weak_scaling(runs: int, steps: int) -> None:
    """From one process to two, with as many atoms each.

    And two runs that know nothing of each other but share caches and memory: what the machine has of a second core.
    """
    one, two = Cells(5, 5, 10), Cells(10, 5, 10)
    together, apart, single = [], [], []
    for _ in range(runs):
        alone = step_time(one, 1, steps)
        together.append(100 * alone / step_time(two, 2, steps))
        script = one.script() + f"run 5 post no\nrun {steps}\n"
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "in.lmp").write_text(script, encoding="utf-8")
            command = [PROGRAMS / "lmp", "-in", "in.lmp", "-log", "none", "-nc"]
            both = [
                subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                                 env={**os.environ, "OMP_NUM_THREADS": "1"})
                for _ in range(2)
            ]  # fmt: skip
            loops = [re.findall(r"^Loop time of (\S+)", each.communicate()[0], re.MULTILINE)[-1] for each in both]
        apart.append(100 * alone / (max(map(float, loops)) / steps))
        single.append(1e6 * alone / one.atoms)
    print(f"weak scaling at {one.atoms} atoms a process, 1 to 2 processes, %: {spread(together)}")
    print(f"  two runs that know nothing of each other, %: {spread(apart)}")
    print(f"  one process: {spread(single)} µs an atom and step")


def peak(script: str, ranks: int) -> float:
    """Largest resident size in MB of all processes together, as many times that of the one that LAMMPS shows."""
    text = lammps(script + "shell 'grep VmHWM /proc/$PPID/status'\n", ranks)
    (size,) = re.findall(r"VmHWM:\s+(\d+) kB", text)
    return ranks * int(size) / 1e3


def memory(cells: Cells) -> None:
    """Of the network: beyond what LAMMPS itself needs for the atoms and a full list, and the core by itself."""
    pairs = "pair_style zero 5.0 full\npair_coeff * *"
    print(f"memory at {cells.atoms} atoms, kB an atom")
    for ranks in (1, 2):
        network, none = (peak(cells.script(pair) + "run 2\n", ranks) for pair in (NETWORK, pairs))
        style, rest = (1e3 * megabytes / cells.atoms for megabytes in (network - none, none))
        print(f"  LAMMPS on {ranks}: {style:.2f} for the style, {rest:.2f} for the rest")
    code = f"""
import numpy as np, flashschnet, re
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1e3
a = {LATTICE}
sides = [np.arange(2 * n) for n in ({cells.x}, {cells.y}, {cells.z})]
grid = np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 3)
types = np.where(grid.sum(1) % 2 == 0, 11, 17)
potential = flashschnet.Potential({str(MODEL)!r}, threads=1, skin=2.0)
positions = grid * a / 2
cell = np.diag(np.array([{cells.x}, {cells.y}, {cells.z}]) * a)
before = peak()
potential.compute(positions, types, cell, virial=True)
print((peak() - before) * 1e3 / len(types))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    print(f"  the core, with its own list: {float(done.stdout):.2f}")


def drift(picoseconds: float) -> None:
    """Of the total energy, in NVE at about 300 K on two processes: the slope of a line through it."""
    cells, steps = Cells(3, 3, 3), int(1000 * picoseconds)
    script = cells.script() + "thermo 20\nthermo_style custom step temp etotal\nthermo_modify format float %.12g\n"
    table = rows(lammps(script + f"run {steps}\n", 2))[
        50:
    ]  # after the first picosecond, in which potential energy is taken up
    time, energy = table[:, 0] / 1000, table[:, 2] / cells.atoms
    slope, offset = np.polyfit(time, energy, 1)
    scatter = (energy - slope * time - offset).std()
    print(
        f"drift in {picoseconds:g} ps of {cells.atoms} atoms at {table[:, 1].mean():.0f} K, 1 fs, 2 processes: "
        f"{1e6 * slope:.3g} µeV an atom and ps; scatter about the line {1e6 * scatter:.3g} µeV an atom"
    )


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, fewer atoms for memory")
    parser.add_argument("--only", choices=("overhead", "scaling", "memory", "drift"), help="one part")
    options = parser.parse_args()
    quick = options.quick
    print(f"flashschnet {flashschnet.__version__}, load {os.getloadavg()[0]:.1f} at the start")
    parts = {
        "overhead": lambda: overhead(3 if quick else 7, 30),
        "scaling": lambda: weak_scaling(3 if quick else 9, 30),
        "memory": lambda: memory(Cells(12, 12, 12) if quick else Cells(25, 25, 20)),
        "drift": lambda: drift(2 if quick else 20),
    }
    for name, part in parts.items():
        if options.only in (None, name):
            part()


if __name__ == "__main__":
    main()
