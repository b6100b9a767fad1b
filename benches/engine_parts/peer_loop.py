"""Langevin dynamics in plain PyTorch, as mlcg writes it: priors by their definitions, forces by autograd, BAOAB."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from .peer import Peer
from .systems import System, describe, read_network

__all__ = ["Loop"]

#: One kcal/mol per u and Å, in Å/ps².
ACCELERATION = 418.4


class Loop:
    """Replicas of a system under network and priors, float32. The list of pairs is given and not renewed."""

    def __init__(
        self,
        system: System,
        masses: NDArray[np.float64],
        thermal: float,
        timestep: float,
        friction: float,
        threads: int,
    ) -> None:
        network = read_network(system.model)
        self.peer = Peer(network, system.positions[0], system.types, None, threads)
        self.copies = system.copies
        self.positions = self.peer.positions.clone()
        self.response = torch.tensor(np.tile(ACCELERATION / masses, system.copies), dtype=torch.float32)[:, None]
        self.timestep, self.kept = timestep, float(np.exp(-friction * timestep))
        self.noise = (1 - self.kept**2) ** 0.5 * (thermal * self.response).sqrt()
        self.velocities = (thermal * self.response).sqrt() * torch.randn_like(self.positions)
        self.priors = []
        firsts = torch.arange(system.copies)[:, None, None] * system.atoms // system.copies
        for entry in describe(system.model)["priors"]:
            name = entry["name"]
            tensors = {key.split(".")[2]: torch.tensor(value) for key, value in network.tensors.items()
                       if key.startswith(f"priors.{name}.")}  # fmt: skip
            atoms = (tensors["atoms"].long()[None] + firsts).permute(2, 0, 1)
            numbers = {key: value.float() for key, value in tensors.items() if key not in ("atoms", "offsets")}
            self.priors.append((entry["kind"], atoms, numbers))
        self.forces = self._forces()

    def run(self, steps: int) -> None:
        """Make steps."""
        half = 0.5 * self.timestep
        for _ in range(steps):
            self.velocities = self.velocities + half * self.response * self.forces
            self.positions = self.positions + half * self.velocities
            self.velocities = self.kept * self.velocities + self.noise * torch.randn_like(self.velocities)
            self.positions = self.positions + half * self.velocities
            self.forces = self._forces()
            self.velocities = self.velocities + half * self.response * self.forces

    def _forces(self) -> torch.Tensor:
        positions = self.positions.detach().requires_grad_()
        energy = self.peer.energy(positions)
        for kind, atoms, numbers in self.priors:
            energy = energy + _ENERGIES[kind](positions[atoms], numbers).sum()
        (gradient,) = torch.autograd.grad(energy, positions)
        return -gradient


def _bond(x: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    return p["k"] * ((x[1] - x[0]).norm(dim=-1) - p["x0"]) ** 2 + p["v0"]


def _angle(x: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    cosine = torch.nn.functional.cosine_similarity(x[0] - x[1], x[2] - x[1], dim=-1)
    return p["k"] * (cosine - p["x0"]) ** 2 + p["v0"]


def _dihedral(x: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    first, axis, last = x[1] - x[0], x[2] - x[1], x[3] - x[2]
    left, right = torch.linalg.cross(first, axis), torch.linalg.cross(axis, last)
    phi = torch.atan2((first * right).sum(-1) * axis.norm(dim=-1), (left * right).sum(-1))
    orders = torch.arange(1, p["sin"].shape[1] + 1) * phi[..., None]
    return p["v0"] + (p["sin"] * torch.sin(orders) + p["cos"] * torch.cos(orders)).sum(-1)


def _repulsion(x: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    return (p["sigma"] / (x[1] - x[0]).norm(dim=-1)) ** 6


_ENERGIES = {
    "harmonic_bond": _bond,
    "harmonic_angle_cos": _angle,
    "fourier_dihedral": _dihedral,
    "repulsion": _repulsion,
}
