"""Energies, forces and virials of the same structures from every language, and what each says to bad input."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import lammps_plugin
import numpy as np
import pytest
from languages import PROGRAMS, STRUCTURES, Answer, Language, crystal, language, python, written
from tree import FLAGS, MODULE, ROOT, Prefix, need, run

#: Where the calls are not the same ones, sums run in another order: a few roundings of the largest number in them.
ROUNDING = 1e-12
#: Runtime checks that leave results alone.
SANITIZERS = "-fsanitize=address,undefined"


@pytest.fixture(scope="module")
def languages(prefix: Prefix, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Language]:
    """All languages there are here, each with the library that is installed."""
    folder = tmp_path_factory.mktemp("languages")
    flags = prefix.flags("--cflags", "--libs", "flashschnet")
    run("cc", "-std=c99", *FLAGS["C"].split(), PROGRAMS / "compute.c", "-o", folder / "c", *flags)
    run("c++", "-std=c++17", *FLAGS["CXX"].split(), PROGRAMS / "compute.cpp", "-o", folder / "cpp", *flags)
    found = {"C": language(folder / "c"), "C++": language(folder / "cpp"), "Python": python(prefix.shared)}
    if shutil.which("gfortran"):
        flags = prefix.flags("--cflags", "--libs", "flashschnet-fortran")
        source = PROGRAMS / "compute.f90"
        run("gfortran", *FLAGS["Fortran"].split(), f"-J{folder}", source, "-o", folder / "fortran", *flags)
        found["Fortran"] = language(folder / "fortran")
    return found


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The LAMMPS plugin of an install tree, where there is a LAMMPS."""
    if not lammps_plugin.available() or shutil.which("c++") is None:
        return None
    prefix = lammps_plugin.install(tmp_path_factory.mktemp("lammps"))
    source = tmp_path_factory.mktemp("finds")
    find = 'find_package(flashschnet REQUIRED COMPONENTS LAMMPS)\nmessage(STATUS "plugin ${flashschnet_LAMMPS_PLUGIN}")'
    (source / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.22)\nproject(finds LANGUAGES C)\n{find}\n"
    )
    said = prefix.configure(source, source / "build")
    return Path(re.search(r"^-- plugin (.+)$", said, re.MULTILINE)[1])


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, ...]]:
    """The table, as it is filled."""
    return []


def values(found: Answer) -> np.ndarray:
    assert found.values is not None, found.text
    return found.values


def test_one_table(languages, plugin, tmp_path, rows):
    """Same calls, same bits; through ghosts, a host's own or LAMMPS', up to rounding."""
    for name, atoms in STRUCTURES.items():
        structure = written(atoms, tmp_path / "structure.txt")
        expected = values(languages["C"]("structures", structure, "precision=double"))
        assert len(expected) == 10 + 3 * len(atoms)
        scale = max(1.0, np.abs(expected[1:]).max())
        for who, compute in languages.items():
            found = values(compute("structures", structure, "precision=double"))
            assert (found == expected).all(), f"{name} in {who}"
            ghosts = values(compute("domain", structure, "precision=double"))
            off = np.abs(ghosts - expected)
            rows.append((who, name, f"{found[0]:.12f}", "the same bits", f"{off[0]:.0e}", f"{off[1:].max():.0e}"))
            assert off[0] <= ROUNDING * abs(expected[0]), f"{name} in {who}"
            assert off[1:].max() <= ROUNDING * scale, f"{name} in {who}"
        if plugin:
            found = lammps_plugin.compute(plugin, atoms, tmp_path)
            right = np.concatenate([expected[:-9], expected[-9:][lammps_plugin.SIX]])
            off = np.abs(found - right)
            rows.append(("LAMMPS", name, f"{found[0]:.12f}", "-", f"{off[0]:.0e}", f"{off[1:].max():.0e}"))
            assert off[0] <= ROUNDING * abs(expected[0]), f"{name} in LAMMPS"
            assert off[1:].max() <= ROUNDING * scale, f"{name} in LAMMPS"
    print()
    for row in (("language", "structure", "energy / eV", "own neighbours", "ghosts: energy", "forces, virial"), *rows):
        print("{:10}{:12}{:>20}{:>16}{:>16}{:>16}".format(*row))


@pytest.mark.parametrize("who", ["C", "C++", "Fortran", "Python", "LAMMPS"])
def test_is_in_the_table(languages, plugin, rows, who):
    if who == "Fortran" and who not in languages:
        pytest.skip("gfortran is not installed: the table has no Fortran")
    if who == "LAMMPS" and plugin is None:
        pytest.skip("LAMMPS is not installed (pip install 'lammps[mpi]'): the table has no LAMMPS")
    assert sum(row[0] == who for row in rows) == len(STRUCTURES)


def test_single_precision(languages, tmp_path):
    structure = written(STRUCTURES["one cell"], tmp_path / "structure.txt")
    expected = values(languages["C"]("structures", structure, "precision=double"))
    single = values(languages["C"]("structures", structure))
    assert (single != expected).any()
    for compute in languages.values():
        assert (values(compute("structures", structure)) == single).all()
        # The exchange moves float32; its numbers are those of a calculation in float32.
        domain = values(compute("domain", structure))
        np.testing.assert_allclose(domain, expected, rtol=0, atol=1e-4 * np.abs(expected[1:]).max())


