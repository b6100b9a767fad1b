"""Running compilers, and building against an install tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NACL = ROOT / "examples" / "nacl" / "nacl.safetensors"
#: The Fortran module's files, each after those that it uses.
MODULE = [
    ROOT / "bindings" / "fortran" / "src" / f"flashschnet{name}.f90"
    for name in (
        *("_c", "_errors", "_handle", "_model", "_exchange", "_structures", "_neighbors", "_topology", "_potential"),
        *("_simulation", ""),
    )
]
#: Warnings are errors, for every language.
FLAGS: dict[str, str] = {
    "C": "-Wall -Wextra -Wpedantic -Werror",
    "CXX": "-Wall -Wextra -Wpedantic -Werror",
    "Fortran": "-Wall -Werror -std=f2018 -fcheck=all",
}


#: The same for a first configuration.
COMPILED = {"CFLAGS": FLAGS["C"], "CXXFLAGS": FLAGS["CXX"], "FFLAGS": FLAGS["Fortran"]}


def readme(kind: str) -> str:
    """The README's block of one kind."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(rf"<!-- test: {kind} -->\n```\w*\n(.*?)```", text, re.DOTALL)
    return code


def environment(**more: str) -> dict[str, str]:
    """The environment with the programs of the Python that runs the tests: cmake, ninja, fpm and mpicc among them."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "CARGO_TARGET_DIR": target(), "OMP_NUM_THREADS": "2", **more}


def target() -> str:
    """Cargo's target folder, in which the rest of the tests has built the core already."""
    return os.environ.get("CARGO_TARGET_DIR") or str(ROOT / "target")


def run(*command: str | Path, fails: bool = False, folder: Path | None = None, **more: str) -> str:
    """What a command prints; it must succeed, unless it `fails`."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    assert fails == (done.returncode != 0), f"{command}: {done.returncode}\n{done.stdout}"
    return done.stdout


def need(*programs: str) -> None:
    """Skip what a machine has no program for."""
    path = environment()["PATH"]
    for program in programs:
        if shutil.which(program, path=path) is None:
            pytest.skip(f"{program} is not installed")


@dataclass(frozen=True)
class Prefix:
    """An install tree."""

    folder: Path
    build: Path

    @property
    def shared(self) -> Path:
        return self.folder / "lib" / "libflashschnet.so"

    @property
    def static(self) -> Path:
        return self.folder / "lib" / "libflashschnet.a"

    def flags(self, *arguments: str) -> list[str]:
        """What pkg-config says, and where the shared library is at run time."""
        need("pkg-config")
        text = run("pkg-config", *arguments, PKG_CONFIG_PATH=str(self.folder / "lib" / "pkgconfig"))
        return [*text.split(), f"-Wl,-rpath,{self.folder}/lib"]

    def configure(self, source: Path, build: Path, *options: str, fails: bool = False) -> str:
        """CMake's first step for a project that looks for this tree."""
        command = ("cmake", "-S", source, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.folder}", *options)
        return run(*command, fails=fails, **COMPILED)

    def project(self, source: Path, build: Path, *options: str) -> Path:
        """Build a project that looks for this tree, in a folder of its own."""
        need("cmake", "ninja")
        self.configure(source, build, *options)
        run("cmake", "--build", build)
        return build
