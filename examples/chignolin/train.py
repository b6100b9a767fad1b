#!/usr/bin/env python3
"""Train a SchNet in mlcg's form by force matching, and write it with its priors as a model file.

The network learns the aggregated forces less those of the priors, which FlashSchNet computes. All pairs of ten beads
are few enough that neighbour lists are not worth having.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from flashschnet import Potential
from flashschnet.convert.model import Layer
from flashschnet.convert.schnet import Block, SchNet
from flashschnet.convert.tensors import Tensor as FileTensor
from torch import Tensor, nn

from internal import Beads
from priors import Priors


class Network(nn.Module):
    """SchNet as in mlcg: exponential-normal basis, cosine envelope on basis and filters, tanh."""

    def __init__(self, types: np.ndarray, features: int, blocks: int, functions: int, cutoff: float) -> None:
        super().__init__()
        kinds, rows = np.unique(types, return_inverse=True)
        i, j = np.triu_indices(len(types), 1)
        self.cutoff, self.alpha = cutoff, 5.0 / cutoff
        for name, value in (("rows", rows), ("i", i), ("j", j)):
            self.register_buffer(name, torch.as_tensor(value))
        # Evenly spaced in exp(−α r), from the cutoff to zero, each as wide as to reach its neighbours.
        lowest = float(np.exp(-self.alpha * cutoff))
        self.register_buffer("means", torch.linspace(lowest, 1.0, functions))
        self.register_buffer("betas", torch.full((functions,), (2 / functions * (1 - lowest)) ** -2))
        self.embedding = nn.Embedding(len(kinds), features)

        def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
            layer = nn.Linear(inputs, outputs, bias)
            nn.init.xavier_uniform_(layer.weight)
            if bias:
                nn.init.zeros_(layer.bias)
            return layer

        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "in2f": linear(features, features, bias=False),
                    "filter": nn.Sequential(linear(functions, features), nn.Tanh(), linear(features, features)),
                    "f2out": linear(features, features),
                    "dense": linear(features, features),
                }
            )
            for _ in range(blocks)
        )
        self.readout = nn.Sequential(linear(features, features // 2), nn.Tanh(), linear(features // 2, 1, bias=False))

    def forward(self, positions: Tensor) -> Tensor:
        """Energies (frames,) of positions (frames, beads, 3)."""
        r = (positions[:, self.j] - positions[:, self.i]).norm(dim=-1, keepdim=True)
        envelope = 0.5 * (torch.cos(torch.pi * r.clamp(max=self.cutoff) / self.cutoff) + 1)
        basis = torch.exp(-self.betas * (torch.exp(-self.alpha * r) - self.means) ** 2) * envelope
        x = self.embedding(self.rows).expand(len(positions), -1, -1)
        for block in self.blocks:
            y, filters = block["in2f"](x), block["filter"](basis) * envelope
            messages = torch.zeros_like(y)
            messages = messages.index_add(1, self.i, y[:, self.j] * filters)
            messages = messages.index_add(1, self.j, y[:, self.i] * filters)
            x = x + block["dense"](torch.tanh(block["f2out"](messages)))
        return self.readout(x).sum(dim=(1, 2))

    def forces(self, positions: Tensor, train: bool) -> Tensor:
        """Forces (frames, beads, 3)."""
        positions = positions.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self(positions).sum(), positions, create_graph=train)
        return -gradient

    def parts(self) -> SchNet:
        """The network in the notation of docs/model-format.md."""

        def tensor(values: Tensor) -> FileTensor:
            return FileTensor("F32", values.detach().cpu().numpy().astype("<f4"))

        def layer(module: nn.Linear) -> Layer:
            return Layer(tensor(module.weight), None if module.bias is None else tensor(module.bias))

        envelope = {"kind": "cosine", "cutoff": self.cutoff}
        basis = {"kind": "exponential_normal", "size": len(self.means), "alpha": self.alpha, "start": 0.0}
        return SchNet(
            embedding=tensor(self.embedding.weight),
            cutoff=self.cutoff,
            activation="tanh",
            basis=basis,
            basis_tensors={"basis.means": tensor(self.means), "basis.betas": tensor(self.betas)},
            basis_envelope=envelope,
            filter_envelope=envelope,
            blocks=[
                Block(
                    in2f=tensor(block["in2f"].weight),
                    filter=[layer(block["filter"][0]), layer(block["filter"][2])],
                    f2out=layer(block["f2out"]),
                    dense=layer(block["dense"]),
                )
                for block in self.blocks
            ],
            readout=[layer(self.readout[0]), layer(self.readout[2])],
        )


def prior_forces(priors: Priors, positions: np.ndarray) -> np.ndarray:
    """Forces of the priors alone, by FlashSchNet."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "priors.safetensors"
        priors.write(path, "priors alone", None, {})
        potential = Potential(path, "cpu", "double")
    forces = []
    for part in np.array_split(positions, max(1, len(positions) // 1000)):
        forces += [result.forces for result in potential.compute_batch(part, priors.types)]
    return np.stack(forces)


def score(network: Network, positions: Tensor, target: Tensor) -> float:
    """Mean square of what the network leaves of the target."""
    parts = zip(positions.split(4096), target.split(4096), strict=True)
    return sum(float((network.forces(x, False) - f).square().sum()) for x, f in parts) / target.numel()


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("beads", type=Path, help="what mapping.py wrote")
    parser.add_argument("--out", type=Path, default=Path("chignolin.safetensors"))
    parser.add_argument("--temperature", type=float, default=350.0, help="in K: of the priors, and of validation")
    parser.add_argument("--others", action="store_true", help="learn from frames at other temperatures too")
    parser.add_argument("--validate", type=int, default=4, help="copies, of those not held out, to choose weights by")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seconds", type=float, help="end, and let the learning rate fall, by the clock instead")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate at the start; it falls to a hundredth")
    parser.add_argument("--decay", type=float, default=1e-4, help="weight decay")
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--functions", type=int, default=32)
    parser.add_argument("--cutoff", type=float, default=15.0, help="in Å")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    beads = Beads.load(args.beads)
    priors = Priors.fit(beads, args.temperature)
    beads = beads.pick(held=False)
    beads = beads if args.others else beads.pick(args.temperature)
    target = beads.forces - prior_forces(priors, beads.positions)
    apart = np.isin(beads.copy, np.unique(beads.copy)[-args.validate :])
    validate = apart & (beads.temperature == args.temperature)

    def tensors(chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        arrays = (beads.positions[chosen], target[chosen])
        return tuple(torch.as_tensor(a, dtype=torch.float32, device=device) for a in arrays)

    positions, forces = tensors(~apart)
    held_positions, held_forces = tensors(validate)
    prior_only = float(held_forces.square().mean())
    print(f"{len(positions)} frames to learn from, {len(held_positions)} to validate by", flush=True)
    print(f"validation, mean square (kcal/mol/Å)²: priors alone {prior_only:.3f}", flush=True)

    network = Network(priors.types, args.features, args.blocks, args.functions, args.cutoff).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.rate, weight_decay=args.decay)
    batches = len(positions) // args.batch
    best, kept, epoch, progress = np.inf, network, 0, 0.0
    started = time.monotonic()
    while progress < 1.0:
        order = torch.randperm(len(positions), device=device)
        total = torch.zeros((), device=device)
        for number, part in enumerate(order[: batches * args.batch].split(args.batch)):
            progress = (epoch + number / batches) / args.epochs
            if args.seconds:
                progress = min(1.0, (time.monotonic() - started) / args.seconds)
            for group in optimizer.param_groups:
                group["lr"] = args.rate * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * progress)))
            loss = (network.forces(positions[part], True) - forces[part]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        epoch += 1
        progress = progress if args.seconds else epoch / args.epochs
        now = score(network, held_positions, held_forces)
        if now < best:
            best, kept = now, copy.deepcopy(network)
        print(
            f"epoch {epoch}: learned {float(total) / batches:.3f}, validation {now:.3f} ({now - prior_only:+.3f}), "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )
    network, tensors_of = kept.parts().write(list(range(len(np.unique(priors.types)))))
    priors.write(args.out, f"CLN025 at {args.temperature:g} K", network, tensors_of)


if __name__ == "__main__":
    main()
