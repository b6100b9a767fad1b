"""Every piece of code in the project's README does what it says there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import flashschnet
from flashschnet import _library

README = (ROOT / "README.md").read_text(encoding="utf-8")
#: A comment names the kind of the block that follows.
MARKED = re.compile(r"<!-- test: (\w+) -->\n```\w*\n(.*?)```", re.DOTALL)


def blocks(kind: str) -> list[str]:
    """The README's blocks of one kind."""
    return [code for found, code in MARKED.findall(README) if found == kind]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder in which the README's relative paths lead where they should, and nothing is written to the project."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "include").symlink_to(ROOT / "include")
    release = tmp_path / "target" / "release"
    release.mkdir(parents=True)
    (release / "libflashschnet.so").symlink_to(_library._path())
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
    assert sorted({kind for kind, _ in marked}) == ["build", "c", "python", "shell"]
    # What is not: the two commands at the top, and the installation, which have run when tests run.
    assert len(fenced) == len(marked) + 2
    assert all(language == "" for language in fenced if language not in ("python", "c"))


@pytest.mark.parametrize("code", blocks("python"))
def test_python(code: str, place: Path) -> None:
    lines = run([sys.executable, "-c", code], place).splitlines()
    energy, forces = lines[0].split(" ", 1)
    # 216 atoms at the model's lattice constant.
    assert float(energy) == pytest.approx(-63.71 * 216, abs=0.05 * 216)
    assert forces.startswith("(216, 3)")


def test_c(place: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    (code,), (build,) = blocks("c"), blocks("build")
    (place / "pair.c").write_text(code)
    run(build.replace("cc ", "cc -std=c99 -Wall -Wextra -Wpedantic -Werror ", 1), place)
    energy, force = map(float, re.findall(r"-?\d+\.\d+", run(["./pair"], place)))
    results = flashschnet.Potential(ROOT / "examples/nacl/nacl.safetensors").compute(
        [[0, 0, 0], [2.73, 0, 0]], [11, 17]
    )
    assert [energy, force] == pytest.approx([results.energy, results.forces[1, 0]], abs=2e-6)


def test_shell(place: Path) -> None:
    (code,) = blocks("shell")
    text = run(f"set -e\n{code}", place)
    assert "checked by the library" in text
    assert "Na (11), Cl (17)" in text


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target
