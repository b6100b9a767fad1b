"""The ways to the plugin: pip, CMake, one line of a compiler; and plugins in a LAMMPS that they do not fit."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT
from flashschnet import _library
from host import Host, lammps_folder
from systems import SPECIES, crystal, pair, setup

ATOMS = crystal((2, 2, 2))
PROGRAMS = Path(sys.executable).parent
ENVIRONMENT = {**os.environ, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


def block(name: str) -> str:
    """A block of commands of the manual page."""
    found = re.search(rf"<!-- test: {name} -->\n```\n(.*?)```", (ROOT / "lammps" / "README.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository, as far as the plugin needs it, with the core where cargo leaves it."""
    top = tmp_path / "checkout"
    (top / "target" / "release").mkdir(parents=True)
    (top / "target" / "release" / "libflashschnet.so").symlink_to(_library._path())
    (top / "include").symlink_to(ROOT / "include")
    shutil.copytree(ROOT / "lammps", top / "lammps", ignore=shutil.ignore_patterns("build", "*.so"))
    return top


def works(plugin: Path, folder: Path, nacl: Path) -> None:
    """By a `plugin load` line."""
    host = Host(folder / "nowhere" / "x.so", folder)
    script = setup(host.data(ATOMS, SPECIES), ATOMS) + f"plugin load {plugin}\n" + pair(nacl) + "run 1\n"
    assert "FlashSchNet 0." in host.run(script, 2).text


def bash(commands: str, folder: Path) -> None:
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_line(checkout: Path, tmp_path: Path, nacl: Path) -> None:
    bash(block("mpicxx"), checkout)
    works(checkout / "flashschnetplugin.so", tmp_path, nacl)


@pytest.mark.parametrize("source_tree", [False, True])
def test_cmake(checkout: Path, tmp_path: Path, nacl: Path, source_tree: bool) -> None:
    """Against the installed LAMMPS, and against headers as they lie in LAMMPS' sources."""
    commands = block("cmake")
    if source_tree:
        shutil.copytree(lammps_folder() / "include" / "lammps", checkout / "sources" / "src")
        (checkout / "sources" / "src" / "version.h").write_text('#define LAMMPS_VERSION "22 Jul 2025"\n')
        commands = commands.replace("-B build/lammps", "-B build/lammps -D LAMMPS_SOURCE_DIR=sources", 1)
    bash(f"{commands}\ngrep -r 20250722 build/lammps --include=flags.make -q", checkout)
    works(checkout / "build" / "lammps" / "flashschnetplugin.so", tmp_path, nacl)


def compile_with(folder: Path, *flags: str) -> Path:
    """The plugin with other definitions."""
    core = Path(_library._path())
    folder.mkdir()
    target = folder / "flashschnetplugin.so"
    command = [
        *("mpicxx", "-std=c++17", "-O0", "-fPIC", "-shared", *flags, f"-I{ROOT / 'include'}", "-isystem"),
        *(str(lammps_folder() / "include" / "lammps"), *map(str, sorted((ROOT / "lammps").glob("*.cpp"))), "-o"),
        *(str(target), f"-L{core.parent}", "-lflashschnet", f"-Wl,-rpath,{core.parent}"),
    ]
    subprocess.run(command, env=ENVIRONMENT, check=True)
    return target


def test_a_plugin_for_another_lammps_stays_out(tmp_path: Path, nacl: Path) -> None:
    plugins = [
        compile_with(tmp_path / "old", "-DLAMMPS_SMALLBIG", "-DFLASHSCHNET_LAMMPS_VERSION=20240829"),
        compile_with(tmp_path / "big", "-DLAMMPS_BIGBIG"),
    ]
    texts = [
        "it was compiled for LAMMPS 20240829, and this is LAMMPS 20250722. Build it for this one.",
        "it was compiled for atom IDs of 8 bytes, and this LAMMPS has 4 (LAMMPS_SIZES). Build it for this one.",
    ]
    for plugin, text in zip(plugins, texts, strict=True):
        host = Host(plugin, tmp_path)
        output = host.run(setup(host.data(ATOMS, SPECIES), ATOMS) + pair(nacl), 2, fails=True)
        # Once for each time it is loaded, which `clear` does again.
        assert output.text.count(f"flashschnetplugin.so does not fit this program: {text}") == 2
        assert "Unrecognized pair style 'flashschnet'" in output.text


INSTALLED = importlib.util.find_spec("flashschnet_lammps") is not None
needs_installation = pytest.mark.skipif(
    not INSTALLED, reason="flashschnet-lammps is not installed (pip install './bindings/python[lammps]')"
)


@needs_installation
def test_the_extra_of_the_python_package_brings_the_plugin() -> None:
    wanted = [text for text in metadata.requires("flashschnet") or [] if "lammps" in text]
    assert len(wanted) == 1
    assert re.fullmatch(r"flashschnet-lammps @ file://.*/lammps *; extra == ['\"]lammps['\"]", wanted[0])


@needs_installation
@pytest.mark.parametrize("command", [["lmp"], ["mpiexec", "-n", "2", "lmp"], ["python"]])
def test_the_installed_plugin_is_found(tmp_path: Path, nacl: Path, command: list[str]) -> None:
    """By the `lmp` and the Python module of the same environment, without a line that loads it."""
    host = Host(tmp_path / "x.so", tmp_path)
    script = setup(host.data(ATOMS, SPECIES), ATOMS) + pair(nacl) + "run 1\n"
    (tmp_path / "in.lmp").write_text(script)
    (tmp_path / "run.py").write_text('from lammps import lammps\nlammps().file("in.lmp")\n')
    arguments = ["run.py"] if command == ["python"] else ["-in", "in.lmp"]
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "LAMMPS_PLUGIN_PATH"}
    if command == ["python"]:
        # The module's own libraries want to be found before Python starts, by whoever started it.
        environment["LD_LIBRARY_PATH"] = str(PROGRAMS.parent / "lib")
    done = subprocess.run(
        [str(PROGRAMS / command[0]), *command[1:], *arguments],
        cwd=tmp_path, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FlashSchNet 0." in done.stdout
    assert "Loop time" in done.stdout
