"""SchNet in plain PyTorch, as frameworks write it: tensors of pairs × channels, `index_add`, forces by autograd."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from flashschnet import neighbor_list
from numpy.typing import NDArray
from torch.nn.functional import linear, softplus

from .systems import Network

__all__ = ["Peer"]


def _shifted_softplus(x: torch.Tensor) -> torch.Tensor:
    return softplus(x) - math.log(2.0)


_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh,
    "shifted_softplus": _shifted_softplus,
}


class Peer:
    """A network with the weights of a model file, float32, for one set of positions; the list of pairs is given."""

    def __init__(
        self, network: Network, positions: NDArray[Any], types: NDArray[Any], cell: NDArray[Any] | None, threads: int
    ) -> None:
        torch.set_num_threads(threads)
        self.network = network.description
        self.act = _ACTIVATIONS[self.network["activation"]]
        self.weights = {name: torch.tensor(value, dtype=torch.float32) for name, value in network.tensors.items()}
        copies, atoms = positions.shape[:2]
        rows = np.array([network.rows[int(kind)] for kind in types])
        self.types = torch.tensor(np.tile(rows, copies))
        lists = [neighbor_list(each, self.network["cutoff"], cell) for each in positions]
        self.i = torch.tensor(np.concatenate([pairs.i + s * atoms for s, pairs in enumerate(lists)]))
        self.j = torch.tensor(np.concatenate([pairs.j + s * atoms for s, pairs in enumerate(lists)]))
        shifts = np.concatenate([pairs.S for pairs in lists]) @ (np.zeros((3, 3)) if cell is None else cell)
        self.shifts = torch.tensor(shifts, dtype=torch.float32)
        self.positions = torch.tensor(positions.reshape(-1, 3), dtype=torch.float32)

    def __call__(self) -> NDArray[Any]:
        """Forces; the energy on the way."""
        positions = self.positions.clone().requires_grad_()
        energy = self.energy(positions)
        (gradient,) = torch.autograd.grad(energy, positions)
        result: NDArray[Any] = (-gradient).numpy()
        return result

    def _layer(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

    def _mlp(self, x: torch.Tensor, name: str, layers: int) -> torch.Tensor:
        for layer in range(layers):
            x = self._layer(x if layer == 0 else self.act(x), f"{name}.{layer}")
        return x

    def _envelope(self, r: torch.Tensor, name: str) -> torch.Tensor:
        envelope = self.network[name]
        if envelope["kind"] == "none":
            return torch.ones_like(r)
        if envelope["kind"] != "cosine" or envelope.get("lower"):
            raise ValueError(f"no envelope of kind {envelope['kind']} here")
        cutoff = envelope["cutoff"]
        inside: torch.Tensor = 0.5 * (torch.cos(math.pi / cutoff * r) + 1) * (r < cutoff)
        return inside

    def _basis(self, r: torch.Tensor) -> torch.Tensor:
        basis, weights = self.network["basis"], self.weights
        if basis["kind"] == "gaussian":
            return torch.exp(-0.5 * ((r[:, None] - weights["basis.centers"]) / weights["basis.widths"]) ** 2)
        if basis["kind"] != "exponential_normal":
            raise ValueError(f"no basis of kind {basis['kind']} here")
        moved = torch.exp(-basis["alpha"] * (r[:, None] - basis.get("start", 0.0)))
        return torch.exp(-weights["basis.betas"] * (moved - weights["basis.means"]) ** 2)

    def energy(self, positions: torch.Tensor) -> torch.Tensor:
        """Energy of all structures together."""
        network = self.network
        r = (positions[self.j] + self.shifts - positions[self.i]).norm(dim=1)
        basis = self._basis(r) * self._envelope(r, "basis_envelope")[:, None]
        envelope = self._envelope(r, "filter_envelope")[:, None]
        x = self.weights["embedding"][self.types]
        for number in range(network["blocks"]):
            block = f"blocks.{0 if network.get('shared_blocks') else number}"
            filters = self._mlp(basis, f"{block}.filter", len(network["filter_network"]["bias"])) * envelope
            messages = self._layer(x, f"{block}.in2f")[self.j] * filters
            received = torch.zeros(len(x), network["filters"]).index_add(0, self.i, messages)
            x = x + self._layer(self.act(self._layer(received, f"{block}.f2out")), f"{block}.dense")
        energies: torch.Tensor = network.get("scale", 1.0) * self._mlp(x, "readout", len(network["readout"]["bias"]))
        return energies.sum()
