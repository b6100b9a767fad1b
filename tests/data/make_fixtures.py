"""Make the models and reference numbers in this folder.

Run in an environment with schnetpack 2.1.1, torch 2.15.0, torch_geometric 2.8.1, ase 3.29.0 and numpy 2.4.6:

    python make_fixtures.py [NAME ...]

(names that begin with ``spk1_`` need schnetpack 1.0.1 instead). Every model has random weights, drawn with a
fixed seed, and is saved in single precision by the framework itself. Beside ``NAME.pt`` lies ``NAME.npz`` with
``positions`` [n, 3], ``types`` [n], ``cell`` [3, 3], ``pbc`` [3], and what the framework computes for the same model in
double precision: ``energy``, the model's own output, and ``forces`` [n, 3]; ``convert_options`` is a JSON object of
options that the conversion needs.
"""

from __future__ import annotations

import json
import math
import sys
import typing
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
CUTOFF = 4.0


def crystal() -> dict[str, np.ndarray]:
    """Eight atoms in a skewed cell, narrower than twice the cutoff, so that atoms meet images of themselves."""
    rng = np.random.default_rng(7)
    cell = np.array([[5.1, 0.0, 0.0], [0.4, 4.7, 0.0], [-0.3, 0.6, 5.6]])
    grid = np.array([[i, j, k] for i in (0, 0.5) for j in (0, 0.5) for k in (0, 0.5)])
    positions = (grid + 0.06 * rng.standard_normal((8, 3))) @ cell
    return {
        "positions": positions,
        "types": np.array([40, 8, 8, 1, 40, 8, 8, 1]),
        "cell": cell,
        "pbc": np.array([True, True, True]),
    }


def molecule() -> dict[str, np.ndarray]:
    """Nine atoms without periodicity, some of them further apart than the cutoff."""
    rng = np.random.default_rng(11)
    grid = np.array([[i, j, 0.4 * ((i + j) % 2)] for i in range(3) for j in range(3)], float)
    return {
        "positions": 1.6 * grid + 0.1 * rng.standard_normal((9, 3)),
        "types": np.array([6, 1, 8, 6, 6, 7, 1, 1, 8]),
        "cell": np.zeros((3, 3)),
        "pbc": np.array([False, False, False]),
    }


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Give every trainable number a value, biases too, which frameworks leave at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            width = parameter.shape[-1] if parameter.ndim > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / width**0.5)


def save(name: str, system: dict[str, np.ndarray], energy: float, forces: np.ndarray, options: dict) -> None:
    np.savez(HERE / f"{name}.npz", **system, energy=energy, forces=forces, convert_options=json.dumps(options))
    print(f"{name}: energy {energy:.12f}, largest force {np.abs(forces).max():.6f}")


# SchNetPack 2.


def schnetpack2(
    name: str, basis: str, cutoff: str, seed: int, *, readout: dict, aggregation: str = "sum", shared: bool = False,
    activation: typing.Any = None, post: typing.Callable[[], list] = list, blocks: int = 2,
) -> None:  # fmt: skip
    import torch.utils.data.dataloader as dataloader

    # schnetpack 2.1.1 imports a name that later versions of torch have dropped.
    dataloader.T_co = typing.TypeVar("T_co", covariant=True)
    import schnetpack as spk
    import schnetpack.model
    from ase.neighborlist import primitive_neighbor_list

    extra = {} if activation is None else {"activation": activation}
    model = spk.model.NeuralNetworkPotential(
        representation=spk.representation.SchNet(
            n_atom_basis=12,
            n_interactions=blocks,
            radial_basis=getattr(spk.nn, basis)(n_rbf=9, cutoff=CUTOFF),
            cutoff_fn=getattr(spk.nn, cutoff)(CUTOFF),
            n_filters=10,
            shared_interactions=shared,
            **extra,
        ),
        input_modules=[spk.atomistic.PairwiseDistances()],
        output_modules=[
            spk.atomistic.Atomwise(n_in=12, output_key="energy", aggregation_mode=aggregation, **readout),
            spk.atomistic.Forces(),
        ],
        postprocessors=[spk.transform.CastTo64(), *post()],
    )
    randomise(model, seed)
    torch.save(model, HERE / f"{name}.pt")
    system = crystal()
    i, j, shift = primitive_neighbor_list(
        "ijS", system["pbc"], system["cell"], system["positions"], CUTOFF, self_interaction=False
    )
    count = len(system["types"])
    inputs = {
        spk.properties.Z: torch.tensor(system["types"]),
        spk.properties.R: torch.tensor(system["positions"]),
        spk.properties.cell: torch.tensor(system["cell"])[None],
        spk.properties.n_atoms: torch.tensor([count]),
        spk.properties.idx_m: torch.zeros(count, dtype=torch.long),
        spk.properties.idx_i: torch.tensor(i),
        spk.properties.idx_j: torch.tensor(j),
        spk.properties.offsets: torch.tensor(shift @ system["cell"]),
    }
    results = model.double()(inputs)
    save(name, system, float(results["energy"].reshape(())), results["forces"].detach().numpy(), {})


