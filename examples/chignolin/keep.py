#!/usr/bin/env python3
"""Keep what of the all-atom data is small enough to ship: held-out frames, distributions, and where runs start."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from distributions import Distributions
from internal import Beads

HERE = Path(__file__).resolve().parent
REPLICAS = 64
PARTS = 4  # of the copies, whose distributions are kept apart: how far they differ is how well they are known


def spread(beads: Beads, count: int) -> Beads:
    """So many frames, evenly spread over copies and time."""
    return beads.where(np.linspace(0, len(beads.positions) - 1, count).round().astype(int))


def write_starts(beads: Beads, path: Path) -> None:
    """Frames as extended XYZ, as `flashschnet simulate` reads them."""
    from priors import AMINO_ACIDS, CARBON

    with path.open("w") as file:
        for number, frame in enumerate(beads.positions):
            file.write(f'{len(frame)}\nProperties=species:S:1:pos:R:3:types:I:1 name=start-{number:02d} pbc="F F F"\n')
            for name, where in zip(beads.residues, frame, strict=True):
                x, y, z = where
                file.write(f"X {x:.3f} {y:.3f} {z:.3f} {1 + AMINO_ACIDS.index(name)}\n")
    print(f"{path}: {len(beads.positions)} frames, beads of {CARBON} u")


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("beads", type=Path, help="what mapping.py wrote")
    parser.add_argument("--temperature", type=float, default=350.0, help="in K, of distributions and starts")
    parser.add_argument("--out", type=Path, default=HERE / "data")
    args = parser.parse_args()
    args.out.mkdir(exist_ok=True)
    beads = Beads.load(args.beads)
    held = beads.pick(held=True)
    parts = [spread(held.pick(t), 1500 if t == args.temperature else 500) for t in np.unique(held.temperature).tolist()]
    np.savez_compressed(
        args.out / "held-out.npz",
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("positions", "forces", "temperature", "copy", "held")
        },
        residues=np.array(beads.residues),
    )
    at = beads.pick(args.temperature)
    copies = np.array_split(np.unique(at.copy), PARTS)
    found = Distributions.measure([at.where(np.isin(at.copy, part)).positions for part in copies])
    found.save(args.out / "distributions.npz", args.temperature)
    write_starts(spread(held.pick(args.temperature), REPLICAS), args.out / "starts.xyz")


if __name__ == "__main__":
    main()
