"""What is computed: structures and models, all made from seeds."""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flashschnet import neighbor_list
from flashschnet.convert.model import Layer, Model, float_tensor, int_tensor
from flashschnet.convert.schnet import Block, SchNet
from flashschnet.convert.tensors import Tensor
from flashschnet.convert.writer import write
from numpy.typing import NDArray

__all__ = [
    "Network",
    "System",
    "cg",
    "cg_with_priors",
    "chignolin",
    "cln025",
    "describe",
    "molecule",
    "nacl",
    "priors_alone",
    "read_network",
    "terms",
]

Floats = NDArray[np.float64]

ROOT = Path(__file__).resolve().parents[2]
NACL_MODEL = ROOT / "examples" / "nacl" / "nacl.safetensors"
NACL_CONSTANT = 5.465
CLN025 = ROOT / "examples" / "chignolin"
#: Å³ of a protein for each of its residues, and beads a residue: N, CA, CB, C, O.
RESIDUE_VOLUME, RESIDUE_BEADS = 135.0, 5
CG_BEADS, CG_CUTOFF, CG_CLOSEST, CG_NEIGHBORS = 269, 20.0, 2.5, (214.0, 228.0)
#: Å; far less than half the skin, so that a list serves for both sets of positions.
MOVE = 0.01


@dataclass
class System:
    """Copies of a structure, and a model for them."""

    name: str
    model: Path
    #: (frames, copies, atoms, 3): the first frame is what errors are measured at; calls take turns between frames.
    positions: Floats
    types: NDArray[np.int32]
    cell: Floats | None

    @property
    def copies(self) -> int:
        """Number of structures computed in one call."""
        return int(self.positions.shape[1])

    @property
    def atoms(self) -> int:
        """Number of atoms of all copies."""
        return self.copies * int(self.positions.shape[2])

    def pairs(self, slack: float = 0.0) -> float:
        """Directed pairs per atom within the cutoff and ``slack`` more, of the first copy."""
        cutoff = float(read_network(self.model).description["cutoff"]) + slack
        return len(neighbor_list(self.positions[0, 0], cutoff, self.cell).i) / int(self.positions.shape[2])

    def save(self, path: Path) -> None:
        """Write what a worker needs."""
        arrays: dict[str, Any] = {"positions": self.positions, "types": self.types}
        np.savez(path, **arrays if self.cell is None else {**arrays, "cell": self.cell})


def _frames(positions: Floats, copies: int, jitter: float, rng: np.random.Generator) -> Floats:
    """Two frames of jittered copies; the first copy is not jittered."""
    first = np.repeat(positions[None], copies, 0)
    first[1:] += rng.normal(0, jitter, first[1:].shape)
    return np.stack([first, first + rng.uniform(-MOVE, MOVE, first.shape)])


def cg(folder: Path, copies: int) -> System:
    """A coarse-grained protein of 269 beads with the network of published coarse-grained force fields."""
    rng = np.random.default_rng(269)
    positions = _packed(rng)
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1) + 1e9 * np.eye(CG_BEADS)
    neighbors = float((distances < CG_CUTOFF).sum(1).mean())
    if not (distances.min() >= CG_CLOSEST and CG_NEIGHBORS[0] <= neighbors <= CG_NEIGHBORS[1]):
        raise RuntimeError(f"beads as close as {distances.min():.2f} Å, {neighbors:.1f} neighbours a bead")
    types = rng.integers(1, 26, CG_BEADS).astype(np.int32)
    model = folder / "cg.safetensors"
    if not model.exists():
        _write_cg_model(model)
    return System(f"CG-269 × {copies}", model, _frames(positions, copies, 0.05, rng), types, None)


def cg_with_priors(folder: Path, copies: int) -> System:
    """The same with 1,500 terms of priors: bonds, angles and dihedrals along the chain, and repulsion of pairs."""
    system = cg(folder, copies)
    model = folder / "cg-priors.safetensors"
    if not model.exists():
        _add_priors(system, model, 1500)
    return System(f"{system.name} with priors", model, system.positions, system.types, None)


