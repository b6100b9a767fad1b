"""Where the LAMMPS plugin with ``pair_style flashschnet`` is. Imports little, since LAMMPS' start waits for it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["plugin_folder"]


def plugin_folder() -> str:
    """The folder with ``flashschnetplugin.so``, as ``LAMMPS_PLUGIN_PATH`` wants it."""
    return str(Path(__file__).resolve().parent)
