"""Starting structures: mlcg's files, extended XYZ, PDB; and term lists beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import pairs
from ..convert import ConvertError, tensors
from ..convert.archive import TorchArchive
from ..convert.mlcg_structures import structures_of
from ..model import Model
from .config import ConfigError

__all__ = ["Molecule", "TopologyFile", "read"]


@dataclass
class Molecule:
    """One starting structure, in the model's unit of length."""

    name: str
    types: NDArray[np.int32]
    positions: NDArray[np.float64]
    #: In u; None: those of the model's types.
    masses: NDArray[np.float64] | None = None
    #: (pairs, 2) that are left out of the network's graph; None: nothing is said of them.
    excluded: NDArray[np.int32] | None = None
    #: Name of the residue of each atom, its number, and the atom's own name, for trajectories.
    residues: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


@dataclass
class TopologyFile:
    """What a YAML file says of a molecule that the model's file does not have."""

    #: Types of its atoms, masses in u, and the term list of each prior; None: not there.
    types: list[int] | None = None
    masses: list[float] | None = None
    terms: dict[str, list[list[int]]] | None = None
    #: Pairs of atoms that are left out of the network's graph.
    excluded: list[list[int]] | None = None

    @classmethod
    def load(cls, path: Path) -> TopologyFile:
        """Read the keys ``types``, ``masses``, ``terms`` and ``excluded``."""
        import yaml

        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"cannot read {path}: {' '.join(str(error).split())}") from error
        if not isinstance(content, dict):
            raise ConfigError(f"{path} is not a topology (types, masses, terms, excluded)")
        unknown = sorted(set(content) - {"types", "masses", "terms", "excluded"})
        if unknown:
            raise ConfigError(
                f"{path}: {unknown[0]}: is not a key of a topology; there are excluded, masses, terms, types"
            )
        terms = content.get("terms")
        if terms is not None and not isinstance(terms, dict):
            raise ConfigError(f"{path}: terms: is not a mapping from priors to lists of terms")
        return cls(content.get("types"), content.get("masses"), terms, content.get("excluded"))


def read(path: Path, model: Model, topology: TopologyFile) -> list[Molecule]:
    """The structures in a file.

    Raises
    ------
    ConfigError
        If it cannot be read, or does not say what its atoms are.
    """
    suffix = path.suffix.lower()
    if suffix in (".pt", ".pth"):
        molecules = _mlcg(path, model)
    elif suffix in (".xyz", ".extxyz"):
        molecules = _xyz(path, model, topology)
    elif suffix == ".pdb":
        molecules = [_pdb(path, model, topology)]
    else:
        raise ConfigError(f"{path}: structures are read from *.pt (mlcg), *.xyz, *.extxyz and *.pdb")
    if not molecules:
        raise ConfigError(f"{path} holds no structures")
    names = {kind.index: kind.name for kind in model.types}
    for molecule in molecules:
        kinds = [names.get(int(t), str(t)) for t in molecule.types]
        if topology.excluded is not None:
            molecule.excluded = pairs(topology.excluded, "excluded")
        molecule.residues = molecule.residues or kinds
        molecule.names = molecule.names or kinds
        molecule.numbers = molecule.numbers or list(range(1, len(kinds) + 1))
    return molecules


def _mlcg(path: Path, model: Model) -> list[Molecule]:
    try:
        with TorchArchive(path) as archive:
            found = structures_of(tensors.load(archive))
    except (ConvertError, OSError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    return [
        Molecule(
            structure.name,
            structure.types.astype(np.int32),
            structure.positions / model.length_in_angstrom,
            structure.masses,
            structure.excluded.astype(np.int32),
        )
        for structure in found
    ]


def _xyz(path: Path, model: Model, topology: TopologyFile) -> list[Molecule]:
    import ase.io

    try:
        frames = ase.io.read(path, index=":", format="extxyz")
    except Exception as error:  # ASE raises whatever the line it stumbles on leads to.
        raise ConfigError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    molecules = []
    for number, atoms in enumerate(frames):
        if "types" in atoms.arrays:
            types = atoms.arrays["types"]
        elif topology.types is not None:
            types = topology.types
        else:
            types = atoms.numbers
        masses = atoms.arrays.get("masses", topology.masses)
        molecules.append(
            _molecule(str(atoms.info.get("name", f"{path.stem}-{number}")), types, atoms.positions, masses, model, path)
        )
    return molecules


def _pdb(path: Path, model: Model, topology: TopologyFile) -> Molecule:
    import mdtraj

    try:
        frame = mdtraj.load_pdb(str(path), frame=0, no_boxchk=True, standard_names=False)
    except Exception as error:  # Nor does mdtraj say what it raises.
        raise ConfigError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    atoms = list(frame.topology.atoms)
    types: Any = topology.types
    if types is None:
        by_name = {kind.name: kind.index for kind in model.types}
        types = []
        for atom in atoms:
            kind = by_name.get(atom.residue.name, by_name.get(atom.name))
            if kind is None:
                raise ConfigError(
                    f"{path}: atom {atom.index} ({atom}) is of no type that {model.name} knows by the name of its "
                    "residue or its own: give types in topology_file"
                )
            types.append(kind)
    molecule = _molecule(path.stem, types, 10.0 * frame.xyz[0], topology.masses, model, path)
    molecule.residues = [atom.residue.name for atom in atoms]
    molecule.numbers = [atom.residue.resSeq for atom in atoms]
    molecule.names = [atom.name for atom in atoms]
    return molecule


def _molecule(name: str, types: Any, positions: Any, masses: Any, model: Model, path: Path) -> Molecule:
    kinds = np.asarray(types)
    if kinds.dtype.kind not in "iu" or kinds.shape != (len(positions),):
        raise ConfigError(f"{path}: {name}: types must be {len(positions)} whole numbers")
    weights = None if masses is None else np.asarray(masses, dtype=np.float64)
    if weights is not None and weights.shape != kinds.shape:
        raise ConfigError(f"{path}: {name}: masses must be {len(positions)} numbers")
    where = np.asarray(positions, dtype=np.float64) / model.length_in_angstrom
    return Molecule(name, kinds.astype(np.int32), where, weights)
