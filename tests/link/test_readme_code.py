"""The compiled languages' code in the README, built as it says there."""

from __future__ import annotations

import re
from pathlib import Path

import flashschnet
import pytest
from tree import NACL, ROOT, Prefix, need, readme, run


@pytest.fixture(scope="module")
def expected() -> list[float]:
    """Energy and force of the pair of ions, from Python."""
    results = flashschnet.Potential(NACL).compute([[0, 0, 0], [2.73, 0, 0]], [11, 17])
    return [results.energy, results.forces[1, 0]]


def prints(prefix: Prefix, folder: Path, build: str, expected: list[float]) -> None:
    """Run the README's commands where its paths lead where they should."""
    need("pkg-config")
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "flashschnet").symlink_to(prefix.folder)
    printed = run("bash", "-euc", f"{build}\n./pair", folder=folder, HOME=str(folder))
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", printed)]
    assert numbers == pytest.approx(expected, abs=2e-6)


def test_c(prefix, tmp_path, expected):
    (tmp_path / "pair.c").write_text(readme("c"))
    build = readme("build").replace("cc ", "cc -std=c99 -Wall -Wextra -Wpedantic -Werror ", 1)
    prints(prefix, tmp_path, build, expected)


def test_cpp(prefix, tmp_path, expected):
    (tmp_path / "pair.cpp").write_text(readme("cpp"))
    build = readme("build").replace("cc pair.c", "c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror pair.cpp", 1)
    prints(prefix, tmp_path, build, expected)


def test_fortran(prefix, tmp_path, expected):
    need("gfortran")
    (tmp_path / "pair.f90").write_text(readme("fortran"))
    build = readme("build-fortran").replace("gfortran ", "gfortran -std=f2018 -Wall -Werror -fcheck=all ", 1)
    prints(prefix, tmp_path, build, expected)
