#!/usr/bin/env python3
"""Train a small SchNetPack SchNet on labelled frames and save it as `best_model`.

A plain training loop instead of SchNetPack's Lightning task: the data set is small enough to
live on the device with its neighbour lists, so a step is one forward and two backward passes.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import schnetpack as spk
import torch
from ase import Atoms
from matscipy.neighbours import neighbour_list
from schnetpack import properties
from schnetpack.nn.activations import shifted_softplus
from torch import Tensor, nn


@dataclass
class Batch:
    """Several frames as one graph, with their labels."""

    numbers: Tensor
    vectors: Tensor  # from atom i to its neighbour j, per edge
    idx_i: Tensor
    idx_j: Tensor
    idx_m: Tensor  # frame of each atom
    volume: Tensor
    energy: Tensor  # per atom, offset removed
    forces: Tensor
    stress: Tensor


class Frames:
    """Labelled frames with their neighbour lists, all on one device."""

    def __init__(self, paths: list[Path], cutoff: float, device: torch.device) -> None:
        self.frames: list[dict[str, Tensor]] = []
        self.groups: list[tuple[int, int]] = []
        for path in paths:
            data = np.load(path)
            for k in range(len(data["energy"])):
                self.groups.append((int(data["kind"][k]), int(data["group"][k])))
                atoms = Atoms(
                    data["numbers"],
                    data["positions"][k],
                    cell=data["cell"][k],
                    pbc=True,
                )
                i, j, vectors = neighbour_list("ijD", atoms, cutoff)
                frame = {
                    "numbers": torch.as_tensor(atoms.numbers),
                    "idx_i": torch.as_tensor(i, dtype=torch.long),
                    "idx_j": torch.as_tensor(j, dtype=torch.long),
                    "vectors": torch.as_tensor(vectors, dtype=torch.float32),
                    "volume": torch.tensor(atoms.get_volume(), dtype=torch.float32),
                    # Float64 until the offset is gone: -64 eV/atom leaves float32 few digits.
                    "energy": torch.tensor(data["energy"][k] / len(atoms)),
                    "forces": torch.as_tensor(data["forces"][k]),
                    "stress": torch.as_tensor(data["stress"][k]),
                }
                self.frames.append({key: value.to(device) for key, value in frame.items()})

    def mean_energy(self) -> float:
        """Mean energy per atom, in eV: what the network does not have to learn."""
        return float(torch.stack([f["energy"] for f in self.frames]).mean())

    def split(self, fraction: float, seed: int) -> tuple[list[int], list[int]]:
        """Training and validation indices. Frames of one trajectory stay together."""
        groups = sorted(set(self.groups))
        order = np.random.default_rng(seed).permutation(len(groups))
        held = {groups[k] for k in order[: math.ceil(fraction * len(groups))]}
        valid = [k for k, group in enumerate(self.groups) if group in held]
        train = [k for k, group in enumerate(self.groups) if group not in held]
        return train, valid

    def batch(self, indices: list[int], offset: float) -> Batch:
        """The chosen frames as one graph."""
        picked = [self.frames[k] for k in indices]
        starts = np.cumsum([0] + [len(f["numbers"]) for f in picked]).tolist()
        device = picked[0]["numbers"].device
        counts = torch.tensor([len(f["numbers"]) for f in picked], device=device)
        return Batch(
            numbers=torch.cat([f["numbers"] for f in picked]),
            vectors=torch.cat([f["vectors"] for f in picked]),
            idx_i=torch.cat([f["idx_i"] + s for f, s in zip(picked, starts, strict=False)]),
            idx_j=torch.cat([f["idx_j"] + s for f, s in zip(picked, starts, strict=False)]),
            idx_m=torch.repeat_interleave(counts),
            volume=torch.stack([f["volume"] for f in picked]),
            energy=torch.stack([f["energy"] - offset for f in picked]).float(),
            forces=torch.cat([f["forces"] for f in picked]),
            stress=torch.stack([f["stress"] for f in picked]),
        )


class Core(nn.Module):
    """The trainable part: SchNet and the atom-wise energy head."""

    def __init__(self, features: int, layers: int, gaussians: int, cutoff: float) -> None:
        super().__init__()
        self.representation = spk.representation.SchNet(
            n_atom_basis=features,
            n_interactions=layers,
            radial_basis=spk.nn.GaussianRBF(n_rbf=gaussians, cutoff=cutoff),
            cutoff_fn=spk.nn.CosineCutoff(cutoff),
        )
        self.head = spk.atomistic.Atomwise(n_in=features, output_key=properties.energy, activation=shifted_softplus)

    def forward(self, batch: Batch, train: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Energy per atom, forces and stress.

        Positions enter only through the edge vectors, so one gradient with respect to those
        gives the forces and the virial together.
        """
        vectors = batch.vectors.detach().requires_grad_()
        inputs = {
            properties.Z: batch.numbers,
            properties.Rij: vectors,
            properties.idx_i: batch.idx_i,
            properties.idx_j: batch.idx_j,
            properties.idx_m: batch.idx_m,
        }
        energy = self.head(self.representation(inputs))[properties.energy]
        (slope,) = torch.autograd.grad(energy.sum(), vectors, create_graph=train)
        forces = torch.zeros_like(batch.forces)
        forces = forces.index_add(0, batch.idx_i, slope).index_add(0, batch.idx_j, -slope)
        frames = len(batch.volume)
        virial = torch.zeros(frames, 3, 3, device=vectors.device).index_add(
            0, batch.idx_m[batch.idx_i], slope[:, :, None] * vectors[:, None, :]
        )
        atoms = torch.bincount(batch.idx_m, minlength=frames)
        return energy / atoms, forces, virial / batch.volume[:, None, None]

    def export(self, offset: float) -> spk.model.NeuralNetworkPotential:
        """The same network as a SchNetPack potential: float64 energy, offset added back."""
        return spk.model.NeuralNetworkPotential(
            representation=copy.deepcopy(self.representation),
            input_modules=[spk.atomistic.PairwiseDistances()],
            output_modules=[copy.deepcopy(self.head), spk.atomistic.Forces()],
            postprocessors=[
                spk.transform.CastTo64(),
                spk.transform.AddOffsets(
                    properties.energy,
                    add_mean=True,
                    property_mean=torch.tensor([offset], dtype=torch.float64),
                ),
            ],
        ).cpu()


