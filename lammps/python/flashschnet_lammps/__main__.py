"""``LAMMPS_PLUGIN_PATH=$(python -m flashschnet_lammps)``, for a LAMMPS that is not Python's."""

from . import plugin_folder

print(plugin_folder())
