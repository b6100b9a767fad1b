#!/usr/bin/env python3
"""About a minute of Langevin dynamics of 64 replicas of chignolin, coarse-grained, and the pictures one looks at first.

Replicas start from frames of the all-atom simulation. Writes the run, as `flashschnet simulate` does, its pictures, as
`flashschnet plot` does, and distributions beside those of all atoms.
"""

from __future__ import annotations

import argparse
import io
import time
from contextlib import redirect_stdout
from pathlib import Path

import flashschnet
import numpy as np
import yaml
from flashschnet.simulate import Config, RunFolder, plot, simulate

from distributions import Distributions, draw, of_run, overlap

HERE = Path(__file__).resolve().parent
WARMUP = 2000  # steps that the speed is measured by
SAVE = 250  # steps between frames
SKIP = 0.1  # of the run, left out of distributions


def configuration(steps: int) -> dict[str, object]:
    """The example's configuration, of another length, with whole paths and one export in the end."""
    content = yaml.safe_load((HERE / "chignolin.yaml").read_text())
    for key in ("model_file", "structure_file"):
        content[key] = str(HERE / content[key])
    content["simulation"] |= {"n_timesteps": steps, "save_interval": SAVE, "export_interval": steps}
    return content


def speed(out: Path) -> float:
    """Steps a second."""
    started = time.perf_counter()
    with redirect_stdout(io.StringIO()):
        simulate(Config.of(configuration(WARMUP)), out, overwrite=True, quiet=True)
    return WARMUP / (time.perf_counter() - started)


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo/chignolin"), help="folder for what is written")
    parser.add_argument("--seconds", type=float, default=60.0, help="wall time of the run, about")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    model = flashschnet.Model(HERE / "chignolin.safetensors")
    network = model.description["network"]
    print(
        "Langevin dynamics of chignolin (CLN025), one bead a residue: 64 replicas, 350 K, steps of 4 fs\n"
        f"  model      {model.name}: SchNet, {network['blocks']} blocks, {network['features']} features, "
        f"cutoff {network['cutoff']:g} {model.units.length}, {model.parameters} parameters; {', '.join(model.priors)}\n"
        f"  library    flashschnet {flashschnet.__version__}",
        flush=True,
    )
    folder = args.out / "run"
    steps = SAVE * max(4, round(args.seconds * speed(folder) / SAVE))
    content = configuration(steps)
    (args.out / "chignolin.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    simulate(Config.of(content), folder, text=yaml.safe_dump(content), overwrite=True)

    run = RunFolder(folder)
    rows = list(run.energies())
    late = [row for row in rows if int(row["step"]) > SKIP * steps]
    kinetic = np.array([float(row["temperature_K"]) for row in late])
    blown = {row["replica"] for row in rows if row["frozen"] == "1"}
    pictures = plot(run, args.out, skip=SKIP)
    reference, found = Distributions.load(HERE / "data" / "distributions.npz"), of_run(folder, SKIP)
    for name, kinds in (("local", ["bond", "angle", "dihedral"]), ("global", ["distance", "gyration"])):
        pictures.append(args.out / f"{name}.png")
        draw(reference, found, kinds, pictures[-1])
    shared = overlap(reference.total(), found.total())
    print(
        f"{content['simulation']['dt'] * steps:g} ps of each replica in {steps} steps\n"
        f"  kinetic temperature {kinetic.mean():.1f} K, replicas that blew up: {len(blown)}\n"
        "  shared with all atoms: " + ", ".join(f"{kind} {value:.2f}" for kind, value in shared.items())
    )
    for picture in pictures:
        print(f"  {picture}")
    print(f"  {folder}  (trajectories for mdtraj, MDAnalysis or VMD; energies)")


if __name__ == "__main__":
    main()
