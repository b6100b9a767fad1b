"""The Python code and the commands in the project's README do what they say; tests/link has the other languages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
#: A comment names the kind of the block that follows.
MARKED = re.compile(r"<!-- test: ([\w-]+) -->\n```\w*\n(.*?)```", re.DOTALL)


def blocks(kind: str) -> list[str]:
    """The README's blocks of one kind."""
    return [code for found, code in MARKED.findall(README) if found == kind]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder in which the README's relative paths lead where they should, and nothing is written to the project."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def run(command: str | list[str], place: Path) -> str:
    shell = isinstance(command, str)
    # The commands of the environment that runs the tests.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PWD": str(place)}
    done = subprocess.run(
        command, cwd=place, shell=shell, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_code_is_tested() -> None:
    fenced = re.findall(r"^```(\w*)$", README, re.MULTILINE)[::2]
    marked = MARKED.findall(README)
    assert sorted({kind for kind, _ in marked}) == [
        "build",
        "build-fortran",
        "c",
        "cpp",
        "fortran",
        "install",
        "python",
        "shell",
    ]
    # What is not: the two commands at the top, and the installation, which have run when tests run; and LAMMPS' two,
    # which tests/lammps runs as examples/lammps has them.
    assert len(fenced) == len(marked) + 4
    assert all(language == "" for language in fenced if language not in ("python", "c", "cpp", "fortran"))


@pytest.mark.parametrize("code", blocks("python"))
def test_python(code: str, place: Path) -> None:
    lines = run([sys.executable, "-c", code], place).splitlines()
    energy, forces = lines[0].split(" ", 1)
    # 216 atoms at the model's lattice constant.
    assert float(energy) == pytest.approx(-63.71 * 216, abs=0.05 * 216)
    assert forces.startswith("(216, 3)")


def test_shell(place: Path) -> None:
    (code,) = blocks("shell")
    text = run(f"set -e\n{code}", place)
    assert "checked by the library" in text
    assert "Na (11), Cl (17)" in text


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target