def score(core: Core, frames: Frames, indices: list[int], offset: float) -> tuple[float, ...]:
    """RMSE of energy per atom, forces and stress over the given frames."""
    squares = np.zeros(3)
    for start in range(0, len(indices), 16):
        part = indices[start : start + 16]
        batch = frames.batch(part, offset)
        energy, forces, stress = core(batch, train=False)
        errors = (energy - batch.energy, forces - batch.forces, stress - batch.stress)
        squares += [len(part) * float(e.detach().square().mean()) for e in errors]
    return tuple(np.sqrt(squares / len(indices)))


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("data", type=Path, nargs="+", help=".npz files from label.py")
    parser.add_argument("--out", type=Path, default=Path("best_model"), help="checkpoint")
    parser.add_argument("--cutoff", type=float, default=5.0, help="in A")
    parser.add_argument("--features", type=int, default=64, help="features and filters")
    parser.add_argument("--layers", type=int, default=3, help="interaction blocks")
    parser.add_argument("--gaussians", type=int, default=25, help="radial basis functions")
    parser.add_argument("--steps", type=int, default=20000, help="optimizer steps")
    parser.add_argument("--minutes", type=float, default=1e9, help="shorten the run to fit")
    parser.add_argument("--batch", type=int, default=8, help="frames per step")
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    parser.add_argument("--energy-weight", type=float, default=50.0, help="(eV/atom)^2 term")
    parser.add_argument("--stress-weight", type=float, default=500.0, help="(eV/A^3)^2 term")
    parser.add_argument("--valid", type=float, default=0.06, help="fraction for validation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="torch device",
    )
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    device = torch.device(args.device)
    frames = Frames(args.data, args.cutoff, device)
    train, valid = frames.split(args.valid, args.seed)
    offset = frames.mean_energy()
    core = Core(args.features, args.layers, args.gaussians, args.cutoff).to(device)
    # An exponential moving average of the weights: smoother, and better, than the last step.
    average = copy.deepcopy(core)
    optimizer = torch.optim.AdamW(core.parameters(), lr=args.rate, weight_decay=1e-6)
    print(
        f"{len(train)} training and {len(valid)} validation frames on {device}, "
        f"{sum(p.numel() for p in core.parameters())} parameters",
        flush=True,
    )

    best, started, queue = math.inf, time.time(), []
    every = max(args.steps // 50, 1)
    for step in range(args.steps + 1):
        elapsed = (time.time() - started) / 60.0
        # Progress by steps or by the clock, so that a run cut by --minutes still cools down.
        progress = min(max(step / args.steps, elapsed / args.minutes), 1.0)
        last = progress >= 1.0
        if (step % every == 0 and step > 0) or last:
            energy, force, stress = score(average, frames, valid, offset)
            print(
                f"step {step:6d}  {60 * elapsed:6.0f} s  valid RMSE: "
                f"energy {1e3 * energy:7.3f} meV/atom  force {1e3 * force:7.2f} meV/A  "
                f"stress {160.2177 * stress:6.3f} GPa",
                flush=True,
            )
            value = force**2 + args.energy_weight * energy**2 + args.stress_weight * stress**2
            if value < best:
                best = value
                torch.save(average.export(offset), args.out)
        if last:
            break
        warm = min(1.0, (step + 1) / 200)
        rate = 1e-5 + (args.rate - 1e-5) * 0.5 * (1.0 + math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = warm * rate
        if len(queue) < args.batch:
            queue += rng.permutation(train).tolist()
        picked, queue = queue[: args.batch], queue[args.batch :]
        batch = frames.batch(picked, offset)
        energy, forces, stress = core(batch, train=True)
        loss = (
            (forces - batch.forces).square().mean()
            + args.energy_weight * (energy - batch.energy).square().mean()
            + args.stress_weight * (stress - batch.stress).square().mean()
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(core.parameters(), 10.0)
        optimizer.step()
        keep = min(0.999, (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, value in zip(average.parameters(), core.parameters(), strict=True):
                mean.lerp_(value, 1.0 - keep)
    print(f"wrote {args.out} ({args.out.stat().st_size / 1e3:.0f} kB)")


if __name__ == "__main__":
    main()