def chignolin(folder: Path, copies: int) -> System:
    """Ten beads on a helix, with a network of 3 blocks to 5 Å and 50 terms of priors."""
    rng = np.random.default_rng(10)
    turn = np.radians(100.0) * np.arange(10)
    positions = np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(10)], axis=1)
    types = rng.integers(1, 26, 10).astype(np.int32)
    plain, model = folder / "chignolin-plain.safetensors", folder / "chignolin.safetensors"
    frames = _frames(positions, copies, 0.05, rng)
    if not model.exists():
        _write_chignolin_model(plain)
        _add_priors(System("", plain, frames, types, None), model, 50)
    return System(f"chignolin × {copies}", model, frames, types, None)


def cln025(folder: Path, copies: int) -> System:
    """Frames of chignolin, with the model of examples/chignolin: 2 blocks, 64 features, 52 terms of priors."""
    model = folder / "cln025.safetensors"
    if not model.exists():
        shutil.copy(CLN025 / "chignolin.safetensors", model)
        shutil.copy(CLN025 / "priors.safetensors", priors_alone(model))
    with np.load(CLN025 / "data" / "held-out.npz") as data:
        by_name = {entry["name"]: entry["index"] for entry in describe(model)["types"]}
        types = np.array([by_name[name] for name in data["residues"].tolist()], np.int32)
        chosen = data["positions"][np.linspace(0, len(data["positions"]) - 1, copies).astype(int)].astype(np.float64)
    moved = chosen + np.random.default_rng(25).uniform(-MOVE, MOVE, chosen.shape)
    return System(f"CLN025 × {copies}", model, np.stack([chosen, moved]), types, None)


def _add_priors(system: System, path: Path, count: int) -> None:
    """The system's network with ``count`` terms; bonds and angles are at rest where the first copy is."""
    rng = np.random.default_rng(15)
    where = system.positions[0, 0]
    beads = len(where)
    chains = {size: np.arange(beads - size + 1)[:, None] + np.arange(size) for size in (2, 3, 4)}
    pairs = np.array([(i, j) for i in range(beads) for j in range(i + 3, beads)])
    far = pairs[rng.permutation(len(pairs))[: count - sum(map(len, chains.values()))]]
    bonds = np.linalg.norm(where[chains[2][:, 0]] - where[chains[2][:, 1]], axis=1)
    arms = [where[chains[3][:, place]] - where[chains[3][:, 1]] for place in (0, 2)]
    cosines = (arms[0] * arms[1]).sum(1) / np.prod([np.linalg.norm(arm, axis=1) for arm in arms], axis=0)
    series = rng.normal(0, 0.1, (2, len(chains[4]), 3))
    lists: list[tuple[str, str, NDArray[Any], dict[str, Any]]] = [
        ("bonds", "harmonic_bond", chains[2], {"k": 10.0, "x0": bonds, "v0": 0.0}),
        ("angles", "harmonic_angle_cos", chains[3], {"k": 5.0, "x0": cosines, "v0": 0.0}),
        ("dihedrals", "fourier_dihedral", chains[4], {"v0": 0.0, "sin": series[0], "cos": series[1]}),
        ("repulsion", "repulsion", far, {"sigma": 2.0}),
    ]
    network = read_network(system.model)
    tensors = {name: _single(values) for name, values in network.tensors.items()}
    priors = []
    for name, kind, atoms, parameters in lists:
        entry = {"name": name, "kind": kind, "lookup": "per_term", "terms": True, "count": len(atoms)}
        priors.append({**entry, "degrees": 3} if "sin" in parameters else entry)
        for parameter, values in parameters.items():
            rows = values if np.ndim(values) else np.full(len(atoms), values)
            tensors[f"priors.{name}.{parameter}"] = float_tensor(rows)
        tensors[f"priors.{name}.atoms"] = int_tensor(atoms)
        tensors[f"priors.{name}.offsets"] = int_tensor([0, len(atoms)])
    tensors["structures.types"] = int_tensor(system.types)
    types = [{"index": i, "name": f"B{i}", "atomic_number": None, "mass": None} for i in network.rows]
    structures = [{"name": "protein", "atoms": beads}]
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(("priors.", "structures."))}
    for target, described, chosen in ((path, network.description, tensors), (priors_alone(path), None, own)):
        model = Model("benchmark", ("Angstrom", "kcal/mol"), types, described, chosen, priors=priors,
                      structures=structures)  # fmt: skip
        write(model, {"note": "random weights"}, target)


