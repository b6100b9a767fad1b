"""The data file and the input of a molecule."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model import Model
from . import forms, separation
from .errors import ExportError
from .priors import Prior, read_priors

__all__ = ["Export", "export"]

#: LAMMPS' units of energy in eV, of those that measure in Å.
_ENERGIES = {"metal": 1.0, "real": 4184.0 / 6.02214076e23 / 1.602176634e-19}
_SECTIONS = {"bond": 2, "angle": 3, "dihedral": 4}


@dataclass
class Export:
    """What was written."""

    #: The data file.
    data: Path
    #: The input that reads it and defines all styles.
    input: Path
    #: What a user should know.
    notes: list[str] = field(default_factory=list)
    #: The energy of priors that LAMMPS' forms lack, in its unit.
    constant: float = 0.0


@dataclass
class _Bonds:
    """Terms of a section of the data file, with their types."""

    kinds: dict[tuple[str, str], int] = field(default_factory=dict)
    terms: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)

    def add(self, form: forms.Bonded, atoms: tuple[int, ...]) -> None:
        kind = self.kinds.setdefault((form.style, form.coefficients), len(self.kinds) + 1)
        self.terms.append((kind, atoms))

    @property
    def styles(self) -> list[str]:
        return sorted({style for style, _ in self.kinds})


def export(
    model: str | os.PathLike[str],
    atoms: Any,
    prefix: str | os.PathLike[str],
    *,
    units: str = "real",
    style: str = "",
    topology: str | None = None,
    repulsion_cutoff: float | None = None,
    mass: float | None = None,
) -> Export:
    """Write ``PREFIX.data`` and ``PREFIX.in``: a molecule, the network and the priors of its force field.

    Parameters
    ----------
    model
        The model file.
    atoms
        An :class:`ase.Atoms`, in Å, one molecule of the model file; bead types are ``atoms.arrays["types"]``, masses
        ``atoms.arrays["masses"]`` or the model's.
    prefix
        Path of the files without their suffix.
    units
        LAMMPS' units, "real" or "metal".
    style
        Keywords of ``pair_style flashschnet``, such as ``"precision double"``.
    topology
        The name of the molecule in the model file, where several have the same types.
    repulsion_cutoff
        Å at which repulsions end that have no cutoff of their own; by default where the strongest is at
        1e-4 kcal/mol.
    mass
        Mass in u of beads whose mass is not known otherwise.

    Raises
    ------
    ExportError
        Naming what LAMMPS has no form for.
    flashschnet.Error
        If the model file cannot be read.
    """
    if units not in _ENERGIES:
        raise ExportError(f"units are {units!r}, can be {' or '.join(sorted(_ENERGIES))}")
    loaded = Model(model)
    description = loaded.description
    if description.get("network") is None:
        raise ExportError(f"{model} has no network; pair_style flashschnet needs one")
    types = np.asarray(atoms.arrays.get("types", atoms.numbers), dtype=np.int64)
    unknown = sorted(set(types.tolist()) - {kind.index for kind in loaded.types})
    if unknown:
        raise ExportError(f"{model} has no type {unknown[0]}")
    priors = read_priors(Path(model), description, types, topology) if description["priors"] else []
    molecule = _Molecule(loaded, atoms, types, _ENERGIES[units], mass)
    for prior in priors:
        molecule.add(prior)
    data, script = Path(f"{prefix}.data"), Path(f"{prefix}.in")
    report = Export(data, script, constant=molecule.constant)
    pair_lines = molecule.pair(_word(model), style, repulsion_cutoff, report)
    head = f"# {loaded.name}, exported by flashschnet export-lammps"
    texts = molecule.data(head), molecule.script(head, units, data, pair_lines)
    for path, text in zip((data, script), texts, strict=True):
        path.write_text(text, encoding="utf-8")
    if molecule.constant:
        report.notes.append(
            f"energies in LAMMPS lack {molecule.constant:.10g} a molecule (units {units}), constants without a force"
        )
    return report


class _Molecule:
    """A molecule as it grows by the terms of priors."""

    def __init__(self, model: Model, atoms: Any, types: NDArray[np.int64], unit: float, mass: float | None) -> None:
        self.model = model
        self.atoms = atoms
        self.types = types
        self.energy = model.energy_in_ev / unit
        self.length = model.length_in_angstrom
        self.kinds: list[int] = sorted(set(types.tolist()))
        self.masses = self._masses(mass)
        self.sections = {name: _Bonds() for name in _SECTIONS}
        self.repulsions: list[Prior] = []
        self.constant = 0.0
        #: The longest cutoff, in Å.
        self.reach = model.cutoff * model.length_in_angstrom

    def _masses(self, mass: float | None) -> list[float]:
        found = []
        for kind in self.kinds:
            known = {round(float(value), 9) for value in self.atoms.get_masses()[self.types == kind]}
            declared = next(each.mass for each in self.model.types if each.index == kind)
            if self.atoms.has("masses") and len(known) == 1:
                found.append(known.pop())
            elif declared or mass:
                found.append(float(declared or mass or 0.0))
            else:
                raise ExportError(f"the mass of type {kind} is not known: give one with --mass")
        return found

    def add(self, prior: Prior) -> None:
        """Take the terms of a prior."""
        if prior.kind in forms.REPULSIONS:
            self.repulsions.append(prior)
            return
        if prior.cutoff is not None:
            raise ExportError(f"prior {prior.name}: LAMMPS has no bonded style with a cutoff")
        for term in prior.terms:
            form = forms.bonded(prior, term, self.energy, self.length)
            self.sections[form.section].add(form, term.atoms)
            self.constant += form.constant

    def _separations(self) -> dict[tuple[int, int], int]:
        bonds = {(min(pair), max(pair)) for _, pair in self.sections["bond"].terms}
        return separation.separations(len(self.types), {(i, j) for i, j in bonds})

    def pair(self, model: str, style: str, cutoff: float | None, report: Export) -> list[str]:
        """The pair style and all that belongs to it."""
        names = {kind.index: kind.name for kind in self.model.types}
        elements = " ".join(names[kind] for kind in self.kinds)
        excluded = [self.model.excluded_bonds]
        if excluded[0] >= separation.FAR:
            raise ExportError(f"the network leaves out pairs within {excluded[0]} bonds; special_bonds reaches 3")
        if not self.repulsions:
            factors = _factors(excluded[0])
            return [
                f"special_bonds lj {' '.join(factors)} coul 1 1 1",
                f"pair_style flashschnet {style}".rstrip(),
                f"pair_coeff * * {model} {elements}",
            ]
        apart = self._separations()
        styles, lines = [f"flashschnet {style}".rstrip()], [f"pair_coeff * * flashschnet {model} {elements}"]
        for number, prior in enumerate(self.repulsions, 1):
            pairs = {(min(term.atoms), max(term.atoms)) for term in prior.terms}
            excluded.append(separation.excluded_bonds(prior.name, pairs, apart))
            coefficients = self._coefficients(prior)
            end = self._end(prior, list(coefficients.values()), cutoff, report)
            styles.append(f"buck {end:.10g}")
            self.reach = max(self.reach, end)
            which = "buck" if len(self.repulsions) == 1 else f"buck {number}"
            for (i, j), form in sorted(coefficients.items()):
                lines.append(f"pair_coeff {i} {j} {which} {form.a:.17g} {form.rho:.17g} {form.c:.17g}")
        special = [_factors(bonds) for bonds in excluded]
        # LAMMPS drops pairs whose common factor is 0, and marks none whose is 1: where styles differ it is neither.
        common = [column[0] if len(set(column)) == 1 else "0.5" for column in zip(*special, strict=True)]
        lines.append(f"pair_modify pair flashschnet special lj {' '.join(special[0])}")
        for number, factors in enumerate(special[1:], 1):
            which = "buck" if len(self.repulsions) == 1 else f"buck {number}"
            lines.append(f"pair_modify pair {which} special lj {' '.join(factors)}")
        return [
            f"special_bonds lj {' '.join(common)} coul 1 1 1",
            f"pair_style hybrid/overlay {' '.join(styles)}",
            *lines,
        ]

    def _coefficients(self, prior: Prior) -> dict[tuple[int, int], forms.Buckingham]:
        """By LAMMPS' atom types."""
        found: dict[tuple[int, int], forms.Buckingham] = {}
        for term in prior.terms:
            i, j = sorted(self.kinds.index(int(self.types[atom])) + 1 for atom in term.atoms)
            form = forms.buckingham(prior, term, self.energy, self.length)
            if found.setdefault((i, j), form) != form:
                raise ExportError(
                    f"prior {prior.name}: pairs of types {self.kinds[i - 1]} and {self.kinds[j - 1]} differ in their "
                    "parameters, and LAMMPS has one set for them"
                )
        return found

    def _end(self, prior: Prior, each: list[forms.Buckingham], cutoff: float | None, report: Export) -> float:
        if prior.cutoff is not None:
            return prior.cutoff * self.length
        if cutoff is not None:
            return cutoff
        small = 1e-4 * _ENERGIES["real"] / self.model.energy_in_ev * self.energy
        end = max(2.0, self.model.cutoff * self.length)
        while max(form.energy(end) for form in each) > small:
            end += 0.5
        report.notes.append(
            f"prior {prior.name} has no cutoff; in LAMMPS it ends at {end:g} Å, where it is below 1e-4 kcal/mol "
            "(--repulsion-cutoff)"
        )
        return end

    def data(self, head: str) -> str:
        """The data file."""
        positions = self.atoms.positions
        periodic = self.atoms.cell.rank == 3 and bool(self.atoms.pbc.all())
        if periodic:
            cell = self.atoms.cell.standard_form()[0].array
            positions = self.atoms.get_scaled_positions() @ cell
            low, high = np.zeros(3), np.diag(cell)
        else:
            # No image is seen, also after moving and unfolding a little.
            room = 0.5 * self.reach + 10.0
            low, high = positions.min(axis=0) - room, positions.max(axis=0) + room
        lines = [head, "", f"{len(self.types)} atoms"]
        used = {name: bonds for name, bonds in self.sections.items() if bonds.terms}
        lines += [f"{len(bonds.terms)} {name}s" for name, bonds in used.items()]
        lines.append(f"{len(self.kinds)} atom types")
        lines += [f"{len(bonds.kinds)} {name} types" for name, bonds in used.items()]
        lines += [f"{a:.17g} {b:.17g} {axis}lo {axis}hi" for a, b, axis in zip(low, high, "xyz", strict=True)]
        if periodic and np.any(cell[[1, 2, 2], [0, 0, 1]]):
            lines.append(f"{cell[1, 0]:.17g} {cell[2, 0]:.17g} {cell[2, 1]:.17g} xy xz yz")
        lines += ["", "Masses", ""]
        lines += [f"{number} {mass:.10g}" for number, mass in enumerate(self.masses, 1)]
        lines += ["", "Atoms # molecular", ""]
        for number, (kind, place) in enumerate(zip(self.types.tolist(), positions, strict=True), 1):
            x, y, z = (f"{value:.17g}" for value in place)
            lines.append(f"{number} 1 {self.kinds.index(kind) + 1} {x} {y} {z}")
        for name, bonds in used.items():
            lines += ["", f"{name.capitalize()}s", ""]
            for number, (kind, members) in enumerate(bonds.terms, 1):
                lines.append(f"{number} {kind} {' '.join(str(atom + 1) for atom in members)}")
        return "\n".join(lines) + "\n"

    def script(self, head: str, units: str, data: Path, pair_lines: list[str]) -> str:
        """The input, up to where a run begins."""
        lines = [head, "", f"units {units}", "atom_style molecular"]
        special = [line for line in pair_lines if line.startswith("special_bonds")]
        coefficients: list[str] = []
        for name, bonds in self.sections.items():
            if not bonds.terms:
                continue
            several = len(bonds.styles) > 1
            lines.append(f"{name}_style {'hybrid ' if several else ''}{' '.join(bonds.styles)}")
            for (style, numbers), kind in bonds.kinds.items():
                coefficients.append(f"{name}_coeff {kind} {style + ' ' if several else ''}{numbers}")
        lines += [*special, f"read_data {_word(data)}", "", *coefficients, ""]
        lines += [line for line in pair_lines if line not in special]
        return "\n".join(lines) + "\n"


def _word(path: str | os.PathLike[str]) -> str:
    """A path as one word of an input."""
    word = str(path)
    return f'"{word}"' if any(character.isspace() for character in word) else word


def _factors(bonds: int) -> list[str]:
    """Of special_bonds, for pairs left out up to so many bonds apart."""
    return ["0" if level <= bonds else "1" for level in (1, 2, 3)]
