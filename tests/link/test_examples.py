"""The examples, built out of tree against the install tree, and run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tree import FLAGS, NACL, ROOT, Prefix, environment, need, run

EXAMPLES = ROOT / "examples"
LANGUAGES = {"c": ("C", "cc", "md.c"), "cpp": ("CXX", "c++", "md.cpp"), "fortran": ("Fortran", "gfortran", "md.f90")}
# The standard library of Rust leaves some memory to the end of the process, and gfortran the variables of a program.
VALGRIND = (
    "valgrind",
    "--quiet",
    "--fair-sched=try",
    "--error-exitcode=99",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,indirect",
)


@pytest.fixture(scope="module")
def all_built(prefix: Prefix, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders with the examples of each language that there is a compiler for, built by CMake."""
    folders = {}
    for language, (_, compiler, _) in LANGUAGES.items():
        if shutil.which(compiler):
            folder = tmp_path_factory.mktemp(language)
            folders[language] = prefix.project(EXAMPLES / language, folder, "-DCMAKE_BUILD_TYPE=Release")
    return folders


@pytest.fixture(scope="module", params=LANGUAGES)
def built(request: pytest.FixtureRequest, all_built: dict[str, Path]) -> Path:
    """The folder with the examples of a language."""
    need(LANGUAGES[request.param][1])
    return all_built[request.param]


def table(text: str) -> np.ndarray:
    """What dynamics print: step, potential, kinetic, total."""
    return np.array([line.split() for line in text.splitlines()[1:]], float)


def test_dynamics(built, request):
    printed = table(run(built / "md", NACL))
    assert printed[:, 0].tolist() == list(range(0, 101, 10))
    # Kinetic and potential energy change by electronvolts, their sum by what a step of 1 fs leaves.
    assert np.ptp(printed[:, 2]) > 3.0
    assert np.ptp(printed[:, 3]) < 2e-3
    # The same program in every language: the same numbers, as far as they are printed.
    first = request.config.stash.setdefault(TABLE, printed)
    assert (printed == first).all()


TABLE = pytest.StashKey[np.ndarray]()


def test_dynamics_without_a_model(built):
    text = run(built / "md", "nowhere.safetensors", fails=True)
    assert text.splitlines()[0] == "cannot read nowhere.safetensors: No such file or directory (os error 2)"


def test_under_valgrind(all_built):
    need("valgrind")
    command = [*VALGRIND, f"--suppressions={ROOT}/tests/c/valgrind.supp"]
    running = {
        language: subprocess.Popen(
            [*command, folder / "md", NACL, "0"],
            env=environment(OMP_NUM_THREADS="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for language, folder in all_built.items()
    }
    for language, process in running.items():
        printed, _ = process.communicate(timeout=600)
        assert process.returncode == 0, f"{language}: {printed}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_pkg_config(prefix, tmp_path, language):
    name, compiler, source = LANGUAGES[language]
    need(compiler)
    package = "flashschnet-fortran" if language == "fortran" else "flashschnet"
    flags = [*prefix.flags("--cflags", "--libs", package), *([f"-J{tmp_path}"] if language == "fortran" else ["-lm"])]
    run(compiler, *FLAGS[name].split(), EXAMPLES / language / source, "-o", tmp_path / "md", *flags)
    assert len(table(run(tmp_path / "md", NACL, "10"))) == 2


def test_few_functions_are_enough():
    """How much of the header molecular dynamics needs."""
    used = set((EXAMPLES / "c/md.c").read_text().replace("(", " ( ").split())
    functions = {word for word in used if word.startswith("fsn_")} - {"fsn_status", "fsn_model", "fsn_potential"}
    functions -= {"fsn_type", "fsn_structures", "fsn_results"}
    print(sorted(functions))
    assert len(functions) < 10


def test_the_cxx_header_leaves_no_macros(prefix, tmp_path):
    """Only its guard, and what the C header defines."""
    need("c++")

    def macros(text: str) -> set[str]:
        (tmp_path / "source.cpp").write_text(text)
        done = run("c++", "-std=c++17", "-dM", "-E", f"-I{prefix.folder}/include", tmp_path / "source.cpp")
        return {line.split()[1] for line in done.splitlines()}

    text = (prefix.folder / "include/flashschnet.hpp").read_text()
    standard = "\n".join(line for line in text.splitlines() if line.startswith("#include <"))
    c_header = macros('#include "flashschnet.h"\n') | macros(standard + "\n")
    assert macros('#include "flashschnet.hpp"\n') - c_header == {"FLASHSCHNET_HPP"}


@pytest.mark.parametrize("standard", ["c++17", "c++20", "c++23"])
def test_standards_of_cxx(prefix, standard):
    need("c++")
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", "-fsyntax-only"]
    source = ROOT / "tests" / "cxx" / "handles.cpp"
    run("c++", f"-std={standard}", *flags, f"-I{prefix.folder}/include", source)


def test_fpm(prefix, tmp_path):
    need("fpm", "gfortran")
    project = tmp_path / "foreign"
    (project / "app").mkdir(parents=True)
    # A copy, since fpm takes relative paths only, and builds beside them.
    shutil.copytree(ROOT / "bindings" / "fortran", tmp_path / "flashschnet")
    (project / "fpm.toml").write_text('name = "foreign"\n[dependencies]\nflashschnet = { path = "../flashschnet" }\n')
    shutil.copy(EXAMPLES / "fortran" / "md.f90", project / "app" / "main.f90")
    libraries = f"-L{prefix.folder}/lib -Wl,-rpath,{prefix.folder}/lib"
    command = (
        "fpm",
        "install",
        "--prefix",
        tmp_path / "installed",
        "--flag",
        FLAGS["Fortran"],
        "--link-flag",
        libraries,
    )
    run(*command, folder=project)
    assert len(table(run(tmp_path / "installed/bin/foreign", NACL, "10"))) == 2


def test_fpm_has_the_version(prefix):
    line = 'version = "'
    versions = [
        next(row for row in (ROOT / path).read_text().splitlines() if row.startswith(line))
        for path in ("Cargo.toml", "bindings/fortran/fpm.toml")
    ]
    assert versions[0] == versions[1]
