"""The binary interface is what `abi.txt` says, and programs made for the one before still work: docs/abi.md."""

from __future__ import annotations

import os
import re
from pathlib import Path

from interface import interface
from languages import PROGRAMS, STRUCTURES, language, written
from tree import FLAGS, NACL, ROOT, need, run

HERE = Path(__file__).parent
LIST = HERE / "abi.txt"
PREVIOUS = HERE / "previous"


def test_the_list_is_current(tmp_path):
    """`FSN_WRITE_ABI=1` writes it."""
    need("cc")
    found = "\n".join(interface(ROOT / "include/flashschnet.h", tmp_path)) + "\n"
    if os.environ.get("FSN_WRITE_ABI"):
        LIST.write_text(found)
    assert found == LIST.read_text(), "the binary interface has changed: see docs/abi.md"
    assert found.count("function ") > 18


def numbers(lines: list[str], kind: str) -> dict[str, list[int]]:
    """Name and numbers of the lines of one kind."""
    rows = [line.split() for line in lines if line.startswith(f"{kind} ")]
    return {row[1]: [int(number) for number in row[2:]] for row in rows}


def incompatible(before: list[str], now: list[str]) -> list[str]:
    """What a program made for one interface would miss in another of the same version."""
    missing = []
    for kind in ("field", "constant"):
        found = numbers(now, kind)
        missing += [name for name, value in numbers(before, kind).items() if found.get(name) != value]
    sizes = numbers(now, "struct")
    missing += [name for name, (size,) in numbers(before, "struct").items() if sizes.get(name, [0])[0] < size]
    return missing + [line for line in before if line.startswith("function ") and line not in now]


def test_nothing_is_taken_back(tmp_path):
    need("cc")
    now = LIST.read_text().splitlines()
    before = interface(PREVIOUS / "flashschnet.h", tmp_path)
    assert numbers(before, "constant")["FSN_ABI_VERSION"] == numbers(now, "constant")["FSN_ABI_VERSION"]
    assert incompatible(before, now) == []


def test_what_is_taken_back_is_noticed():
    now = LIST.read_text().splitlines()
    assert incompatible(now, now) == []
    moved = [re.sub(r"^(field fsn_options.skin) \d+", r"\1 0", line) for line in now]
    assert incompatible(now, moved) == ["fsn_options.skin"]
    renumbered = [re.sub(r"^(constant FSN_FILTERS_TABLE) 2", r"\1 3", line) for line in now]
    assert incompatible(now, renumbered) == ["FSN_FILTERS_TABLE"]
    assert incompatible(now, [line for line in now if "fsn_version" not in line]) == [
        "function const char *fsn_version(void);"
    ]
    shrunk = [re.sub(r"^(struct fsn_options) \d+", r"\1 8", line) for line in now]
    assert incompatible(now, shrunk) == ["fsn_options"]


def test_a_program_made_for_the_previous_header_runs(prefix, tmp_path):
    """Its structs may be shorter than the library's; it finds the symbols, of the version, that it was linked with."""
    need("cc")
    libraries = [f"-L{prefix.folder}/lib", "-lflashschnet", "-lm", f"-Wl,-rpath,{prefix.folder}/lib"]
    outputs = {}
    for name, header in (("old", PREVIOUS), ("new", prefix.folder / "include")):
        for program in (ROOT / "examples/c/md.c", PROGRAMS / "compute.c"):
            target = tmp_path / f"{name}-{program.stem}"
            run("cc", "-std=c99", *FLAGS["C"].split(), f"-I{header}", program, "-o", target, *libraries)
        outputs[name] = run(tmp_path / f"{name}-md", NACL, "20")
    assert outputs["old"] == outputs["new"]
    structure = written(STRUCTURES["one cell"], tmp_path / "structure.txt")
    for how in ("structures", "domain", "unset", "unmade"):
        old, new = (
            language(tmp_path / f"{name}-compute")(how, structure, "precision=double") for name in ("old", "new")
        )
        assert (old.status, old.text) == (new.status, new.text)
        assert old.values is new.values is None or (old.values == new.values).all()
    old = language(tmp_path / "old-compute")("structures", structure, "precision=quadruple")
    assert old.text == 'invalid argument: precision is "quadruple", must be one of single, double, half'


def test_fortran_has_the_same_structs(prefix, tmp_path):
    need("gfortran", "pkg-config")
    sizes = numbers(LIST.read_text().splitlines(), "struct")
    source = (ROOT / "bindings/fortran/src/flashschnet_c.f90").read_text()
    names = re.findall(r"^   type, bind\(c\) :: (\w+)", source, re.MULTILINE)
    assert len(names) > 8
    lines = [
        f"block\ntype({name}) :: value\nprint '(a, 1x, i0)', '{name}', c_sizeof(value)\nend block" for name in names
    ]
    program = (
        "use, intrinsic :: iso_c_binding, only: c_sizeof\nuse flashschnet_c\nimplicit none\n"
        + "\n".join(lines)
        + "\nend\n"
    )
    (tmp_path / "sizes.f90").write_text(program)
    flags = prefix.flags("--cflags", "--libs", "flashschnet-fortran")
    run("gfortran", tmp_path / "sizes.f90", "-o", tmp_path / "sizes", *flags)
    for line in run(tmp_path / "sizes").splitlines():
        name, size = line.split()
        assert [int(size)] == sizes[name], name
    # And the same functions, by name.
    declared = set(re.findall(r"^      (?:function|subroutine) (fsn_\w+)\(", source, re.MULTILINE))
    functions = set(re.findall(r"^function .*?(fsn_\w+)\(", LIST.read_text(), re.MULTILINE))
    assert declared <= functions
    # And every status, by number, and what other constants there are.
    listed = numbers(LIST.read_text().splitlines(), "constant")
    enum = re.search(r"typedef enum fsn_status \{(.*?)\}", (ROOT / "include/flashschnet.h").read_text(), re.DOTALL)[1]
    statuses = {name.lower(): listed[name] for name in re.findall(r"^  (FSN_\w+) =", enum, re.MULTILINE)}
    found = {name: [int(value)] for name, value in re.findall(r"(fsn_\w+) = (\d+)", source)}
    assert statuses.items() <= found.items()
    assert found.items() <= {name.lower(): values for name, values in listed.items()}.items()
