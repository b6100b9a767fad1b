"""The libraries themselves: what they export, what they need, and how large they are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from test_install import ABI
from tree import ROOT

MEGABYTE = 1e6


def output(*command: str | Path) -> str:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout


def functions() -> set[str]:
    """What the header declares."""
    header = (ROOT / "include/flashschnet.h").read_text(encoding="utf-8")
    return set(re.findall(r"^(?:[a-z_0-9]+ )+\**(fsn_\w+)\(", header, flags=re.MULTILINE))


def test_only_the_interface_is_exported(prefix):
    shared = re.findall(r" T (\S+)$", output("nm", "-D", "--defined-only", prefix.shared), re.MULTILINE)
    assert set(shared) == {f"{name}@@FLASHSCHNET_{ABI}" for name in functions()}
    static = re.findall(r"^\S* [A-Zuvw] (\S+)$", output("nm", "-g", "--defined-only", prefix.static), re.MULTILINE)
    assert set(static) == functions()
    assert len(functions()) > 18


def test_soname(prefix):
    assert f"Library soname: [libflashschnet.so.{ABI}]" in output("readelf", "-d", prefix.shared)


def test_needs_only_the_system(prefix):
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", prefix.shared))
    allowed = r"(libc|libm|libgcc_s|libpthread|libdl|ld-linux-x86-64)\.so\.\d"
    assert needed
    assert all(re.fullmatch(allowed, name) for name in needed), needed


def test_is_small(prefix):
    assert prefix.shared.stat().st_size < 4 * MEGABYTE
    assert "no symbols" in subprocess.run(["nm", prefix.shared], capture_output=True, text=True, check=False).stderr
