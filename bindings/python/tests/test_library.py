"""Finding and loading the shared library, and the package as a whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

import pytest

import flashschnet
from flashschnet import _library


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_a_library_that_is_not_there(tmp_path):
    path = tmp_path / "libflashschnet.so"
    done = run("import flashschnet; flashschnet.Model", FLASHSCHNET_LIBRARY=str(path))
    assert last_line(done.stderr).startswith(f"ImportError: flashschnet: {path} is not a FlashSchNet library: ")


def test_a_library_that_is_another():
    other = find_library("m")
    if other is None:
        pytest.skip("this system does not say where its C library is")
    done = run("from flashschnet import Model", FLASHSCHNET_LIBRARY=other)
    assert last_line(done.stderr).startswith(f"ImportError: flashschnet: {other} is not a FlashSchNet library: ")


def test_a_library_of_another_interface(tmp_path):
    source, path = tmp_path / "old.c", tmp_path / "old.so"
    source.write_text("unsigned fsn_abi_version(void) { return 4711; }\n")
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-o", path, source], check=True)
    except FileNotFoundError:
        pytest.skip("there is no C compiler")
    done = run("import flashschnet; flashschnet.Potential", FLASHSCHNET_LIBRARY=str(path))
    assert last_line(done.stderr) == (
        f"ImportError: flashschnet: {path} has binary interface 4711, this package was made for "
        f"{_library.lib.FSN_ABI_VERSION}; install both from the same source"
    )


def test_converting_needs_no_library(tmp_path):
    code = (
        "import flashschnet, flashschnet.cli; print(callable(flashschnet.convert), flashschnet.ConvertError.__name__)"
    )
    done = run(code, FLASHSCHNET_LIBRARY=str(tmp_path / "none"))
    assert done.stdout == "True ConvertError\n"


def test_all_functions_of_the_header_are_there():
    header = next(path for path in _library._HEADERS if path.is_file()).read_text()
    names = set(re.findall(r"^(?:[a-z_0-9]+ )+\**(fsn_\w+)\(", header, flags=re.MULTILINE))
    assert len(names) >= 18
    for name in names:
        assert callable(getattr(_library.lib, name)), name


def test_constants_come_from_the_header():
    assert _library.lib.fsn_abi_version() == _library.lib.FSN_ABI_VERSION
    assert _library.lib.FSN_PRECISION_DOUBLE == 1
    assert _library.lib.FSN_INTERNAL_ERROR == 255


def test_every_status_has_its_exception():
    statuses = _library.ffi.typeof("fsn_status").relements
    assert set(_library._CLASSES) == set(statuses.values()) - {statuses["FSN_SUCCESS"]}


def test_public_names():
    for name in flashschnet.__all__:
        assert getattr(flashschnet, name) is not None
    assert set(flashschnet.__all__) <= set(dir(flashschnet))
    with pytest.raises(AttributeError, match="module 'flashschnet' has no attribute 'potentials'"):
        flashschnet.potentials  # noqa: B018


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("InvalidArgument", ValueError),
        ("FileError", OSError),
        ("Unsupported", NotImplementedError),
        ("NumericalError", ArithmeticError),
        ("OutOfMemory", MemoryError),
        ("ModelError", RuntimeError),
    ],
)
def test_errors_are_what_python_calls_them(name, base):
    kind = getattr(flashschnet, name)
    assert issubclass(kind, base)
    assert issubclass(kind, flashschnet.Error)
    assert str(kind("text of the core")) == "text of the core"


def test_typed():
    assert (Path(flashschnet.__file__).parent / "py.typed").is_file()
