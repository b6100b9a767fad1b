#!/usr/bin/env python3
"""Distributions of bonds, angles, dihedrals, distances and radius of gyration, a run beside all atoms."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from flashschnet.simulate import RunFolder

import internal

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
BINS = 60
BEADS = 10
#: Range of each kind of quantity.
RANGES = {
    "bond": (3.4, 4.3),
    "angle": (60.0, 180.0),
    "dihedral": (-180.0, 180.0),
    "distance": (3.0, 33.0),
    "gyration": (4.0, 12.0),
}
UNITS = {"bond": "Å", "angle": "°", "dihedral": "°", "distance": "Å", "gyration": "Å"}


def names() -> list[tuple[str, str]]:
    """Kind and beads, counted from 1, of each quantity."""
    chain = [("bond", 2), ("angle", 3), ("dihedral", 4)]
    found = [
        (kind, "–".join(str(first + k + 1) for k in range(size)))
        for kind, size in chain
        for first in range(BEADS - size + 1)
    ]
    found += [("distance", f"{i + 1}–{j + 1}") for i in range(BEADS) for j in range(i + 3, BEADS)]
    return [*found, ("gyration", "")]


def quantities(frames: np.ndarray) -> np.ndarray:
    """(frames, quantities), in Å and degrees, in the order of `names`."""
    chain = {size: np.arange(BEADS - size + 1)[:, None] + np.arange(size) for size in (2, 3, 4)}
    others = np.array([(i, j) for i in range(BEADS) for j in range(i + 3, BEADS)])
    return np.hstack(
        [
            internal.distances(frames, chain[2]),
            np.degrees(internal.angles(frames, chain[3])),
            np.degrees(internal.dihedrals(frames, chain[4])),
            internal.distances(frames, others),
            internal.gyration(frames)[:, None],
        ]
    )


@dataclass
class Distributions:
    """Counts (parts, quantities, bins + 2) of several parts of the data; the outer bins are what is out of range."""

    counts: np.ndarray

    @classmethod
    def measure(cls, parts: list[np.ndarray]) -> Distributions:
        """Of frames (frames, beads, 3)."""
        edges = [np.concatenate([[-np.inf], np.linspace(*RANGES[kind], BINS + 1), [np.inf]]) for kind, _ in names()]
        counted = [
            [np.histogram(column, bins)[0] for column, bins in zip(quantities(part).T, edges, strict=True)]
            for part in parts
        ]
        return cls(np.array(counted))

    @classmethod
    def load(cls, path: Path) -> Distributions:
        """Those of a file."""
        with np.load(path) as data:
            return cls(data["counts"])

    def save(self, path: Path, temperature: float) -> None:
        """Write a file."""
        np.savez_compressed(path, counts=self.counts.astype(np.int32), temperature=temperature)

    def total(self) -> np.ndarray:
        """(quantities, bins + 2): the share of each bin in all parts together."""
        counts = self.counts.sum(axis=0)
        return counts / counts.sum(axis=1, keepdims=True)

    def shares(self) -> np.ndarray:
        """(parts, quantities, bins + 2): the share of each bin in each part."""
        return self.counts / self.counts.sum(axis=2, keepdims=True)


def overlap(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """What two sets of distributions share, 1 if they are the same, as the mean over each kind of quantity."""
    shared = np.minimum(one, other).sum(axis=-1)
    kinds = np.array([kind for kind, _ in names()])
    return {kind: float(shared[kinds == kind].mean()) for kind in RANGES}


def draw(reference: Distributions, run: Distributions, kinds: list[str], path: Path) -> None:
    """One panel a quantity: all atoms as an area with the range of its parts, the run as a line."""
    chosen = [(number, kind, beads) for number, (kind, beads) in enumerate(names()) if kind in kinds]
    columns = 6
    rows = -(-len(chosen) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.0 * columns, 1.45 * rows), layout="constrained")
    shares, mine = reference.shares(), run.total()
    for axis, (number, kind, beads) in zip(axes.flat, chosen, strict=False):
        edges = np.linspace(*RANGES[kind], BINS + 1)
        scale = BINS / (edges[-1] - edges[0])
        inner = scale * shares[:, number, 1:-1]
        axis.stairs(inner.max(axis=0), edges, baseline=inner.min(axis=0), fill=True, color="#b9c4d0", label="all atoms")
        axis.stairs(scale * reference.total()[number, 1:-1], edges, color="0.35", lw=0.8)
        axis.stairs(scale * mine[number, 1:-1], edges, color="#d1570c", lw=1.2, label="this model")
        axis.set_title(f"{kind} {beads} / {UNITS[kind]}", fontsize=8)
        axis.tick_params(labelsize=6)
        axis.set_yticks([])
        seen = np.flatnonzero((inner.max(axis=0) > 0) | (mine[number, 1:-1] > 0))
        if len(seen):
            axis.set_xlim(edges[seen[0]], edges[seen[-1] + 1])
    for axis in axes.flat[len(chosen) :]:
        axis.axis("off")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=2, fontsize=8, frameon=False)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def of_run(folder: Path, skip: float) -> Distributions:
    """Those of a run of `flashschnet simulate`, its replicas in four parts."""
    run = RunFolder(folder)
    count = len(run.description()["replicas"])
    # mdtraj has nanometres
    frames = [10.0 * run.trajectory(replica).xyz for replica in range(count)]
    frames = [part[int(skip * len(part)) :] for part in frames]
    return Distributions.measure([np.concatenate(part) for part in np.array_split(np.stack(frames), 4)])


def table(reference: Distributions, runs: dict[str, Distributions]) -> str:
    """Overlaps with the all-atom distributions, in Markdown."""
    text = f"| | {' | '.join(RANGES)} |\n| --- | {' | '.join('---' for _ in RANGES)} |\n"
    # Each part of the copies against the others: what no model could be seen to exceed.
    kept = reference.counts
    halves = []
    for part in range(len(kept)):
        rest = Distributions(np.delete(kept, part, axis=0)).total()
        halves.append(overlap(Distributions(kept[part : part + 1]).total(), rest))
    ceiling = {kind: float(np.mean([half[kind] for half in halves])) for kind in RANGES}
    rows = {"all atoms, a quarter of the copies against the rest": ceiling}
    rows |= {name: overlap(reference.total(), run.total()) for name, run in runs.items()}
    for name, row in rows.items():
        text += f"| {name} | {' | '.join(f'{row[kind]:.3f}' for kind in RANGES)} |\n"
    return text


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run of flashschnet simulate")
    parser.add_argument("--priors", type=Path, help="folder of a run of the priors alone, for the table")
    parser.add_argument("--reference", type=Path, default=HERE / "data" / "distributions.npz")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the pictures")
    parser.add_argument("--skip", type=float, default=0.1, help="part of the run, from its beginning, that is left out")
    args = parser.parse_args()
    reference = Distributions.load(args.reference)
    runs = {"this model": of_run(args.run, args.skip)}
    if args.priors:
        runs["its priors alone"] = of_run(args.priors, args.skip)
    print(table(reference, runs), end="")
    draw(reference, runs["this model"], ["bond", "angle", "dihedral"], args.out / "local.png")
    draw(reference, runs["this model"], ["distance", "gyration"], args.out / "global.png")


if __name__ == "__main__":
    main()