def damaged(tmp_path: Path, change) -> Path:
    atoms = crystal((1, 1, 1))
    change(atoms)
    return written(atoms, tmp_path / "damaged.txt")


def put(what: str, *place_and_value):
    def change(atoms):
        *place, value = place_and_value
        getattr(atoms, what)[tuple(place)] = value

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (put("positions", 3, 1, np.nan), "position of atom 3 is not finite"),
        (put("positions", 3, 1, np.inf), "position of atom 3 is not finite"),
        (put("numbers", 5, 6), "type 6"),
        (lambda atoms: atoms.set_positions(atoms.positions[[0, 0, 2, 3, 4, 5, 6, 7]]), "atoms 0 and 1"),
        (lambda atoms: atoms.set_cell([[5.6, 0, 0], [5.6, 0, 0], [0, 0, 5.6]]), "volume"),
    ],
    ids=["nan", "inf", "type", "one point", "flat cell"],
)
def test_bad_structures(languages, tmp_path, change, text):
    structure = damaged(tmp_path, change)
    answers = {name: compute("structures", structure, "precision=double") for name, compute in languages.items()}
    assert all(found == answers["C"] for found in answers.values()), answers
    assert answers["C"].status == 1
    assert text in answers["C"].text


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("precision=quadruple", 'precision is "quadruple", must be one of single, double, half'),
        ("filters=coffee", 'filters is "coffee", must be one of auto, exact, table'),
        ("device=abacus", 'device is "abacus", must be one of auto, cpu, cuda'),
        ("threads=0", 'threads is "0", must be a number from 1 on'),
    ],
)
def test_bad_options(languages, tmp_path, option, text):
    structure = written(crystal((1, 1, 1)), tmp_path / "structure.txt")
    for name, compute in languages.items():
        assert compute("structures", structure, option) == Answer(None, 1, f"invalid argument: {text}"), name


def test_bad_models(languages, tmp_path):
    structure = written(crystal((1, 1, 1)), tmp_path / "structure.txt")
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(b"\0" * 7)
    for path, status in ((tmp_path / "nowhere", 2), (torn, 3), (tmp_path, 2)):
        answers = [compute("structures", structure, model=path) for compute in languages.values()]
        assert answers == [answers[0]] * len(answers)
        assert answers[0].status == status
        assert str(path) in answers[0].text


@pytest.mark.parametrize(
    ("how", "status", "text"),
    [
        ("unset", 1, "invalid argument: no neighbour list has been set"),
        ("unmade", 1, "invalid argument: potential is a null pointer"),
        ("unloaded", 1, "invalid argument: model is a null pointer"),
        ("broken", 7, "callback failed: the forward exchange returned 1"),
    ],
)
def test_what_was_forgotten(languages, tmp_path, how, status, text):
    structure = written(crystal((1, 1, 1)), tmp_path / "structure.txt")
    for name, compute in languages.items():
        if (how, name) == ("unloaded", "Python"):
            continue  # Python has no model that is not loaded.
        expected = Answer(None, status, text)
        if how == "broken" and name in ("C++", "Python"):
            expected = Answer(None, -1, "the host's own trouble")  # its own exception comes out
        assert compute(how, structure) == expected, name


@pytest.mark.parametrize("checked", ["C", "C++", "Fortran"])
def test_under_sanitizers(prefix, tmp_path, checked):
    """The bindings, and the examples of them, do nothing undefined and lose no memory."""
    compiler, source, example, standard = {
        "C": ("cc", "compute.c", "c/md.c", "-std=c99"),
        "C++": ("c++", "compute.cpp", "cpp/md.cpp", "-std=c++20"),
        "Fortran": ("gfortran", "compute.f90", "fortran/md.f90", "-std=f2018"),
    }[checked]
    need(compiler, "pkg-config")
    flags = prefix.flags("--cflags", "--libs", "flashschnet")
    extra = []
    if checked == "Fortran":
        # The module as well, which is compiled by the same rules.
        extra = [*MODULE, f"-J{tmp_path}"]
    else:
        flags.append("-lm")
    programs = []
    for path in (PROGRAMS / source, ROOT / "examples" / example):
        program = tmp_path / path.name
        words = [*FLAGS[{"C++": "CXX"}.get(checked, checked)].split(), standard, "-g", SANITIZERS]
        run(compiler, *words, *extra, path, "-o", program, *flags, folder=ROOT)
        programs.append(program)
    structure = written(STRUCTURES["slab"], tmp_path / "structure.txt")
    compute = language(programs[0])
    for how in ("structures", "domain", "broken", "unset", "unmade"):
        found = compute(how, structure)
        assert (found.values is None) == (how not in ("structures", "domain")), found.text
    run(programs[1], "examples/nacl/nacl.safetensors", "1", folder=ROOT)