def priors_alone(model: Path) -> Path:
    """The file with a model's priors and no network."""
    return model.with_suffix(".priors.safetensors")


def terms(system: System) -> int:
    """Number of terms of a copy's priors."""
    return sum(entry["count"] for entry in describe(system.model)["priors"])


def describe(model: Path) -> dict[str, Any]:
    """A model file's description."""
    data = model.read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    description: dict[str, Any] = json.loads(header["__metadata__"]["flashschnet"])
    return description


def _packed(rng: np.random.Generator) -> Floats:
    """Beads thrown at random into an ellipsoid of a protein's density, those too close to others thrown again."""
    volume = CG_BEADS * RESIDUE_VOLUME / RESIDUE_BEADS
    elongation = 2.1
    short = (3 * volume / (4 * np.pi * elongation)) ** (1 / 3)
    axes = short * np.array([1.0, 1.0, elongation])
    beads: Floats = np.empty((0, 3))
    for _ in range(1_000_000):
        bead = rng.uniform(-1, 1, 3)
        if bead @ bead > 1:
            continue
        if len(beads) == 0 or ((beads - bead * axes) ** 2).sum(1).min() > CG_CLOSEST**2:
            beads = np.vstack([beads, bead * axes])
        if len(beads) == CG_BEADS:
            return beads
    raise RuntimeError("the beads do not fit")


def _xavier(rng: np.random.Generator, outputs: int, inputs: int, bias: bool = True) -> Layer:
    """Uniform by Xavier's rule; biases small, so that they are not forgotten."""
    limit = (6 / (inputs + outputs)) ** 0.5
    weight = rng.uniform(-limit, limit, (outputs, inputs)).astype(np.float32)
    return Layer(_single(weight), _single(rng.uniform(-0.1, 0.1, outputs)) if bias else None)


def _single(values: Any) -> Tensor:
    return Tensor("F32", np.ascontiguousarray(values, "<f4"))


def _blocks(rng: np.random.Generator, blocks: int, width: int, basis: int) -> list[Block]:
    return [
        Block(
            in2f=_xavier(rng, width, width, bias=False).weight,
            filter=[_xavier(rng, width, basis), _xavier(rng, width, width)],
            f2out=_xavier(rng, width, width),
            dense=_xavier(rng, width, width),
        )
        for _ in range(blocks)
    ]


def _write_model(path: Path, units: tuple[str, str], names: dict[int, str], schnet: SchNet) -> None:
    network, tensors = schnet.write(list(range(len(names))))
    types = [{"index": i, "name": name, "atomic_number": None, "mass": None} for i, name in names.items()]
    write(Model("benchmark", units, types, network, tensors), {"note": "random weights"}, path)


def _write_cg_model(path: Path) -> None:
    """128 features and filters, 5 blocks, 128 exponential-normal functions at their initial means and widths."""
    _write_protein_model(path, CG_CUTOFF, 128, 5)


def _write_chignolin_model(path: Path) -> None:
    """128 features and filters, 3 blocks, 33 functions, to 5 Å."""
    _write_protein_model(path, 5.0, 33, 3)


