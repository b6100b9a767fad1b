#!/usr/bin/env python3
"""Simulate chignolin (CLN025) with all its atoms in implicit solvent, and keep positions and forces.

Many copies of the molecule, each at its own temperature, share one OpenMM system: small molecules leave a GPU idle.
They are so far apart that none feels another, and a weak spring on its centre of mass, which acts on nothing else,
keeps each where it is. One copy on one core of a processor works as well.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import PeptideBuilder
from Bio.PDB import PDBIO
from openmm import (
    Context,
    CustomCentroidBondForce,
    CustomIntegrator,
    LocalEnergyMinimizer,
    Platform,
    System,
    Vec3,
    unit,
)
from openmm.app import CutoffNonPeriodic, ForceField, HBonds, Modeller, PDBFile, Topology
from tqdm import tqdm

SEQUENCE = "YYDPETGTWY"
CUTOFF = 3.5  # nm; the stretched chain is no longer
APART = 12.0  # nm, between neighbouring copies
SPRING = 10.0  # kJ/mol/nm², on a centre of mass
SPRING_GROUP = 1  # forces of this group are not kept
BOLTZMANN = (unit.MOLAR_GAS_CONSTANT_R).value_in_unit(unit.kilojoule_per_mole / unit.kelvin)
ANGSTROM = 10.0  # Å in a nm
FORCE = 1.0 / (4.184 * ANGSTROM)  # kcal/mol/Å in a kJ/mol/nm


def build(path: Path) -> None:
    """Write the chain, with its last oxygen and without hydrogens, as a PDB file."""
    structure = PeptideBuilder.make_extended_structure(SEQUENCE)
    PeptideBuilder.add_terminal_OXT(structure)
    writer = PDBIO()
    writer.set_structure(structure)
    writer.save(str(path))


def molecule(path: Path, field: ForceField) -> Modeller:
    """The chain of a PDB file with its hydrogens at pH 7."""
    pdb = PDBFile(str(path))
    modeller = Modeller(pdb.topology, pdb.positions)
    modeller.addHydrogens(field, pH=7.0)
    return modeller


def many(one: Modeller, copies: int) -> tuple[Topology, np.ndarray]:
    """Copies of a molecule on a cubic grid, and where they are, in nm."""
    side = int(np.ceil(copies ** (1 / 3)))
    place = APART * np.stack(np.unravel_index(np.arange(copies), (side,) * 3), axis=1)
    positions = np.array(one.positions.value_in_unit(unit.nanometer))
    positions -= positions.mean(axis=0)
    all_of_them = Modeller(Topology(), [] * unit.nanometer)
    for centre in place:
        all_of_them.add(one.topology, [Vec3(*x) for x in positions + centre] * unit.nanometer)
    return all_of_them.topology, (positions + place[:, None]).reshape(-1, 3)


def add_springs(system: System, positions: np.ndarray, copies: int) -> None:
    """Hold every copy's centre of mass where it is."""
    spring = CustomCentroidBondForce(1, "0.5 * k * ((x1 - x0)^2 + (y1 - y0)^2 + (z1 - z0)^2)")
    spring.addGlobalParameter("k", SPRING)
    for name in ("x0", "y0", "z0"):
        spring.addPerBondParameter(name)
    for atoms in np.arange(len(positions)).reshape(copies, -1):
        masses = np.array([system.getParticleMass(int(a)).value_in_unit(unit.dalton) for a in atoms])
        centre = masses @ positions[atoms] / masses.sum()
        spring.addBond([spring.addGroup([int(a) for a in atoms])], list(centre))
    spring.setForceGroup(SPRING_GROUP)
    system.addForce(spring)


def langevin(step: float, friction: float) -> CustomIntegrator:
    """OpenMM's LangevinMiddle integrator, with a temperature for every atom."""
    integrator = CustomIntegrator(step)
    integrator.addGlobalVariable("a", np.exp(-friction * step))
    integrator.addPerDofVariable("kT", 0.0)
    integrator.addPerDofVariable("free", 0.0)
    integrator.addUpdateContextState()
    integrator.addComputePerDof("v", "v + dt * f / m")
    integrator.addConstrainVelocities()
    integrator.addComputePerDof("x", "x + 0.5 * dt * v")
    integrator.addComputePerDof("v", "a * v + sqrt((1 - a * a) * kT / m) * gaussian")
    integrator.addComputePerDof("x", "x + 0.5 * dt * v")
    integrator.addComputePerDof("free", "x")
    integrator.addConstrainPositions()
    integrator.addComputePerDof("v", "v + (x - free) / dt")
    return integrator


