"""Element and bead types: which rows of the embedding are kept, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .elements import MASSES, SYMBOLS, atomic_number
from .errors import ConvertError

__all__ = ["bead_types", "element_types", "parse_types"]


@dataclass(frozen=True)
class _Choice:
    index: int
    name: str | None


def parse_types(text: str | None) -> list[_Choice] | None:
    """Reads ``--types``: symbols or numbers separated by commas; ``1:ALA`` also names type 1."""
    if text is None:
        return None
    choices: dict[int, _Choice] = {}
    for item in text.split(","):
        word, _, name = item.strip().partition(":")
        if word.isdecimal():
            index = int(word)
        elif (number := atomic_number(word)) is not None:
            index = number
        elif word[:1] == "B" and word[1:].isdecimal():
            index = int(word[1:])
        else:
            raise ConvertError(f"--types: {item.strip()!r} is neither an element nor a type number")
        if index in choices:
            raise ConvertError(f"--types: {item.strip()!r} is there twice")
        choices[index] = _Choice(index, name or None)
    return [choices[index] for index in sorted(choices)]


def element_types(rows: int, option: str | None) -> list[dict[str, Any]]:
    """Types of an embedding whose row Z belongs to element Z. Row 0 is padding and left out."""
    choices = parse_types(option)
    if choices is None:
        choices = [_Choice(z, None) for z in range(1, min(rows, len(SYMBOLS)))]
    types = []
    for choice in choices:
        z = choice.index
        if not 0 < z < min(rows, len(SYMBOLS)):
            known = f"elements 1 to {min(rows, len(SYMBOLS)) - 1}"
            raise ConvertError(f"--types: the model's embedding has no row for {z} (it has {known})")
        types.append({"index": z, "name": choice.name or SYMBOLS[z], "atomic_number": z, "mass": MASSES[z]})
    return types


def bead_types(present: list[int], option: str | None, masses: dict[int, float]) -> list[dict[str, Any]]:
    """Types of a coarse-grained model: those ``present`` in the file, or of these what ``--types`` names."""
    choices = parse_types(option)
    if choices is None:
        choices = [_Choice(index, None) for index in present]
    missing = [choice.index for choice in choices if choice.index not in set(present)]
    if missing:
        raise ConvertError(f"--types: the file has no type {missing[0]}")
    return [
        {
            "index": choice.index,
            "name": choice.name or f"B{choice.index}",
            "atomic_number": None,
            "mass": masses.get(choice.index),
        }
        for choice in choices
    ]
