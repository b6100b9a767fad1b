"""The Fortran module: handles, arrays, errors."""

from __future__ import annotations

import pytest
from tree import FLAGS, NACL, ROOT, need, run

SOURCES = ROOT / "bindings" / "fortran" / "src"


@pytest.mark.parametrize("checks", ["", "-fsanitize=address,undefined"], ids=["plain", "sanitizers"])
def test_handles(prefix, tmp_path, checks):
    need("gfortran", "pkg-config")
    names = ["c", "errors", "handle", "model", "exchange", "structures", "neighbors", "potential"]
    sources = [*(SOURCES / f"flashschnet_{name}.f90" for name in names), SOURCES / "flashschnet.f90"]
    flags = [*FLAGS["Fortran"].split(), *checks.split(), f"-J{tmp_path}"]
    program = ROOT / "tests" / "link" / "programs" / "handles.f90"
    run("gfortran", *flags, *sources, program, "-o", tmp_path / "handles", *prefix.flags("--libs", "flashschnet"))
    assert "NOT TRUE" not in run(tmp_path / "handles", NACL)


FORGETFUL = """
program forgetful
   use flashschnet
   type(fsn_model) :: model
   type(fsn_potential) :: potential
   real(kind(1d0)) :: positions(3, 2), energy
   positions = 0
   positions(1, 2) = 2.7d0
   {loading}
   {making}
   call potential%compute(positions, [11, 17], energy=energy)
   print *, 'went on'
end program
"""


@pytest.mark.parametrize(
    ("loading", "making", "text"),
    [
        ("", "call potential%create(model)", "invalid argument: model is a null pointer"),
        ("call model%load('{model}')", "", "invalid argument: potential is a null pointer"),
        ("call model%load('no.safetensors')", "", "cannot read no.safetensors: No such file or directory (os error 2)"),
    ],
)
def test_what_is_forgotten_stops_cleanly(prefix, tmp_path, loading, making, text):
    need("gfortran", "pkg-config")
    source = FORGETFUL.format(loading=loading.format(model=NACL), making=making)
    (tmp_path / "program.f90").write_text(source)
    flags = prefix.flags("--cflags", "--libs", "flashschnet-fortran")
    run("gfortran", tmp_path / "program.f90", "-o", tmp_path / "program", *flags)
    output = run(tmp_path / "program", fails=True)
    assert output.splitlines()[0] == text
    assert "ERROR STOP 1" in output
    assert "SIG" not in output
    assert "went on" not in output


def test_sources_keep_to_their_lines():
    for path in SOURCES.glob("*.f90"):
        assert max(map(len, path.read_text().splitlines())) <= 132, path