class Run:
    """The copies, and the temperature of each."""

    def __init__(self, args: argparse.Namespace) -> None:
        args.out.mkdir(parents=True, exist_ok=True)
        build(args.out / "chain.pdb")
        field = ForceField("amber14-all.xml", "implicit/gbn2.xml")
        one = molecule(args.out / "chain.pdb", field)
        self.copies = args.copies
        topology, positions = many(one, self.copies)
        system = field.createSystem(
            topology,
            nonbondedMethod=CutoffNonPeriodic,
            nonbondedCutoff=CUTOFF * unit.nanometer,
            constraints=HBonds,
            hydrogenMass=3.0 * unit.dalton,
        )
        add_springs(system, positions, self.copies)
        with (args.out / "molecule.pdb").open("w") as file:
            PDBFile.writeFile(one.topology, one.positions, file)
        np.save(args.out / "constraints.npy", self.constraints(system, len(positions) // self.copies))
        self.integrator = langevin(1e-3 * args.timestep, args.friction)
        self.integrator.setRandomNumberSeed(args.seed)
        platform = Platform.getPlatformByName(args.platform)
        properties = {"CPU": {"Threads": str(args.threads)}, "CUDA": {"Precision": "mixed"}}.get(args.platform, {})
        self.context = Context(system, self.integrator, platform, properties)
        self.context.setPositions(positions)
        LocalEnergyMinimizer.minimize(self.context, 10.0, 500)

    @staticmethod
    def constraints(system: System, atoms: int) -> np.ndarray:
        """Pairs of atoms of one copy whose distance is fixed."""
        pairs = [system.getConstraintParameters(k)[:2] for k in range(system.getNumConstraints())]
        return np.array([pair for pair in pairs if max(pair) < atoms])

    def set_temperatures(self, temperatures: np.ndarray) -> None:
        """Let each copy's thermostat have its temperature, in K."""
        atoms = self.context.getSystem().getNumParticles() // self.copies
        heat = np.repeat(BOLTZMANN * temperatures, atoms)
        self.integrator.setPerDofVariableByName("kT", [Vec3(x, x, x) for x in heat])

    def frame(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions in Å, and forces in kcal/mol/Å without those of the springs."""
        state = self.context.getState(positions=True, forces=True, groups=~(1 << SPRING_GROUP))
        positions = ANGSTROM * state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        forces = FORCE * state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
        positions = positions.reshape(self.copies, -1, 3)
        # Rounded to float32 near the origin, not at the far end of the grid.
        positions = positions - positions.mean(axis=1, keepdims=True)
        return positions.astype(np.float32), forces.reshape(self.copies, -1, 3).astype(np.float32)


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("reference"), help="folder for what is written")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[300.0, 350.0, 400.0, 450.0], help="in K")
    parser.add_argument("--copies", type=int, default=64, help="in all; they share the temperatures equally")
    parser.add_argument("--ns", type=float, default=1.0, help="length of each copy's trajectory")
    parser.add_argument("--minutes", type=float, help="end after this time even if that is not reached")
    parser.add_argument("--equilibrate", type=float, default=200.0, help="ps before the first frame is kept")
    parser.add_argument("--loosen", type=float, default=100.0, help="ps at --hot before that")
    parser.add_argument("--hot", type=float, default=600.0, help="in K")
    parser.add_argument("--interval", type=float, default=1.0, help="ps between frames")
    parser.add_argument("--part", type=int, default=200, help="frames of each copy in one file")
    parser.add_argument("--timestep", type=float, default=4.0, help="in fs")
    parser.add_argument("--friction", type=float, default=1.0, help="in 1/ps")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--platform", default="CPU", choices=("CPU", "CUDA", "OpenCL", "Reference"))
    parser.add_argument("--threads", type=int, default=1, help="of the platform CPU")
    args = parser.parse_args()
    if args.copies % len(args.temperatures):
        parser.error("--copies must be a multiple of the number of temperatures")
    started = time.monotonic()
    run = Run(args)
    temperatures = np.tile(args.temperatures, args.copies // len(args.temperatures))
    every = round(1e3 * args.interval / args.timestep)

    run.set_temperatures(np.full(args.copies, args.hot))
    run.integrator.step(round(1e3 * args.loosen / args.timestep))
    run.set_temperatures(temperatures)
    run.integrator.step(round(1e3 * args.equilibrate / args.timestep))
    print(f"prepared in {time.monotonic() - started:.0f} s", flush=True)

    kept: list[tuple[np.ndarray, np.ndarray]] = []
    part, since = 0, time.monotonic()
    frames = round(1e3 * args.ns / args.interval)

    def write() -> None:
        nonlocal part
        positions, forces = (np.stack(x, axis=1) for x in zip(*kept, strict=True))
        np.savez(args.out / f"part-{part:04d}.npz", positions=positions, forces=forces, temperatures=temperatures)
        part += 1
        kept.clear()

    done = 0
    for _ in tqdm(range(frames), unit="frame", mininterval=5.0):
        run.integrator.step(every)
        kept.append(run.frame())
        done += 1
        if len(kept) == args.part:
            write()
        if args.minutes and time.monotonic() - started > 60 * args.minutes:
            break
    if kept:
        write()
    length = 1e-3 * done * args.interval * args.copies
    seconds = time.monotonic() - since
    print(f"{length:.3f} ns in all, {args.copies} copies, {length / seconds * 86400:.0f} ns/day in all")


if __name__ == "__main__":
    main()
