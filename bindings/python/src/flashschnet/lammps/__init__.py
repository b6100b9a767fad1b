"""A coarse-grained force field for LAMMPS: ``pair_style flashschnet``, and the priors as its own styles."""

from .errors import ExportError
from .export import Export, export

__all__ = ["Export", "ExportError", "export"]
