"""What cannot be exported."""

from __future__ import annotations

__all__ = ["ExportError"]


class ExportError(ValueError):
    """A prior, molecule or choice that LAMMPS has nothing for; the text names it."""