def offsets(mean: float | None, references: bool, extensive: bool) -> list:
    import schnetpack as spk

    part = spk.transform.AddOffsets(
        "energy", add_mean=mean is not None, add_atomrefs=references, is_extensive=extensive
    )
    if mean is not None:
        part.mean = torch.tensor([mean])
    if references:
        part.atomref = torch.linspace(-3.0, 5.0, 100)
    return [part]


def scaled() -> list:
    import schnetpack as spk

    return [
        spk.transform.ScaleProperty("energy", scale=torch.tensor([2.5])),
        spk.transform.ScaleProperty("forces", scale=torch.tensor([2.5])),
        *offsets(-1.25, False, True),
    ]


# PyTorch Geometric.


def geometric(name: str, seed: int, options: dict, *, state: bool = False, **arguments: typing.Any) -> None:
    from torch_geometric.nn.models import SchNet

    model = SchNet(hidden_channels=12, num_filters=10, num_interactions=2, num_gaussians=9, cutoff=CUTOFF, **arguments)
    references = None if model.atomref is None else model.atomref.weight.detach().clone()
    randomise(model, seed)
    if references is not None:
        model.atomref.weight.data.copy_(references)
    torch.save(model.state_dict() if state else model, HERE / f"{name}.pt")
    system = molecule()

    class Graph(torch.nn.Module):
        """Every pair within the cutoff: what the framework's own search gives for fewer than 32 neighbours."""

        def forward(self, pos: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            distance = (pos[:, None] - pos[None]).square().sum(-1)
            edges = ((distance <= CUTOFF**2) & ~torch.eye(len(pos), dtype=torch.bool)).nonzero().T
            return edges, (pos[edges[0]] - pos[edges[1]]).norm(dim=-1)

    model.interaction_graph = Graph()
    for module in model.modules():
        if type(module).__name__ == "ShiftedSoftplus":
            # The framework keeps ln 2 rounded to single precision, which would show in the reference at 1e-8.
            module.shift = math.log(2)
    positions = torch.tensor(system["positions"], requires_grad=True)
    energy = model.double()(torch.tensor(system["types"]), positions).sum()
    (gradient,) = torch.autograd.grad(energy, positions)
    save(name, system, float(energy), -gradient.numpy(), options)


# SchNetPack 1.0.


def schnetpack1(name: str, seed: int, *, mean: bool, cutoff: str, coupled: bool) -> None:
    import schnetpack as spk
    from ase.neighborlist import primitive_neighbor_list

    output = spk.atomistic.Atomwise(
        n_in=12, aggregation_mode="sum", n_layers=3, n_neurons=7, property="energy", derivative="forces",
        negative_dr=True, mean=torch.tensor([0.75]), stddev=torch.tensor([1.5]),
        atomref=np.linspace(-3.0, 5.0, 100)[:, None],
    )  # fmt: skip
    model = spk.atomistic.AtomisticModel(
        spk.representation.SchNet(
            n_atom_basis=12, n_filters=10, n_interactions=2, cutoff=CUTOFF, n_gaussians=9, normalize_filter=mean,
            coupled_interactions=coupled, cutoff_network=getattr(spk.nn, cutoff),
        ),
        output,
    )  # fmt: skip
    references = output.atomref.weight.detach().clone()
    randomise(model, seed)
    output.atomref.weight.data.copy_(references)
    torch.save(model, HERE / f"{name}.pt")
    system = crystal()
    count = len(system["types"])
    i, j, shift = primitive_neighbor_list(
        "ijS", system["pbc"], system["cell"], system["positions"], CUTOFF, self_interaction=False
    )
    width = np.bincount(i).max()
    neighbours, offset, mask = np.zeros((count, width), int), np.zeros((count, width, 3)), np.zeros((count, width))
    for atom in range(count):
        mine = np.flatnonzero(i == atom)
        neighbours[atom, : len(mine)], offset[atom, : len(mine)], mask[atom, : len(mine)] = j[mine], shift[mine], 1
    inputs = {
        "_atomic_numbers": torch.tensor(system["types"])[None],
        "_positions": torch.tensor(system["positions"], requires_grad=True)[None],
        "_cell": torch.tensor(system["cell"])[None],
        "_cell_offset": torch.tensor(offset)[None],
        "_neighbors": torch.tensor(neighbours)[None],
        "_neighbor_mask": torch.tensor(mask)[None],
        "_atom_mask": torch.ones(1, count, dtype=torch.float64),
    }
    results = model.double()(inputs)
    save(name, system, float(results["energy"].reshape(())), results["forces"].detach().numpy()[0], {})


def fixtures() -> dict[str, typing.Callable[[], None]]:
    references = torch.linspace(-2.0, 2.0, 100)[:, None]
    return {
        "spk2_gaussian_cosine": lambda: schnetpack2(
            "spk2_gaussian_cosine", "GaussianRBF", "CosineCutoff", 1, readout={},
            post=lambda: offsets(0.375, True, True),
        ),
        "spk2_centered_mollifier_shared": lambda: schnetpack2(
            "spk2_centered_mollifier_shared", "GaussianRBFCentered", "MollifierCutoff", 2, blocks=3, shared=True,
            readout={"n_layers": 3, "n_hidden": [9, 5], "activation": __import__("schnetpack").nn.shifted_softplus},
        ),
        "spk2_bessel_cosine_avg": lambda: schnetpack2(
            "spk2_bessel_cosine_avg", "BesselRBF", "CosineCutoff", 3, readout={"n_layers": 1}, aggregation="avg",
            post=lambda: offsets(0.125, True, False),
        ),
        "spk2_bessel_mollifier_scaled": lambda: schnetpack2(
            "spk2_bessel_mollifier_scaled", "BesselRBF", "MollifierCutoff", 4, readout={},
            activation=torch.nn.Tanh(), post=scaled,
        ),
        "pyg_schnet": lambda: geometric("pyg_schnet", 5, {}, mean=-1.5, std=2.25, atomref=references),
        "pyg_schnet_mean": lambda: geometric("pyg_schnet_mean", 6, {}, readout="mean"),
        "pyg_schnet_state": lambda: geometric(
            "pyg_schnet_state", 7, {"cutoff": CUTOFF, "units": "Angstrom,eV", "scale": 2.25, "shift": -1.5},
            state=True, mean=-1.5, std=2.25, atomref=references,
        ),
        "spk1_sum_coupled": lambda: schnetpack1("spk1_sum_coupled", 8, mean=False, cutoff="CosineCutoff", coupled=True),
        "spk1_mean_mollifier": lambda: schnetpack1(
            "spk1_mean_mollifier", 9, mean=True, cutoff="MollifierCutoff", coupled=False
        ),
    }  # fmt: skip


if __name__ == "__main__":
    table = fixtures()
    for chosen in sys.argv[1:] or table:
        table[chosen]()
