#!/usr/bin/env python3
"""Make labelled NaCl frames: sample 64-atom cells, then label them with GFN1-xTB.

Two ways to sample, in the order in which they are used:

  random   rock-salt cells, strained and with Gaussian displacements (needs no model)
  md       Langevin dynamics driven by an already trained model, so that the second
           round of labels sits where the model itself goes at 100-1000 K

Both write one compressed .npz file (see `save_frames`) with energies, forces and stresses.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# One thread per worker: labelling runs frame-parallel, and nested threads only slow it down.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import CalculationFailed, Calculator

# The minimum of the GFN1-xTB energy of the 64-atom cell at the Gamma point. Experiment has 5.64.
LATTICE = 5.46
REPEAT = (2, 2, 2)


def supercell() -> Atoms:
    """The ideal 64-atom rock-salt cell, 2x2x2 conventional cells."""
    return bulk("NaCl", "rocksalt", a=LATTICE, cubic=True) * REPEAT


def strained(rng: np.random.Generator, low: float, high: float, shear: float) -> Atoms:
    """A supercell under a uniform isotropic strain in [low, high] plus a random symmetric one."""
    atoms = supercell()
    noise = rng.normal(0.0, shear, (3, 3))
    strain = np.eye(3) * (1.0 + rng.uniform(low, high)) + 0.5 * (noise + noise.T)
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    return atoms


def sample_random(count: int, seed: int) -> list[Atoms]:
    """Strained cells with independent Gaussian displacements.

    The width follows sqrt(T) and meets the measured 300 K amplitude of rock salt (about
    0.13 A per axis). Above 600 K such uncorrelated displacements would push ions into each
    other. One frame in twenty has no displacement, to pin the cold curve.
    """
    rng = np.random.default_rng(seed)
    frames = []
    for index in range(count):
        atoms = strained(rng, -0.045, 0.05, 0.015)
        temperature = rng.uniform(20.0, 600.0) if index % 20 else 0.0
        width = 0.13 * np.sqrt(temperature / 300.0)
        atoms.positions += rng.normal(0.0, 1.0, atoms.positions.shape) * width
        atoms.info.update(kind=0, temperature=temperature, group=index)
        frames.append(atoms)
    return frames


def _model_calculator(model: Path, cutoff: float) -> Calculator:
    import torch
    from schnetpack.interfaces import SpkCalculator
    from schnetpack.transform import MatScipyNeighborList

    torch.set_num_threads(1)
    return SpkCalculator(
        str(model),
        MatScipyNeighborList(cutoff=cutoff),
        energy_unit="eV",
        position_unit="Ang",
    )


def _trajectory(job: tuple[int, float, Path, float, int, int]) -> list[Atoms]:
    """One Langevin run; returns `keep` frames, evenly spaced after a short warm-up."""
    from ase.md.langevin import Langevin
    from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

    seed, temperature, model, cutoff, steps, keep = job
    rng = np.random.default_rng(seed)
    # Hotter crystals are larger; keep the expansion (about 4e-5 / K) and scatter around it.
    centre = 4.0e-5 * temperature
    atoms = strained(rng, centre - 0.035, centre + 0.025, 0.012)
    atoms.calc = _model_calculator(model, cutoff)
    # Starting from perfect sites, half of the kinetic energy becomes potential.
    MaxwellBoltzmannDistribution(atoms, temperature_K=2.0 * temperature, rng=rng)
    dynamics = Langevin(
        atoms,
        2.0 * units.fs,
        temperature_K=temperature,
        friction=0.02 / units.fs,
        rng=rng,
    )
    frames: list[Atoms] = []
    spacing = steps // (keep + 1)
    for _ in range(keep):
        dynamics.run(spacing if frames else 2 * spacing)
        # A young model may blow up. Such a frame is none that xTB can label well.
        hot = atoms.get_temperature() > 3.0 * max(temperature, 300.0)
        if hot or not np.isfinite(atoms.positions).all():
            break
        frame = atoms.copy()
        frame.info.update(kind=1, temperature=temperature, group=seed)
        frames.append(frame)
    return frames


def sample_md(
    count: int,
    seed: int,
    model: Path,
    cutoff: float,
    span: tuple[float, float],
    steps: int,
    keep: int,
    jobs: int,
) -> list[Atoms]:
    """`keep` frames from each of several model-driven runs, whose temperatures fill `span`."""
    runs = -(-count // keep)
    temperatures = np.linspace(*span, runs)
    work = [(1000 * (seed + 1) + index, float(t), model, cutoff, steps, keep) for index, t in enumerate(temperatures)]
    with mp.get_context("spawn").Pool(jobs) as pool:
        done = pool.map(_trajectory, work, chunksize=1)
    return [frame for run in done for frame in run][:count]


def _label(atoms: Atoms) -> tuple[float, np.ndarray, np.ndarray] | None:
    """GFN1-xTB energy (eV), forces (eV/A) and stress (eV/A^3, 3x3) of one frame."""
    from tblite.ase import TBLite

    atoms.calc = TBLite(method="GFN1-xTB", accuracy=0.1, verbosity=0)
    try:
        energy = float(atoms.get_potential_energy())
        forces = atoms.get_forces()
        stress = atoms.get_stress(voigt=False)
    except CalculationFailed as error:  # no SCF convergence: drop the frame only
        print(f"dropped one frame: {error}", file=sys.stderr)
        return None
    return energy, forces, stress


def label(frames: list[Atoms], jobs: int, max_force: float) -> Iterator[tuple[Atoms, float, np.ndarray, np.ndarray]]:
    """Label frames in parallel; frames without SCF convergence are left out.

    So are frames with a force component above `max_force`. A crystal below 1000 K has none;
    they come from a young model that let two ions meet, and a few of them would outweigh
    all others in a squared loss.
    """
    started = time.time()
    for atoms in frames:
        # Positions are stored as float32; round them first, so that labels fit what is stored.
        atoms.wrap(eps=1e-3)
        atoms.positions = atoms.positions.astype(np.float32).astype(np.float64)
    with mp.get_context("spawn").Pool(jobs) as pool:
        for index, (atoms, result) in enumerate(
            zip(frames, pool.imap(_label, frames, chunksize=1), strict=True), start=1
        ):
            if result is not None and np.abs(result[1]).max() <= max_force:
                yield (atoms, *result)
            if index % 20 == 0 or index == len(frames):
                print(
                    f"{index}/{len(frames)} labelled, {time.time() - started:.0f} s",
                    flush=True,
                )


def save_frames(path: Path, labelled: list[tuple[Atoms, float, np.ndarray, np.ndarray]]) -> None:
    """Write frames as .npz. All frames hold the same atoms in the same order."""
    frames = [entry[0] for entry in labelled]
    np.savez_compressed(
        path,
        numbers=frames[0].numbers.astype(np.uint8),
        cell=np.stack([f.cell.array for f in frames]),
        positions=np.stack([f.positions for f in frames]).astype(np.float32),
        energy=np.array([entry[1] for entry in labelled]),
        forces=np.stack([entry[2] for entry in labelled]).astype(np.float32),
        stress=np.stack([entry[3] for entry in labelled]).astype(np.float32),
        kind=np.array([f.info["kind"] for f in frames], dtype=np.uint8),
        temperature=np.array([f.info["temperature"] for f in frames], dtype=np.float32),
        group=np.array([f.info["group"] for f in frames], dtype=np.int32),
    )


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sub = parser.add_subparsers(dest="kind", required=True)
    for name, text in (
        ("random", "strained cells with Gaussian displacements"),
        ("md", "Langevin dynamics with a trained model"),
    ):
        command = sub.add_parser(name, help=text, description=text)
        command.add_argument("--frames", type=int, default=300, help="frames to label")
        command.add_argument("--seed", type=int, default=0, help="seed of the sampling")
        command.add_argument("--jobs", type=int, default=1, help="worker processes")
        command.add_argument("--max-force", type=float, default=6.0, help="drop frames above, in eV/A")
        command.add_argument("--out", type=Path, required=True, help=".npz file to write")
        if name == "md":
            command.add_argument("--model", type=Path, required=True, help="from train.py")
            command.add_argument("--cutoff", type=float, default=5.0, help="of the model, in A")
            command.add_argument("--low", type=float, default=100.0, help="lowest K")
            command.add_argument("--high", type=float, default=1000.0, help="highest K")
            command.add_argument("--steps", type=int, default=360, help="2 fs steps per run")
            command.add_argument("--keep", type=int, default=5, help="frames kept per run")
    args = parser.parse_args()

    if args.kind == "random":
        frames = sample_random(args.frames, args.seed)
    else:
        frames = sample_md(
            args.frames,
            args.seed,
            args.model,
            args.cutoff,
            (args.low, args.high),
            args.steps,
            args.keep,
            args.jobs,
        )
        print(f"{len(frames)} frames sampled", flush=True)
    save_frames(args.out, list(label(frames, args.jobs, args.max_force)))
    print(f"wrote {args.out} ({args.out.stat().st_size / 1e3:.0f} kB)")


if __name__ == "__main__":
    main()
