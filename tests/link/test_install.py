"""The install tree: what is in it, that it can be moved, and that other projects find it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tree import NACL, ROOT, Prefix, need, run

VERSION = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
ABI = re.search(r"^#define FSN_ABI_VERSION (\d+)", (ROOT / "include/flashschnet.h").read_text(), re.MULTILINE)[1]

FOREIGN = """
cmake_minimum_required(VERSION 3.22)
project(foreign LANGUAGES C)
{find}
add_executable(program "{source}")
set_property(TARGET program PROPERTY C_STANDARD 99)
target_link_libraries(program PRIVATE {target} m)
"""


def foreign(folder: Path, find: str, target: str = "flashschnet::flashschnet") -> Path:
    """Another project, that has the C example for its program."""
    folder.mkdir(exist_ok=True)
    source = ROOT / "examples" / "c" / "md.c"
    (folder / "CMakeLists.txt").write_text(FOREIGN.format(find=find, target=target, source=source))
    return folder


def computes(program: Path, **environment: str) -> str:
    """What the example prints in its first step."""
    text = run(program, NACL, "0", **environment)
    assert "-13750.416" in text, text
    return text


def test_everything_is_there(prefix):
    found = {str(path.relative_to(prefix.folder)) for path in prefix.folder.rglob("*") if not path.is_dir()}
    expected = {
        "include/flashschnet.h",
        "include/flashschnet.hpp",
        "lib/libflashschnet.a",
        "lib/libflashschnet.so",
        f"lib/libflashschnet.so.{ABI}",
        f"lib/libflashschnet.so.{VERSION}",
        "lib/cmake/flashschnet/flashschnetConfig.cmake",
        "lib/cmake/flashschnet/flashschnetConfigVersion.cmake",
        "lib/pkgconfig/flashschnet.pc",
    }
    assert expected <= found
    others = found - expected
    assert all("ortran" in name or name.endswith(".mod") for name in others), others
    assert bool(others) == (shutil.which("gfortran") is not None)


def test_nothing_remembers_where_it_was_made(prefix):
    for path in prefix.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for place in (prefix.build, prefix.folder.with_name("first")):
                assert str(place).encode() not in content, path


def test_version(prefix):
    need("pkg-config")
    pkgconfig = str(prefix.folder / "lib/pkgconfig")
    assert run("pkg-config", "--modversion", "flashschnet", PKG_CONFIG_PATH=pkgconfig).strip() == VERSION


@pytest.mark.parametrize("options", [[], ["-DBUILD_SHARED_LIBS=OFF"]], ids=["shared", "static"])
def test_find_package(prefix, tmp_path, options):
    source = foreign(tmp_path / "source", "find_package(flashschnet REQUIRED)")
    program = prefix.project(source, tmp_path / "build", *options) / "program"
    needed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    assert ("libflashschnet" in needed) == (not options)
    computes(program)


@pytest.mark.parametrize("target", ["shared", "static"])
def test_targets_by_name(prefix, tmp_path, target):
    source = foreign(tmp_path / "source", "find_package(flashschnet 0.1 REQUIRED)", f"flashschnet::{target}")
    computes(prefix.project(source, tmp_path / "build") / "program")


@pytest.mark.parametrize(
    ("find", "text"),
    [
        ("find_package(flashschnet REQUIRED COMPONENTS COBOL)", "is installed in .* without COBOL"),
        ("find_package(flashschnet 9.0 REQUIRED)", f'compatible with\\s+requested version "9.0"(.|\n)*{VERSION}'),
    ],
)
def test_what_is_not_there_is_named(prefix, tmp_path, find, text):
    need("cmake", "ninja")
    output = prefix.configure(foreign(tmp_path / "source", find), tmp_path / "build", fails=True)
    assert re.search(text, output.replace("\n", " ")), output


def test_add_subdirectory(prefix, tmp_path):
    find = f'add_subdirectory("{ROOT}" flashschnet)'
    program = prefix.project(foreign(tmp_path / "source", find), tmp_path / "build", "-DFLASHSCHNET_FORTRAN=OFF")
    computes(program / "program")
    # What a project has for its own use is not installed with it.
    run("cmake", "--install", tmp_path / "build", "--prefix", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_parts_can_be_left_out(tmp_path):
    need("cmake", "ninja")
    options = ("-DFLASHSCHNET_FORTRAN=OFF", "-DFLASHSCHNET_SHARED=OFF")
    run("cmake", "-S", ROOT, "-B", tmp_path / "build", "-G", "Ninja", *options)
    run("cmake", "--build", tmp_path / "build")
    run("cmake", "--install", tmp_path / "build", "--prefix", tmp_path / "prefix")
    names = {path.name for path in (tmp_path / "prefix").rglob("*")}
    assert "libflashschnet.a" in names
    assert not any(".so" in name or "ortran" in name for name in names)
    prefix = Prefix(tmp_path / "prefix", tmp_path / "build")
    source = foreign(tmp_path / "source", "find_package(flashschnet REQUIRED)")
    computes(prefix.project(source, tmp_path / "program") / "program")
    run(
        "cc", ROOT / "examples/c/md.c", "-o", tmp_path / "md", *prefix.flags("--cflags", "--libs", "flashschnet"), "-lm"
    )
    computes(tmp_path / "md")
    none = run("cmake", "-S", ROOT, "-B", tmp_path / "build", "-DFLASHSCHNET_STATIC=OFF", fails=True)
    assert "FLASHSCHNET_SHARED and FLASHSCHNET_STATIC are both off" in none


@pytest.mark.parametrize("options", [[], ["-static"]], ids=["shared", "static"])
def test_pkg_config(prefix, tmp_path, options):
    flags = prefix.flags("--cflags", *(["--static"] if options else []), "--libs", "flashschnet")
    run("cc", "-std=c99", ROOT / "examples/c/md.c", "-o", tmp_path / "md", *options, *flags, "-lm")
    computes(tmp_path / "md")


def test_default_build_type(prefix):
    assert "CMAKE_BUILD_TYPE:STRING=Release" in (prefix.build / "CMakeCache.txt").read_text()
