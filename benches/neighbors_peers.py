#!/usr/bin/env python3
"""Time neighbour lists of this library beside vesin and matscipy.

Same positions, same cutoff, same output (i, j, S of every directed pair), one thread, the libraries taking turns.
Needs numpy, vesin and matscipy; `cargo` on the path, or the benchmark's executable given with --executable.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent


def executable():
    """Build the benchmark and ask cargo where it is."""
    command = ["cargo", "bench", "--bench", "neighbors", "--no-run", "--message-format=json"]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in output.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "neighbors":
            return message["executable"]
    sys.exit("cargo did not say where the benchmark is")


def system(kind, side, rng):
    """Positions and cell of side**3 atoms at 0.1 atoms per cubic angstrom."""
    spacing = 2.1544
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = (grid + rng.uniform(-0.3, 0.3, grid.shape)) * spacing
    cell = np.eye(3) * side * spacing
    if kind == "shuffled":
        # A liquid after long diffusion: neighbours in space are far apart in memory.
        rng.shuffle(positions)
    elif kind == "triclinic":
        shear = np.array([[1.0, 0.0, 0.0], [0.3, 1.0, 0.0], [-0.2, 0.4, 1.0]])
        positions, cell = positions @ shear, cell @ shear
    elif kind == "unwrapped":
        # After long diffusion without wrapping: every pair has a shift.
        positions = positions + rng.integers(-2, 3, positions.shape) @ cell
    return np.ascontiguousarray(positions), cell


class Ours:
    """The benchmark's executable, answering one line for one call."""

    def __init__(self, path, positions, cell, cutoff, verb):
        self.verb = verb
        self.file = tempfile.NamedTemporaryFile()  # noqa: SIM115 (closed in `close`)
        self.file.write(positions.astype("<f8").tobytes())
        self.file.flush()
        numbers = [repr(float(v)) for v in [*cell.ravel(), cutoff]]
        self.process = subprocess.Popen(
            [path, "--serve", self.file.name, *numbers], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self):
        """Seconds of one call, and how many pairs it found."""
        self.process.stdin.write(self.verb + "\n")
        self.process.stdin.flush()
        seconds, pairs = self.process.stdout.readline().split()
        return float(seconds), int(pairs)

    def close(self):
        """End the executable."""
        self.process.stdin.close()
        self.process.wait()
        self.file.close()


def vesin(positions, cell, cutoff):
    """Vesin without sorting and without copying its result, which is its fastest way."""
    from vesin import NeighborList

    calculator = NeighborList(cutoff=cutoff, full_list=True, sorted=False, n_threads=1)

    def call():
        start = time.perf_counter()
        i, _, _ = calculator.compute(points=positions, box=cell, periodic=True, quantities="ijS", copy=False)
        return time.perf_counter() - start, len(i)

    return call


def matscipy(positions, cell, cutoff):
    """Its function, which has nothing to reuse."""
    from matscipy.neighbours import neighbour_list

    def call():
        start = time.perf_counter()
        i, _, _ = neighbour_list("ijS", cutoff=cutoff, positions=positions, cell=cell, pbc=[True] * 3)
        return time.perf_counter() - start, len(i)

    return call


def main():
    """Print a line for each system."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executable", help="the benchmark, if already built")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sides", type=int, nargs="+", default=[10, 22, 46, 100], help="atoms along an edge")
    parser.add_argument("--kinds", nargs="+", default=["crystal", "shuffled", "triclinic", "unwrapped"])
    parser.add_argument("--cutoffs", type=float, nargs="+", default=[5.0])
    arguments = parser.parse_args()
    path = arguments.executable or executable()

    print(f"median of {arguments.runs} runs in ms (half the range of the runs, in %); one thread; i, j, S, full list")
    print(
        f"{'system':>10} {'cutoff':>6} {'atoms':>8} {'pairs/atom':>10} {'build':>14} {'rebuild':>14} "
        f"{'vesin':>14} {'matscipy':>14} {'faster peer / build':>20}"
    )
    worst = np.inf
    for kind in arguments.kinds:
        for cutoff in arguments.cutoffs:
            for side in arguments.sides:
                positions, cell = system(kind, side, np.random.default_rng(7))
                # "build" starts from nothing; "rebuild" reuses its memory, as vesin's calculator does.
                contenders = {
                    "build": Ours(path, positions, cell, cutoff, "build"),
                    "rebuild": Ours(path, positions, cell, cutoff, "rebuild"),
                    "vesin": vesin(positions, cell, cutoff),
                    "matscipy": matscipy(positions, cell, cutoff),
                }
                times = {name: [] for name in contenders}
                found = set()
                for turn in range(arguments.runs + 1):
                    for name, call in contenders.items():
                        seconds, pairs = call()
                        found.add(pairs)
                        if turn > 0:  # The first turn fills caches and grows buffers.
                            times[name].append(seconds)
                contenders["build"].close()
                contenders["rebuild"].close()
                if len(found) != 1:
                    sys.exit(f"the libraries disagree on the number of pairs: {found}")
                median = {name: np.median(t) for name, t in times.items()}
                cells = "".join(
                    f"{1e3 * median[n]:>9.2f} ±{50 * (max(t) - min(t)) / median[n]:>2.0f}% " for n, t in times.items()
                )
                ratio = min(median["vesin"], median["matscipy"]) / median["build"]
                worst = min(worst, ratio)
                print(
                    f"{kind:>10} {cutoff:>6} {len(positions):>8} {found.pop() / len(positions):>10.1f} {cells}"
                    f"{ratio:>16.2f}",
                    flush=True,
                )
    print(f"smallest ratio: {worst:.2f}")


if __name__ == "__main__":
    main()
