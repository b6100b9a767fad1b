#!/usr/bin/env python3
"""Measure the model's forces on held-out frames, beside its priors alone and no model at all."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from flashschnet import Potential

from internal import Beads

HERE = Path(__file__).resolve().parent


def forces(path: Path, beads: Beads) -> np.ndarray:
    """Forces (frames, beads, 3) of a model file, in double precision."""
    potential = Potential(path, "cpu", "double")
    by_name = {kind.name: kind.index for kind in potential.model.types}
    types = [by_name[name] for name in beads.residues]
    found = []
    for part in np.array_split(beads.positions.astype(float), max(1, len(beads.positions) // 1000)):
        found += [result.forces for result in potential.compute_batch(part, types)]
    return np.stack(found)


def row(name: str, beads: Beads, model: np.ndarray, priors: np.ndarray) -> str:
    """One line of the table; the standard errors are over copies of the molecule, which are independent."""
    copies = np.unique(beads.copy)
    squares = {"none": beads.forces**2, "priors": (beads.forces - priors) ** 2, "model": (beads.forces - model) ** 2}
    rms = {kind: np.sqrt(np.mean(square)) for kind, square in squares.items()}
    gains = [np.mean((squares["priors"] - squares["model"])[beads.copy == copy]) for copy in copies]
    gain, error = np.mean(gains), np.std(gains, ddof=1) / np.sqrt(len(gains))
    cosine = np.sum(model * beads.forces) / np.sqrt(np.sum(model**2) * np.sum(beads.forces**2))
    return (
        f"| {name} | {len(beads.forces)} | {rms['none']:.3f} | {rms['priors']:.3f} | {rms['model']:.3f} | "
        f"{gain:.2f} ± {error:.2f} | {cosine:.3f} |\n"
    )


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=HERE / "chignolin.safetensors")
    parser.add_argument(
        "--beads", type=Path, default=HERE / "data" / "held-out.npz", help="or all that mapping.py wrote"
    )
    parser.add_argument("--priors", type=Path, default=HERE / "priors.safetensors")
    args = parser.parse_args()
    held = Beads.load(args.beads).pick(held=True)
    print("| held-out frames | count | no model | priors alone | this model | gain over the priors | cosine |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    model, priors = forces(args.model, held), forces(args.priors, held)
    for temperature in np.unique(held.temperature).tolist():
        chosen = held.temperature == temperature
        print(row(f"{temperature:.0f} K", held.where(chosen), model[chosen], priors[chosen]), end="")


if __name__ == "__main__":
    main()
