#!/usr/bin/env python3
"""Time energies and forces of this library, beside PyTorch where it is installed.

Contenders of a case take turns, each in a process of its own; the table shows the median and range of the runs.
Results go to target/bench/engine.json. With --write-docs the tables and plots of docs/performance.md are made from
them, also from results that are there already (--from).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from engine_parts import report, systems
from flashschnet import __version__

ROOT = Path(__file__).resolve().parents[1]
WORKER = Path(__file__).resolve().parent / "engine_parts" / "worker.py"
#: Relative error of forces beyond which something is wrong, rather than rounded.
LARGEST_ERROR = {"half": 1e-2, "single": 1e-4, "double": 1e-6}
PEER = "PyTorch"
#: Copies that slow contenders compute at once, and the reference, too.
PORTION = 4


@dataclass
class Contender:
    """One way to compute a system."""

    name: str
    precision: str = "single"
    filters: str = "table"
    threads: int = 1
    kind: str = "library"
    skin: float | None = None
    forces: bool = True
    bare: bool = False
    #: How many of the copies to compute at once; None: all.
    portion: int | None = None


@dataclass
class Running:
    """The process of a contender, and what it has answered."""

    contender: Contender
    process: subprocess.Popen[str]
    forces_to: Path
    said: dict[str, Any]
    seconds: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    def ask(self, word: str) -> dict[str, Any]:
        """One question, one answer."""
        assert self.process.stdin
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return answered(self.process)


def answered(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line of a process; that it died, with too little memory for one, is an answer."""
    assert process.stdout
    line = process.stdout.readline()
    answer: dict[str, Any] = json.loads(line) if line else {"refused": f"ended with status {process.wait()}"}
    return answer


