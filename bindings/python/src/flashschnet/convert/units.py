"""The units a model file may be in."""

from __future__ import annotations

from .errors import ConvertError

__all__ = ["ENERGIES", "LENGTHS", "parse_units"]

LENGTHS = ("Angstrom", "Bohr", "nm")
ENERGIES = ("eV", "Hartree", "kcal/mol", "kJ/mol", "Rydberg")
_SPELLINGS = {"ang": "Angstrom", "a": "Angstrom", "å": "Angstrom", "ha": "Hartree", "ry": "Rydberg", "a0": "Bohr"}


def parse_units(units: str | tuple[str, str] | None) -> tuple[str, str] | None:
    """Reads ``"Angstrom,eV"``."""
    if units is None:
        return None
    parts = units.split(",") if isinstance(units, str) else list(units)
    if len(parts) != 2:
        raise ConvertError(f"--units {units}: give a length and an energy, such as Angstrom,eV")
    return _one(parts[0], LENGTHS, "length"), _one(parts[1], ENERGIES, "energy")


def _one(word: str, known: tuple[str, ...], what: str) -> str:
    key = word.strip().lower()
    key = _SPELLINGS.get(key, key).lower()
    for name in known:
        if name.lower() == key:
            return name
    raise ConvertError(f"--units: {word.strip()!r} is not a unit of {what} ({', '.join(known)})")
