#!/usr/bin/env python3
"""Run every test and lint of the project, go on after failures, and sum up.

`make check` runs this with the Python that has what `requirements.txt` asks for. What a machine does not have is
skipped, said and counted. Exits with status 1 if anything failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Debian's packages for the tests of linking: what PyPI does not have.
FORTRAN = {"gfortran": "gfortran", "mpifort": "libmpich-dev", "mpiexec": "mpich"}

# "test result: FAILED. 10 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s"
CARGO = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;", re.MULTILINE)
# "1 failed, 10 passed, 2 skipped in 3.45s"
PYTEST = re.compile(r"^=* ?(\d+ \w+(?:, \d+ \w+)*) in [\d.]+s", re.MULTILINE)


@dataclass
class Counts:
    """How many tests passed, failed and were skipped, and why."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: list[str] = field(default_factory=list)


def count_one(text: str, status: int) -> Counts:
    """A lint is one test."""
    return Counts(passed=int(status == 0), failed=int(status != 0))


def count_cargo(text: str, status: int) -> Counts:
    """The sum over cargo's test programs."""
    found = [[int(number) for number in match] for match in CARGO.findall(text)]
    counts = Counts(*(sum(column) for column in zip(*found, strict=True))) if found else Counts()
    counts.reasons = re.findall(r"^test (.* \.\.\. ignored.*)$", text, re.MULTILINE)
    return honest(counts, status)


def count_pytest(text: str, status: int) -> Counts:
    """What pytest says at its end."""
    closing = PYTEST.findall(text)
    words = dict(reversed(part.split(" ", 1)) for part in closing[-1].split(", ")) if closing else {}
    number = {word: int(count) for word, count in words.items()}
    counts = Counts(
        passed=number.get("passed", 0) + number.get("xfailed", 0),
        failed=number.get("failed", 0) + number.get("error", 0) + number.get("errors", 0) + number.get("xpassed", 0),
        skipped=number.get("skipped", 0),
        reasons=re.findall(r"^SKIPPED (.*)$", text, re.MULTILINE),
    )
    return honest(counts, status)


def honest(counts: Counts, status: int) -> Counts:
    """A failure that no test stands for, such as a compiler's, and a run without tests are failures too."""
    if counts.failed == 0 and (status != 0 or counts.passed == 0):
        counts.failed = 1
    return counts


@dataclass(frozen=True)
class Step:
    """One command."""

    name: str
    command: tuple[str, ...]
    count: Callable[[str, int], Counts] = count_one
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = "."


def steps() -> list[Step]:
    """Everything there is, quick things first."""
    python = sys.executable
    fuzz = ("--manifest-path", "fuzz/Cargo.toml")
    target = ("--target-dir", os.environ.get("CARGO_TARGET_DIR", "target"))
    cargo = ("cargo", "test", "--locked", "--no-fail-fast")
    tracked = subprocess.run(["git", "ls-files", "*.sh"], cwd=ROOT, capture_output=True, text=True, check=False)
    shell = (".ci/run", *tracked.stdout.split())
    return [
        Step("rustfmt", ("cargo", "fmt", "--check")),
        Step("rustfmt fuzz", ("cargo", "fmt", "--check", *fuzz)),
        Step("ruff check", (python, "-m", "ruff", "check", ".")),
        Step("ruff format", (python, "-m", "ruff", "format", "--check", ".")),
        Step("mypy", (python, "-m", "mypy"), folder="bindings/python"),
        Step("shellcheck", ("shellcheck", *shell)),
        Step("clippy", ("cargo", "clippy", "--locked", "--all-targets", "--", "-D", "warnings")),
        # The fuzz target is built apart and by another compiler, but it has to keep up with the library. Not locked:
        # its own lock file follows the library's dependencies.
        Step("clippy fuzz", ("cargo", "clippy", *fuzz, *target, "--", "-D", "warnings")),
        Step("rustdoc", ("cargo", "doc", "--locked", "--no-deps"), environment={"RUSTDOCFLAGS": "-D warnings"}),
        Step("cargo test", cargo, count_cargo),
        Step("NVRTC", (*cargo, "--test", "nvrtc"), count_cargo, {"FLASHSCHNET_NVRTC": str(nvrtc() or "")}),
        Step("pytest", (python, "-m", "pytest", "-q", "-ra", "bindings/python"), count_pytest),
        Step("link", (python, "-m", "pytest", "-q", "-ra", "tests/link"), count_pytest),
        Step("lammps", (python, "-m", "pytest", "-q", "-ra", "tests/lammps"), count_pytest),
    ]