def start(contender: Contender, system: systems.System, structures: Path, folder: Path, number: int) -> Running:
    """Start a contender and let it compute once."""
    forces_to = folder / f"{number}.npy"
    spec = {
        "kind": contender.kind,
        "model": str(system.model),
        "structures": str(structures),
        "precision": contender.precision,
        "filters": contender.filters,
        "threads": contender.threads,
        "skin": contender.skin,
        "forces": contender.forces,
        "bare": contender.bare,
        "portion": contender.portion or system.copies,
        "forces_to": str(forces_to),
    }
    process = subprocess.Popen([sys.executable, WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    running = Running(contender, process, forces_to, {})
    running.said = running.ask(json.dumps(spec))
    return running


def reference_forces(system: systems.System, structures: Path, folder: Path, threads: int) -> Any:
    """Forces in float64 with exact filters."""
    contender = Contender("reference", "double", "exact", threads, portion=min(PORTION, system.copies))
    running = start(contender, system, structures, folder, 0)
    running.ask("end")
    running.process.wait()
    if "refused" in running.said:
        sys.exit(f"{system.name}: {running.said['refused']}")
    return np.load(running.forces_to)


def measure(system: systems.System, contenders: list[Contender], runs: int, threads: int) -> list[dict[str, Any]]:
    """Rows of results for one system."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        structures = folder / "structures.npz"
        system.save(structures)
        reference = reference_forces(system, structures, folder, threads)
        each = [start(one, system, structures, folder, number) for number, one in enumerate(contenders, 1)]
        able = [running for running in each if "refused" not in running.said]
        for _ in range(runs):
            for running in able:
                answer = running.ask("run")
                running.seconds.append(answer["seconds"])
                if "bare" in answer:
                    running.bare.append(answer["bare"])
        rows = [row(system, running, reference) for running in each]
    check(rows)
    for each_row in rows:
        print(report.line(each_row), flush=True)
    return rows


def row(system: systems.System, running: Running, reference: Any) -> dict[str, Any]:
    """The result of one contender."""
    contender, said = running.contender, running.said
    result: dict[str, Any] = {
        "system": system.name,
        "contender": contender.name,
        "precision": contender.precision,
        "filters": contender.filters,
        "threads": contender.threads,
        "copies": contender.portion or system.copies,
        "of_copies": system.copies,
        "atoms": system.atoms * (contender.portion or system.copies) // system.copies,
    }
    if "refused" in said:
        running.process.wait()
        return {**result, "refused": said["refused"]}
    forces = np.load(running.forces_to)
    result |= {"seconds": running.seconds, "setup": said["setup"], **running.ask("end")}
    running.process.wait()
    if running.bare:
        result["bare"] = running.bare
    if contender.forces:
        known = min(len(forces), len(reference))
        difference = forces[:known] - reference[:known]
        result["error"] = float(np.linalg.norm(difference) / np.linalg.norm(reference[:known]))
    return result


def check(rows: list[dict[str, Any]]) -> None:
    """Stop if somebody computes something else."""
    for each in rows:
        if each.get("error", 0.0) > LARGEST_ERROR[each["precision"]]:
            sys.exit(f"{each['system']}, {each['contender']}: forces differ by {each['error']:.1e}")


def available() -> float:
    """Bytes of memory that may be had."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


def peer(system: systems.System, threads: int) -> Contender:
    """PyTorch, with as many copies at once as fit into half of the memory that is there, and at most four.

    What is kept for autograd: about eight numbers for each pair, channel and block, and four for each basis function.
    """
    network = systems.read_network(system.model).description
    channels = 8 * network["blocks"] * network["filters"] + 4 * network["basis"]["size"]
    size = 4.0 * channels * system.pairs() * system.atoms / system.copies
    fitting = int(0.5 * available() / size)
    filters = "exact" if fitting else f"needs about {size / 2**30:.0f} GiB"
    return Contender(PEER, "single", filters, threads, "torch", portion=max(1, min(PORTION, fitting, system.copies)))


def choices(precisions: list[str], filters: list[str], threads: list[int], **more: Any) -> list[Contender]:
    """All combinations."""
    return [
        Contender(f"{precision}, {kind}", precision, kind, number, **more)
        for number in threads
        for precision in precisions
        for kind in filters
    ]


@dataclass
class Settings:
    """What the command line says."""

    runs: int
    quick: bool
    threads: int
    torch: bool
    folder: Path

    def peers(self, system: systems.System, threads: list[int]) -> list[Contender]:
        """PyTorch with these numbers of threads."""
        found = [peer(system, number) for number in threads] if self.torch else []
        return [one for one in found if one.filters == "exact"]

    @property
    def counts(self) -> list[int]:
        """Numbers of threads to measure: one and all."""
        return sorted({1, self.threads})


def case_cg(settings: Settings) -> list[dict[str, Any]]:
    """A protein of 269 beads by itself."""
    system = systems.cg(settings.folder, 1)
    contenders = choices(["double", "single"], ["exact", "table"], settings.counts)
    contenders += choices(["half"], ["exact"], [1]) + choices(["half"], ["table"], settings.counts)
    return measure(system, contenders + settings.peers(system, settings.counts), settings.runs, settings.threads)


def case_replicas(settings: Settings) -> list[dict[str, Any]]:
    """64 of these proteins in one call."""
    system = systems.cg(settings.folder, 64)
    contenders = choices(["single", "half"], ["table"], settings.counts)
    if not settings.quick:
        contenders += choices(["double"], ["table"], [settings.threads])
        contenders += choices(["single", "double"], ["exact"], [settings.threads], portion=PORTION)
    return measure(system, contenders + settings.peers(system, settings.counts), settings.runs, settings.threads)


def case_molecule(settings: Settings) -> list[dict[str, Any]]:
    """A small molecule, where the call itself counts."""
    system = systems.molecule(settings.folder)
    contenders = choices(["double", "single"], ["exact", "table"], [1], bare=True)
    contenders += choices(["single"], ["table"], [settings.threads], bare=True) if settings.threads > 1 else []
    return measure(system, contenders + settings.peers(system, [1]), settings.runs, settings.threads)


def case_nacl(settings: Settings) -> list[dict[str, Any]]:
    """A periodic crystal of growing size."""
    rows: list[dict[str, Any]] = []
    for cells in (5, 11, 23):
        system = systems.nacl(cells)
        contenders = choices(["single"], ["table", "exact"], [settings.threads])
        contenders += choices(["half"], ["table"], [settings.threads])
        contenders += choices(["double"], ["exact"], [settings.threads])
        if settings.quick and cells == 23:
            contenders = contenders[:1]
        rows += measure(system, contenders + settings.peers(system, settings.counts), settings.runs, settings.threads)
        if cells > 5 and not settings.quick:
            shuffled = [Contender("single, table, shuffled", threads=settings.threads)]
            rows += measure(systems.nacl(cells, shuffled=True), shuffled, settings.runs, settings.threads)
    return rows


def case_shares(settings: Settings) -> list[dict[str, Any]]:
    """Where the time goes: without forces, with them, with a new neighbour list in every call."""
    rows: list[dict[str, Any]] = []
    for system in (systems.cg(settings.folder, 1), systems.molecule(settings.folder), systems.nacl(11)):
        contenders = [
            Contender("energy only", forces=False),
            Contender("energy and forces"),
            Contender("and a new list", skin=0.0),
        ]
        rows += measure(system, contenders, settings.runs, settings.threads)
    return rows


CASES: dict[str, Callable[[Settings], list[dict[str, Any]]]] = {
    "cg": case_cg,
    "replicas": case_replicas,
    "molecule": case_molecule,
    "nacl": case_nacl,
    "shares": case_shares,
}


def machine() -> dict[str, Any]:
    """What the numbers hold for."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    entries = [line.split(":", 1) for line in lines if ":" in line]
    values = {key.strip(): value.strip() for key, value in reversed(entries)}
    flags = values.get("flags", "").split()
    vectors = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "no AVX2")
    packages = {}
    for package in ("numpy", "torch"):
        try:
            packages[package] = metadata.version(package).split("+")[0]
        except metadata.PackageNotFoundError:
            packages[package] = "not installed"
    return {
        "cpu": values.get("model name", platform.machine()),
        "vectors": vectors,
        "cores": int(values.get("cpu cores", 0)),
        "logical": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_before": os.getloadavg()[0],
        "flashschnet": __version__,
        "python": platform.python_version(),
        **packages,
    }


def sizes(folder: Path) -> dict[str, Any]:
    """Neighbours per atom and what memory depends on, for the report."""
    all_systems = {"cg": systems.cg(folder, 1), "molecule": systems.molecule(folder), "nacl": systems.nacl(5)}
    return {
        name: {
            "neighbors": system.pairs(),
            "listed": system.pairs(1.0),
            "network": systems.read_network(system.model).description,
        }
        for name, system in all_systems.items()
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure the cases."""
    known = machine()
    torch = known["torch"] != "not installed" and not arguments.no_torch
    print(f"{known['cpu']}, {known['vectors']}, {known['logical']} threads; PyTorch {known['torch']}")
    print(report.HEAD, flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(arguments.runs, arguments.quick, arguments.threads, torch, folder)
        results = {
            "machine": known,
            "settings": {"runs": arguments.runs, "quick": arguments.quick, "threads": arguments.threads},
            "sizes": sizes(folder),
            "cases": {case: CASES[case](settings) for case in arguments.cases},
        }
    known["load_after"] = os.getloadavg()[0]
    return results


def main() -> None:
    """Measure or read, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each contender, which take turns")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="larger number of threads")
    parser.add_argument("--quick", action="store_true", help="leave out what takes longest")
    parser.add_argument("--no-torch", action="store_true", help="do not measure PyTorch")
    parser.add_argument("--out", type=Path, default=ROOT / "target" / "bench" / "engine.json")
    parser.add_argument("--from", dest="source", type=Path, help="measure nothing, use these results")
    parser.add_argument("--write-docs", action="store_true", help="renew tables and plots of docs/performance.md")
    arguments = parser.parse_args()
    if arguments.source:
        results = json.loads(arguments.source.read_text())
    else:
        results = run(arguments)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(results, indent=1) + "\n")
        print(f"results are in {os.path.relpath(arguments.out)}")
    if arguments.write_docs:
        report.write_docs(results, ROOT / "docs")


if __name__ == "__main__":
    main()
