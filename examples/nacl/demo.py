#!/usr/bin/env python3
"""About a minute of NVE molecular dynamics of crystalline NaCl, with everything one looks at shown.

Equilibrates 216 atoms with a thermostat, switches it off, and follows kinetic, potential and total energy through ASE.
Writes the trajectory, a table and a picture to a folder.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import flashschnet
import matplotlib as mpl
import numpy as np
from ase import Atoms, units
from ase.io import read, write
from ase.md.verlet import VelocityVerlet
from flashschnet.ase import FlashSchNetCalculator
from tqdm import tqdm

from nve import equilibrate

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
RECORD = 10  # steps between two rows of the table
FRAMES = 250  # frames of the trajectory, about
SHOWN = 2.0  # ps of kinetic and potential energy in the picture
DAY = 86400.0


@dataclass
class Record:
    """What is noted of a run: times in ps, energies in eV of the whole system."""

    atoms: Atoms
    times: list[float] = field(default_factory=list)
    kinetic: list[float] = field(default_factory=list)
    potential: list[float] = field(default_factory=list)
    temperature: list[float] = field(default_factory=list)

    def add(self, time_ps: float) -> None:
        """Note the present state."""
        self.times.append(time_ps)
        self.kinetic.append(self.atoms.get_kinetic_energy())
        self.potential.append(self.atoms.get_potential_energy())
        self.temperature.append(self.atoms.get_temperature())

    def total(self) -> np.ndarray:
        """Total energy from the start of the run, in meV/atom."""
        total = np.array(self.kinetic) + self.potential
        return 1e3 * (total - total[0]) / len(self.atoms)

    def drift(self) -> tuple[np.ndarray, float]:
        """Slope and level of a line through the total energy, in meV/atom/ps and meV/atom; and the slope's error.

        The error is that of a line through means over tenths of the run: neighbouring steps are not independent.
        """
        times, total = np.array(self.times), self.total()
        line = np.polyfit(times, total, 1)
        if len(times) < 40:
            return line, np.nan
        means = [[part.mean() for part in np.array_split(values, 10)] for values in (times, total)]
        return line, float(np.sqrt(np.polyfit(*means, 1, cov=True)[1][0, 0]))


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def introduce(atoms: Atoms, potential: flashschnet.Potential, args: argparse.Namespace) -> None:
    """Say what is about to be computed, and with what."""
    model = potential.model
    network = model.description["network"]
    print(
        f"NVE molecular dynamics of crystalline NaCl, through ASE: {len(atoms)} atoms, {args.temperature:g} K, "
        f"steps of {args.timestep:g} fs\n"
        f"  model      {args.model.name}: SchNet, {network['blocks']} blocks, {network['features']} features, "
        f"cutoff {network['cutoff']:g} {model.units.length}, {model.parameters} parameters\n"
        f"  library    flashschnet {flashschnet.__version__}: device {potential.device}, precision "
        f"{potential.precision}, filters {potential.filters}, threads {potential.threads}\n"
        f"  processor  {processor()}",
        flush=True,
    )


def run(atoms: Atoms, steps: int, step: float, out: Path) -> tuple[Record, float]:
    """Run NVE dynamics with a progress bar; returns what was noted and the seconds it took."""
    record = Record(atoms)
    trajectory = out / "nve.extxyz"
    trajectory.unlink(missing_ok=True)
    dynamics = VelocityVerlet(atoms, step)
    between = max(RECORD, steps // FRAMES)
    terminal = sys.stderr.isatty()
    started = shown = time.perf_counter()
    bar = tqdm(
        total=steps,
        unit="step",
        desc="NVE",
        mininterval=0.5 if terminal else 10.0,
        dynamic_ncols=terminal,
        bar_format="{desc} {percentage:3.0f}%|{bar:20}| {elapsed}<{remaining} {rate_fmt}{postfix}",
    )

    def look() -> None:
        nonlocal shown
        record.add(dynamics.nsteps * step / (1e3 * units.fs))
        bar.update(dynamics.nsteps - bar.n)
        if len(record.times) > 2 and time.perf_counter() - shown > bar.mininterval:
            shown = time.perf_counter()
            total = (record.kinetic[-1] + record.potential[-1]) / len(atoms)
            bar.set_postfix_str(
                f"{record.times[-1]:.1f} ps, E {total:.5f} eV/atom, T {record.temperature[-1]:.0f} K, "
                f"drift {1e3 * record.drift()[0][0]:+.2f} meV/atom/ns",
                refresh=False,
            )

    dynamics.attach(look, interval=RECORD)
    # Forces and momenta too, so that any frame can be a new start.
    dynamics.attach(lambda: write(trajectory, atoms, append=True), interval=between)
    dynamics.run(steps)
    seconds = time.perf_counter() - started
    bar.close()
    return record, seconds


def draw(record: Record, path: Path) -> None:
    """Energies and temperature over time."""
    times, atoms = np.array(record.times), len(record.atoms)
    kinetic, potential, total = np.array(record.kinetic), np.array(record.potential), record.total()
    (slope, level), error = record.drift()
    figure, (upper, middle, lower) = plt.subplots(3, 1, figsize=(8, 9), layout="constrained")
    figure.suptitle(f"NVE dynamics of {atoms} atoms of NaCl")

    # Each from its own mean: absolute energies would hide that one gains what the other loses. All of the run would be
    # a band of ink.
    last = times >= times[-1] - SHOWN
    upper.plot(times[last], 1e3 * (kinetic - kinetic.mean())[last] / atoms, "C1", label="kinetic")
    upper.plot(times[last], 1e3 * (potential - potential.mean())[last] / atoms, "C0", label="potential")
    upper.plot(times[last], (total - total.mean())[last], "k", lw=2, label="total")
    upper.set_title(f"the last {SHOWN:g} ps, each from its mean", fontsize="medium")
    upper.set_ylabel("energy (meV/atom)")

    middle.plot(times, 1e3 * total, "k", lw=0.5, label="total, from its start")
    middle.plot(
        times, 1e3 * (slope * times + level), "r", label=f"drift {1e3 * slope:+.3f} ± {1e3 * error:.3f} meV/atom/ns"
    )
    middle.set_title("total energy, a thousand times enlarged", fontsize="medium")
    middle.set_ylabel("energy (µeV/atom)")

    mean = np.mean(record.temperature)
    lower.plot(times, record.temperature, "C3", lw=0.6)
    lower.axhline(mean, color="k", lw=0.8, ls="--", label=f"mean {mean:.1f} K")
    lower.set_title("temperature", fontsize="medium")
    lower.set_ylabel("temperature (K)")
    for axes in (upper, middle, lower):
        axes.set_xlabel("time (ps)")
        axes.legend(loc="upper right", fontsize="small", framealpha=0.9, ncols=3)
        # Room for the legend above the curves.
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom, top + 0.2 * (top - bottom))
        axes.margins(x=0)
    figure.savefig(path, dpi=130)


def summarize(record: Record, steps: int, seconds: float, timestep: float, builds: int) -> None:
    """Print what the run showed."""
    (slope, level), error = record.drift()
    times, total = np.array(record.times), record.total()
    scatter = np.std(total - slope * times - level)
    kinetic = 1e3 * np.array(record.kinetic) / len(record.atoms)
    rate = steps / seconds
    energy = (record.kinetic[0] + record.potential[0]) / len(record.atoms)
    print(
        f"{times[-1]:g} ps of NVE in {steps} steps of {timestep:g} fs\n"
        f"  total energy  {energy:.6f} eV/atom, rms {1e3 * scatter:.1f} µeV/atom about its line; "
        f"kinetic and potential each {np.std(kinetic):.2f} meV/atom\n"
        f"  energy drift  {1e3 * slope:+.3f} ± {1e3 * error:.3f} meV/atom/ns\n"
        f"  temperature   {np.mean(record.temperature):.1f} K, rms {np.std(record.temperature):.1f} K\n"
        f"  speed         {rate:.0f} steps/s = {rate * timestep * 1e-6 * DAY:.1f} ns/day, "
        f"with ASE, {seconds:.0f} s in all; neighbour list built {builds} times"
    )


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=HERE / "nacl.safetensors")
    parser.add_argument("--start", type=Path, default=HERE / "nacl-216.extxyz")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for what is written")
    parser.add_argument("--temperature", type=float, default=300.0, help="in K")
    parser.add_argument("--timestep", type=float, default=2.0, help="in fs")
    parser.add_argument("--seconds", type=float, default=60.0, help="wall time of the NVE run, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=("single", "double"), default="single")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    atoms = read(args.start)
    atoms.calc = FlashSchNetCalculator(args.model, precision=args.precision)
    potential = atoms.calc.potential
    introduce(atoms, potential, args)

    step = args.timestep * units.fs
    warmup = round(1e3 / args.timestep)
    print(f"equilibrating for 1 ps at {args.temperature:g} K (Langevin thermostat), then NVE", flush=True)
    started = time.perf_counter()
    equilibrate(atoms, args.temperature, step, warmup, np.random.default_rng(args.seed))
    # Whole picoseconds, as many as the speed just seen gives; at least one.
    rate = warmup / (time.perf_counter() - started)
    steps = warmup * max(1, round(args.seconds * rate / warmup))
    builds = potential.list_builds
    record, seconds = run(atoms, steps, step, args.out)
    summarize(record, steps, seconds, args.timestep, potential.list_builds - builds)

    columns = [record.times, record.kinetic, record.potential, record.temperature]
    header = "time/ps,kinetic energy/eV,potential energy/eV,temperature/K"
    np.savetxt(args.out / "nve.csv", np.column_stack(columns), "%.10g", ",", header=header, comments="")
    draw(record, args.out / "nve.png")
    for name, what in (("nve.png", "picture"), ("nve.csv", "table"), ("nve.extxyz", "trajectory, for OVITO or ASE")):
        print(f"  {args.out / name}  ({what})")


if __name__ == "__main__":
    main()