def _write_protein_model(path: Path, cutoff: float, size: int, blocks: int) -> None:
    rng = np.random.default_rng(128)
    width = 128
    start = np.exp(-cutoff)
    betas = np.full(size, (2 / size * (1 - start)) ** -2)
    envelope = {"kind": "cosine", "cutoff": cutoff}
    schnet = SchNet(
        embedding=_single(rng.normal(0, 1, (25, width))),
        cutoff=cutoff,
        activation="tanh",
        basis={"kind": "exponential_normal", "size": size, "alpha": 5 / cutoff, "start": 0.0},
        basis_tensors={"basis.means": float_tensor(np.linspace(start, 1, size)), "basis.betas": float_tensor(betas)},
        basis_envelope=envelope,
        filter_envelope=envelope,
        blocks=_blocks(rng, blocks, width, size),
        readout=[_xavier(rng, 128, width), _xavier(rng, 64, 128), _xavier(rng, 1, 64)],
    )
    _write_model(path, ("Angstrom", "kcal/mol"), {i: f"B{i}" for i in range(1, 26)}, schnet)


#: Ethanol: C C O, then H.
ETHANOL = (
    (1.1879, -0.3829, 0.0),
    (0.0, 0.5526, 0.0),
    (-1.1867, -0.2472, 0.0),
    (-1.9237, 0.3850, 0.0),
    (2.0985, 0.2306, 0.0),
    (1.1184, -1.0093, 0.8869),
    (1.1184, -1.0093, -0.8869),
    (-0.0227, 1.1812, 0.8852),
    (-0.0227, 1.1812, -0.8852),
)


def molecule(folder: Path) -> System:
    """Ethanol, with a network of the size usual for molecules."""
    rng = np.random.default_rng(9)
    types = np.array([6, 6, 8, 1, 1, 1, 1, 1, 1], np.int32)
    model = folder / "molecule.safetensors"
    if not model.exists():
        _write_molecule_model(model)
    return System("ethanol", model, _frames(np.array(ETHANOL), 1, 0.0, rng), types, None)


def _write_molecule_model(path: Path) -> None:
    """128 features and filters, 3 blocks, 20 Gaussians, 5 Å, shifted softplus."""
    rng = np.random.default_rng(20)
    size, width, cutoff = 20, 128, 5.0
    centers = np.linspace(0, cutoff, size)
    schnet = SchNet(
        embedding=_single(rng.normal(0, 1, (9, width))),
        cutoff=cutoff,
        activation="shifted_softplus",
        basis={"kind": "gaussian", "size": size},
        basis_tensors={
            "basis.centers": float_tensor(centers),
            "basis.widths": float_tensor(np.full(size, centers[1])),
        },
        basis_envelope={"kind": "none"},
        filter_envelope={"kind": "cosine", "cutoff": cutoff},
        blocks=_blocks(rng, 3, width, size),
        readout=[_xavier(rng, 64, width), _xavier(rng, 1, 64)],
    )
    _write_model(path, ("Angstrom", "eV"), {i: f"E{i}" for i in range(9)}, schnet)


def nacl(cells: int, shuffled: bool = False) -> System:
    """Rock salt of ``cells``³ cubic cells of 8 ions, jittered; line by line or in no order."""
    rng = np.random.default_rng(cells)
    grid = np.stack(np.meshgrid(*[np.arange(2 * cells)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = grid * (NACL_CONSTANT / 2) + rng.normal(0, 0.1, grid.shape)
    types = np.where(grid.sum(1) % 2 == 0, 11, 17).astype(np.int32)
    cell = np.eye(3) * cells * NACL_CONSTANT
    if shuffled:
        order = rng.permutation(len(types))
        positions, types = positions[order], types[order]
    return System(f"NaCl {len(types)}", NACL_MODEL, _frames(positions, 1, 0.0, rng), types, cell)


@dataclass
class Network:
    """A model file's network and its tensors."""

    description: dict[str, Any]
    #: Row of the embedding of each type.
    rows: dict[int, int]
    tensors: dict[str, NDArray[Any]]


def read_network(path: Path) -> Network:
    """Read a model file; docs/model-format.md describes it."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    description = json.loads(header.pop("__metadata__")["flashschnet"])
    dtypes = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I32": "<i4", "I64": "<i8"}
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        blob = data[8 + length + begin : 8 + length + end]
        tensors[name] = np.frombuffer(blob, dtypes[entry["dtype"]]).reshape(entry["shape"])
    rows = {entry["index"]: row for row, entry in enumerate(description["types"])}
    return Network(description["network"], rows, tensors)
