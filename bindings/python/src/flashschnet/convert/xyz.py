"""Writing structures as extended XYZ."""

from __future__ import annotations

from pathlib import Path

from .errors import ConvertError
from .mlcg_structures import Structure

__all__ = ["write_xyz"]


def write_xyz(structures: list[Structure], path: Path) -> None:
    """Write ``structures`` to ``path``: positions in Å, bead types, masses in u where they are known.

    Beads are no elements, so their species is X; their types are in a column of their own.
    """
    lines: list[str] = []
    for structure in structures:
        properties = "species:S:1:pos:R:3:types:I:1"
        if structure.masses is not None:
            properties += ":masses:R:1"
        name = structure.name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        lines.append(str(len(structure.types)))
        lines.append(f'Properties={properties} pbc="F F F" name="{name}"')
        for atom, (kind, position) in enumerate(zip(structure.types, structure.positions, strict=True)):
            line = "X " + " ".join(f"{x:.17g}" for x in position) + f" {kind}"
            if structure.masses is not None:
                line += f" {structure.masses[atom]:.10g}"
            lines.append(line)
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConvertError(f"cannot write {path}: {error.strerror or error}") from error