def nvrtc() -> Path | None:
    """CUDA's compiler as the package of `requirements-cuda.txt` brings it, or as the user says."""
    asked = os.environ.get("FLASHSCHNET_NVRTC")
    folder = Path(sysconfig.get_paths()["purelib"]) / "nvidia"
    found = [Path(asked)] if asked else [*folder.glob("cu*/lib/libnvrtc.so.*"), *folder.glob("*/lib/libnvrtc.so.*")]
    return next((path for path in sorted(found, reverse=True) if path.is_file()), None)


def missing(step: Step) -> str | None:
    """Why a step cannot run on this machine."""
    if step.name == "NVRTC" and nvrtc() is None:
        return "NVRTC is not installed (pip install -r tests/requirements-cuda.txt)"
    program = step.command[0]
    if shutil.which(program) is None:
        return f"{program} is not installed"
    component = {"fmt": "rustfmt", "clippy": "clippy"}.get(step.command[1])
    if program == "cargo" and component:
        asked = subprocess.run([program, step.command[1], "--version"], capture_output=True, check=False)
        if asked.returncode != 0:
            return f"Rust's {component} is not installed (rustup component add {component})"
    return None


def install(programs: Mapping[str, str]) -> None:
    """Install Debian's packages of programs that are not there, if we may; otherwise their tests are skipped."""
    packages = [package for program, package in programs.items() if shutil.which(program) is None]
    if not packages or shutil.which("apt-get") is None or os.geteuid() != 0:
        return
    print(f"installing {', '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "-qq", "update"], ["apt-get", "-qq", "install", "-y", *packages]):
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
        )
        if done.returncode != 0:
            print(f"could not: {' '.join(command)} failed", flush=True)
            return


def run(step: Step) -> Counts:
    """Run a step, its output passed on as it comes."""
    reason = missing(step)
    if reason:
        print(f"skipped: {reason}", flush=True)
        return Counts(skipped=1, reasons=[f"{step.name}: {reason}"])
    process = subprocess.Popen(
        step.command,
        cwd=ROOT / step.folder,
        env={**os.environ, **step.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        sys.stdout.write(line)
        sys.stdout.flush()
    return step.count("".join(lines), process.wait())


def main() -> int:
    """Run all steps, or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only steps whose names contain one of these")
    names = parser.parse_args().names
    chosen = [step for step in steps() if not names or any(name in step.name for name in names)]
    if not chosen:
        parser.error(f"there are only {', '.join(step.name for step in steps())}")

    install({"valgrind": "valgrind", "shellcheck": "shellcheck", "pkg-config": "pkg-config", **FORTRAN})
    table: list[tuple[str, Counts, float]] = []
    for step in chosen:
        print(f"\n== {step.name}: {' '.join(step.command)}", flush=True)
        started = time.monotonic()
        counts = run(step)
        table.append((step.name, counts, time.monotonic() - started))
    if shutil.which("valgrind") is None and any(step.name == "cargo test" for step in chosen):
        reason = "the C and C++ programs ran by themselves only: valgrind is not installed"
        table.append(("valgrind", Counts(skipped=1, reasons=[reason]), 0.0))

    print(f"\n{'':20} {'passed':>7} {'failed':>7} {'skipped':>7} {'seconds':>8}")
    for name, counts, seconds in table:
        print(f"{name:20} {counts.passed:7} {counts.failed:7} {counts.skipped:7} {seconds:8.0f}")
    for _, counts, _ in table:
        for reason in counts.reasons:
            print(f"skipped: {reason}")
    passed, failed, skipped = (
        sum(getattr(counts, kind) for _, counts, _ in table) for kind in ("passed", "failed", "skipped")
    )
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
