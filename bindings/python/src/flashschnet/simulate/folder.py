"""A run's folder, and what is written when.

::

    run.json                     what the run is: replicas, temperatures, units, seed
    config.yaml                  the configuration as it was given
    model.safetensors            the model, if it had to be converted
    structures/NAME.pdb          each starting structure, the topology of its trajectories
    exports/step-000000005000/   what was saved up to this step since the export before
        replica-000.dcd              frames, in Å
        energies.csv                 one row a frame and replica; or energies.parquet
        exchanges.csv                attempts and exchanges so far, with replica exchange; or exchanges.parquet
        forces.npy                   (frames, atoms, 3), if asked for
    checkpoint                   all that the next step depends on

An export is written under another name and renamed when it is complete; then the checkpoint of the same step takes the
place of the last one. A kill at any moment leaves whole files, and at most exports that are later than the checkpoint:
those are removed when the run goes on, which writes them again.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .config import ConfigError
from .molecules import Molecule
from .tables import read_table, write_table

__all__ = ["Frames", "RunFolder"]

_STEP = "step-"
_PART = ".part"


@dataclass
class Frames:
    """What was saved since the last export."""

    #: Frame by frame and replica by replica: (atoms, 3), in Å.
    positions: list[list[NDArray[np.float32]]] = field(default_factory=list)
    #: Rows of the table of energies.
    energies: list[dict[str, Any]] = field(default_factory=list)
    #: Frame by frame (atoms of all replicas, 3), if forces are saved.
    forces: list[NDArray[np.float32]] = field(default_factory=list)
    #: Rows of the table of exchanges, as of the last frame.
    exchanges: list[dict[str, Any]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.positions)


class RunFolder:
    """The folder of one run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def checkpoint_file(self) -> Path:
        """Where the checkpoint is."""
        return self.path / "checkpoint"

    @property
    def model_file(self) -> Path:
        """Where a converted model is."""
        return self.path / "model.safetensors"

    @property
    def log_file(self) -> Path:
        """Where the log is."""
        return self.path / "log.txt"

    def exists(self) -> bool:
        """Whether there is a run."""
        return (self.path / "run.json").is_file()

    def description(self) -> dict[str, Any]:
        """What the run is.

        Raises
        ------
        ConfigError
            If there is no run in the folder.
        """
        try:
            content: dict[str, Any] = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.path} is not the folder of a run: {error}") from error
        return content

    def begin(self, description: dict[str, Any], config: str, molecules: Sequence[Molecule], angstrom: float) -> None:
        """Write what does not change, in the place of whatever run was here."""
        for name in ("exports", "structures"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for file in (self.checkpoint_file, self.log_file, self.path / "run.json"):
            file.unlink(missing_ok=True)
        for folder in ("exports", "structures"):
            (self.path / folder).mkdir(parents=True)
        for molecule in molecules:
            write_pdb(molecule, angstrom, self.path / "structures" / f"{molecule.name}.pdb")
        replace(self.path / "config.yaml", config.encode())
        replace(self.path / "run.json", json.dumps(description, indent=1).encode())

    def read_checkpoint(self) -> bytes | None:
        """The last checkpoint, if there is one."""
        return self.checkpoint_file.read_bytes() if self.checkpoint_file.exists() else None

    def drop_after(self, step: int) -> None:
        """Remove what was exported after ``step``, and what was not completed."""
        for folder in (self.path / "exports").iterdir():
            if folder.name.endswith(_PART) or int(folder.name.removeprefix(_STEP)) > step:
                shutil.rmtree(folder)

    def export(self, step: int, frames: Frames, checkpoint: bytes, table_format: str) -> None:
        """Write what was saved up to ``step``, then the checkpoint of that step."""
        if frames:
            folder = self.path / "exports" / f"{_STEP}{step:012d}"
            part = folder.with_name(folder.name + _PART)
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            for replica in range(len(frames.positions[0])):
                write_dcd([frame[replica] for frame in frames.positions], part / f"replica-{replica:03d}.dcd")
            for name, rows in (("energies", frames.energies), ("exchanges", frames.exchanges)):
                if rows:
                    write_table(rows, part / f"{name}.{table_format}")
            if frames.forces:
                np.save(part / "forces.npy", np.stack(frames.forces))
            for file in part.iterdir():
                _sync(file)
            _sync(part)
            part.rename(folder)
            _sync(folder.parent)
        replace(self.checkpoint_file, checkpoint)

    def exports(self) -> list[Path]:
        """The folders of all exports, in order."""
        return sorted(
            folder
            for folder in (self.path / "exports").iterdir()
            if folder.name.startswith(_STEP) and not folder.name.endswith(_PART)
        )

    def energies(self) -> Iterator[dict[str, str]]:
        """All rows of the tables of energies, as texts, whatever the format of the tables."""
        for folder in self.exports():
            for path in folder.glob("energies.*"):
                yield from read_table(path)

    def trajectory(self, replica: int) -> Any:
        """All frames of a replica, as an ``mdtraj.Trajectory``."""
        import mdtraj

        files = [str(folder / f"replica-{replica:03d}.dcd") for folder in self.exports()]
        if not files:
            raise ConfigError(f"{self.path}: nothing has been exported yet")
        with _quiet():
            return mdtraj.load(files, top=str(self.topology(replica)))

    def topology(self, replica: int) -> Path:
        """The file with the starting structure of a replica."""
        name = self.description()["replicas"][replica]["structure"]
        return self.path / "structures" / f"{name}.pdb"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep from the terminal what mdtraj's reader of DCD, which is C, prints of every file it opens."""
    flush = ctypes.CDLL(None).fflush
    sys.stdout.flush()
    flush(None)
    kept = os.dup(1)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        flush(None)
        os.dup2(kept, 1)
        os.close(kept)


def replace(path: Path, content: bytes) -> None:
    """Write a file so that there is always a whole one of this name, the old or the new."""
    part = path.with_name(path.name + _PART)
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """See to it that a file or folder survives a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_dcd(frames: list[NDArray[np.float32]], path: Path) -> None:
    """Write frames in Å."""
    from mdtraj.formats import DCDTrajectoryFile

    with DCDTrajectoryFile(str(path), "w") as file:
        file.write(np.stack(frames))


def write_pdb(molecule: Molecule, angstrom: float, path: Path) -> None:
    """Write a starting structure; its unit of length is so many Å."""
    import mdtraj

    topology = mdtraj.Topology()
    chain = topology.add_chain()
    residue, last = None, None
    for name, kind, number in zip(molecule.names, molecule.residues, molecule.numbers, strict=True):
        if residue is None or number != last:
            residue, last = topology.add_residue(kind[:3], chain, resSeq=number), number
        topology.add_atom(name[:4], mdtraj.element.virtual, residue)
    # nanometres
    mdtraj.Trajectory(molecule.positions[None] * (angstrom / 10), topology).save_pdb(str(path))
