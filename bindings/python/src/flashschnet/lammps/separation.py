"""How many bonds lie between two atoms of a molecule."""

from __future__ import annotations

from itertools import combinations

from .errors import ExportError

__all__ = ["FAR", "excluded_bonds", "separations"]

#: As far as LAMMPS' special_bonds looks.
FAR = 4


def separations(atoms: int, bonds: set[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Bonds between the atoms of each pair, at most ``FAR``, which stands for more and for no way at all."""
    neighbours: list[set[int]] = [set() for _ in range(atoms)]
    for i, j in bonds:
        neighbours[i].add(j)
        neighbours[j].add(i)
    found = dict.fromkeys(combinations(range(atoms), 2), FAR)
    for start in range(atoms):
        seen, edge = {start}, {start}
        for bonds_away in range(1, FAR):
            edge = {there for here in edge for there in neighbours[here]} - seen
            seen |= edge
            found.update({(start, there): bonds_away for there in edge if there > start})
    return found


def excluded_bonds(name: str, pairs: set[tuple[int, int]], separation: dict[tuple[int, int], int]) -> int:
    """Up to how many bonds away a prior leaves pairs out, if it does that, which special_bonds can say."""
    for bonds in range(FAR):
        if pairs == {pair for pair, away in separation.items() if away > bonds}:
            return bonds
    raise ExportError(
        f"prior {name}: its pairs are not all those more than 0, 1, 2 or 3 bonds apart, and special_bonds can say "
        "nothing else"
    )
