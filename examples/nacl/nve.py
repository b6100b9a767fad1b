#!/usr/bin/env python3
"""Run NVE dynamics of 216 atoms and report how well the energy is conserved.

Starts from `nacl-216.extxyz` at the given temperature, equilibrates with a thermostat, then
switches it off and fits a line to the total energy.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.io import read
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.md.verlet import VelocityVerlet

from evaluate import HERE, calculator


def equilibrate(atoms: Atoms, temperature: float, step: float, steps: int, rng: np.random.Generator) -> None:
    """Bring perfect sites to a temperature in K, by Langevin dynamics in steps of ASE's time units."""
    # From perfect sites, half of the kinetic energy turns into potential energy.
    thermalize_momenta(atoms, temperature_K=2 * temperature, rng=rng)
    friction = 0.02 / units.fs
    Langevin(atoms, step, temperature_K=temperature, friction=friction, fixcm=False, rng=rng).run(steps)
    Stationary(atoms)


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=HERE / "nacl.safetensors")
    parser.add_argument("--start", type=Path, default=HERE / "nacl-216.extxyz")
    parser.add_argument("--temperature", type=float, default=300.0, help="in K")
    parser.add_argument("--timestep", type=float, default=1.0, help="in fs")
    parser.add_argument("--warmup", type=float, default=1.0, help="thermostatted ps")
    parser.add_argument("--length", type=float, default=20.0, help="NVE ps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=("single", "double"), default="double")
    args = parser.parse_args()

    rng = np.random.default_rng(args.seed)
    atoms = read(args.start)
    atoms.calc = calculator(args.model, args.precision)
    step = args.timestep * units.fs
    equilibrate(atoms, args.temperature, step, round(1e3 * args.warmup / args.timestep), rng)

    sites = atoms.positions.copy()
    times, energies, temperatures = [], [], []
    started = time.time()
    dynamics = VelocityVerlet(atoms, step)

    def record() -> None:
        times.append(1e-3 * args.timestep * dynamics.nsteps)
        energies.append(atoms.get_total_energy())
        temperatures.append(atoms.get_temperature())

    dynamics.attach(record, interval=10)
    steps = round(1e3 * args.length / args.timestep)
    dynamics.run(steps)
    elapsed = time.time() - started

    energy = 1e3 * np.array(energies) / len(atoms)
    slope, level = np.polyfit(times, energy, 1)
    scatter = np.std(energy - slope * np.array(times) - level)
    moved = np.linalg.norm(atoms.positions - sites, axis=1).max()
    print(f"{len(atoms)} atoms, {args.length:g} ps of NVE in steps of {args.timestep:g} fs")
    print(f"temperature        {np.mean(temperatures):.1f} K, std {np.std(temperatures):.1f} K")
    print(f"energy drift       {1e3 * slope:+.3f} ueV/atom/ps")
    print(f"energy fluctuation {1e3 * scatter:.3f} ueV/atom rms")
    print(f"largest move       {moved:.2f} A")
    print(f"speed              {1e3 * elapsed / steps:.1f} ms/step")


if __name__ == "__main__":
    main()
