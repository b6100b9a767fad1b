"""The examples of message passing: one crystal on several processes, against the undivided one."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from tree import NACL, ROOT, Prefix, need, run

WHEEL = Path(sys.executable).parent


def results(text: str, processes: int) -> None:
    """Every process had its part, and together they had the crystal."""
    assert len(re.findall(r"^process \d of \d: \d+ atoms and \d+ ghosts$", text, re.MULTILINE)) == processes, text
    # The program compares forces and virial, and fails if they differ; here the energies once more, as printed.
    divided, whole = map(float, re.search(r"^energy (\S+), undivided (\S+), ", text, re.MULTILINE).groups())
    assert divided == pytest.approx(whole, rel=1e-12)


def build(prefix: Prefix, folder: Path, language: str, path: str) -> Path:
    """Build by CMake, with the MPI that is found first on a path."""
    cc = f"-DMPI_{'C' if language == 'c' else 'Fortran'}_COMPILER={path}"
    built = prefix.project(ROOT / "examples" / language, folder, cc)
    assert (built / "domains").exists(), "CMake did not find MPI"
    return built / "domains"


# With seven, one has nothing.
@pytest.mark.parametrize("processes", [1, 2, 7])
def test_c(prefix, tmp_path_factory, processes):
    """By the MPI from PyPI, or the system's."""
    need("mpicc", "mpiexec")
    here = WHEEL if (WHEEL / "mpicc").exists() else Path(shutil.which("mpicc")).parent
    program = once(tmp_path_factory, prefix, "c", here / "mpicc")
    libraries = f"{here.parent / 'lib'}{os.pathsep}{os.environ.get('LD_LIBRARY_PATH', '')}"
    environment = {"OMP_NUM_THREADS": "1", "LD_LIBRARY_PATH": libraries}
    results(run(here / "mpiexec", "-n", str(processes), program, NACL, **environment), processes)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_fortran(prefix, tmp_path_factory, processes):
    """By the system's: Fortran wants the modules of its own compiler."""
    if shutil.which("mpifort") is None:
        pytest.skip("mpifort is not installed")
    compiler = Path(shutil.which("mpifort"))
    program = once(tmp_path_factory, prefix, "fortran", compiler)
    command = (compiler.parent / "mpiexec", "-n", str(processes), program, NACL)
    results(run(*command, OMP_NUM_THREADS="1"), processes)


BUILT: dict[str, Path] = {}


def once(factory: pytest.TempPathFactory, prefix: Prefix, language: str, compiler: Path) -> Path:
    """The example of a language, built the first time it is asked for."""
    if language not in BUILT:
        BUILT[language] = build(prefix, factory.mktemp(f"domains-{language}"), language, str(compiler))
    return BUILT[language]
