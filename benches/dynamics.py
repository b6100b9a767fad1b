#!/usr/bin/env python3
"""Time steps of dynamics of coarse-grained proteins, beside the force call they are made of.

Four contenders take turns in one process, so that whatever else the machine does meets all of them: the network's
energies and forces alone; the same with its priors; a whole step of Langevin dynamics; and a step of the priors
without the network, which is what priors and integrator add. The table shows the median and range of each, and of
ratios to the network in the same turn, and nanoseconds a day. Where PyTorch is installed, a loop of dynamics written
with it as mlcg does it, with the same network and priors, takes its turns with a step; its pairs are given to it. It
computes as many copies at once as it has memory for, and its time is scaled to all.

With ``--device cuda`` everything is on the GPU, and PyTorch is needed for its arrays: the force calls are enqueued and
replayed in a graph, and priors and integrator are what a step takes over the network's graph.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from engine_parts import systems
from flashschnet import Potential, Simulation, _structures
from flashschnet._library import check, lib
from flashschnet.results import Outputs

#: Time step that nanoseconds a day are given for, in ps. What a step takes does not depend on it.
SHOWN_TIMESTEP = 0.004
#: Time step of the measurement: the weights are random, and larger ones would blow replicas up.
TIMESTEP = 1e-4
#: Directed pairs that PyTorch computes at once: some 5 GiB with 128 channels and 5 blocks.
MOST_PAIRS = 100_000
#: What can be timed.
MAKERS = {"cln025": systems.cln025, "chignolin": systems.chignolin, "cg269": systems.cg_with_priors}
BOLTZMANN_IN_KCAL = 0.0019872042586


@dataclass
class Turns:
    """Seconds a call or step, turn by turn."""

    network: list[float]
    priors: list[float]
    step: list[float]
    #: A step of dynamics without the network.
    rest: list[float]
    #: A step in PyTorch; empty where that is not installed.
    torch: list[float]
    #: Copies that PyTorch computes at once.
    torch_copies: int = 0

    def ratio(self, name: str) -> list[float]:
        """What a contender takes over the network alone, in the same turn."""
        return [mine / alone for mine, alone in zip(getattr(self, name), self.network, strict=True)]


def force_call(potential: Potential, system: systems.System) -> Callable[[], None]:
    """The C function for energies and forces, with its arguments made before."""
    frames = [_structures.batch(list(frame), np.asarray(system.types), None, None, None) for frame in system.positions]
    outputs = Outputs(len(frames[0]), frames[0].atoms, frames[0].atoms, True, False, False)
    turn = [0]

    def call() -> None:
        check(lib.fsn_potential_compute(potential._handle, frames[turn[0]].struct, outputs.struct))
        turn[0] = 1 - turn[0]

    return call


def graph_call(potential: Potential, system: systems.System) -> Callable[[], None]:
    """A replay of the graph of energies and forces, with all arrays on the GPU; it is not waited for."""
    import torch

    copies, atoms = system.positions.shape[1:3]
    gpu = torch.device("cuda")
    positions = torch.tensor(system.positions[0].reshape(-1, 3), device=gpu)
    types = torch.tensor(np.tile(system.types, copies), device=gpu)
    arrays = {
        "offsets": torch.arange(copies + 1, device=gpu) * atoms,
        "energies": torch.empty(copies, dtype=torch.float64, device=gpu),
        "forces": torch.empty_like(positions),
    }
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    potential.enqueue(positions, types, **arrays, stream=stream)
    potential.check(stream)
    with torch.cuda.graph(graph, stream=stream):
        potential.enqueue(positions, types, **arrays, stream=stream)
    # The arrays stay as long as the graph.
    graph.kept = (positions, types, arrays)
    return graph.replay


def timed(call: Callable[[], Any], repeat: int) -> float:
    """Seconds a call."""
    start = time.perf_counter()
    for _ in range(repeat):
        call()
    return (time.perf_counter() - start) / repeat


def simulation(model: Path, system: systems.System, options: argparse.Namespace) -> Simulation:
    """All copies of a system, at 300 K."""
    potential = Potential(model, options.device, options.precision, threads=options.threads)
    return Simulation(
        potential, list(system.positions[0]), system.types,
        temperature=300.0, timestep=options.timestep, friction=1.0, masses=np.full(len(system.types), options.mass),
    )  # fmt: skip


def measure_gpu(system: systems.System, options: argparse.Namespace) -> Turns:
    """Let graphs of the network, of network and priors, and steps take turns on the GPU."""
    import torch

    potentials = [Potential(system.model, "cuda", options.precision, priors=priors) for priors in ("off", "on")]
    calls = [graph_call(potential, system) for potential in potentials]
    whole = simulation(system.model, system, options)
    whole.run(3)

    def waited(call: Callable[[], Any], repeat: int) -> float:
        def replays() -> None:
            for _ in range(repeat):
                call()
            torch.cuda.synchronize()

        return timed(replays, 1) / repeat

    repeat = max(1, int(options.seconds / waited(calls[0], 10)))
    result = Turns([], [], [], [], [])
    before, builds = whole.step, whole.potential.list_builds
    for _ in range(options.turns):
        result.network.append(waited(calls[0], repeat))
        result.priors.append(waited(calls[1], repeat))
        result.step.append(timed(lambda: whole.run(repeat), 1) / repeat)
        result.rest.append(result.step[-1] - result.network[-1])
    for potential in potentials:
        potential.check()
    made = whole.step - before
    print(f"\n{made} steps, {whole.potential.list_builds - builds} lists")
    return checked(system, [whole], result)


def measure(system: systems.System, options: argparse.Namespace) -> Turns:
    """Let the contenders take turns."""
    threads, turns, seconds = options.threads, options.turns, options.seconds
    calls = [
        force_call(Potential(system.model, "cpu", options.precision, threads=threads, priors=priors), system)
        for priors in ("off", "on")
    ]
    whole, rest = (simulation(model, system, options) for model in (system.model, systems.priors_alone(system.model)))
    first = [timed(call, 2) for call in calls]
    repeat = max(1, int(seconds / first[0]))
    loop = torch_loop(system, options)
    torch_repeat = 0 if loop is None else max(1, int(seconds / timed(lambda: loop.run(1), 2)))
    result = Turns([], [], [], [], [], 0 if loop is None else loop.copies)
    whole.run(2)
    rest.run(2)
    for _ in range(turns):
        result.network.append(timed(calls[0], repeat))
        result.priors.append(timed(calls[1], repeat))
        for moving, times in ((whole, result.step), (rest, result.rest)):
            start = time.perf_counter()
            moving.run(repeat)
            times.append((time.perf_counter() - start) / repeat)
        if loop is not None:
            each = timed(lambda: loop.run(torch_repeat), 1) / torch_repeat
            result.torch.append(each * system.copies / loop.copies)
    return checked(system, [whole, rest], result)


def checked(system: systems.System, simulations: list[Simulation], result: Turns) -> Turns:
    """The result, if every replica moved."""
    for moving in simulations:
        if moving.frozen:
            sys.exit(f"{system.name}: replicas blew up, so that less is computed than is said: {moving.frozen}")
    return result


def torch_loop(system: systems.System, options: argparse.Namespace) -> Any:
    """The same dynamics in PyTorch, if that is installed."""
    try:
        from engine_parts.peer_loop import Loop
    except ImportError:
        return None
    copies = max(1, min(system.copies, int(MOST_PAIRS / (system.pairs() * len(system.types)))))
    part = replace(system, positions=system.positions[:, :copies])
    masses = np.full(len(system.types), options.mass)
    return Loop(part, masses, BOLTZMANN_IN_KCAL * 300.0, options.timestep, 1.0, options.threads)


def spread(values: list[float], scale: float, form: str) -> str:
    """Median and range."""
    middle, low, high = (scale * value for value in (statistics.median(values), min(values), max(values)))
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="length of a turn, at least")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["double", "single", "half"], default="single")
    parser.add_argument("--timestep", type=float, default=TIMESTEP, help="in ps")
    parser.add_argument("--mass", type=float, default=12.0, help="of each bead, in u")
    parser.add_argument("--systems", choices=MAKERS, nargs="+", default=list(MAKERS))
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 64])
    arguments = parser.parse_args()
    print(
        f"load average {os.getloadavg()[0]:.1f}, {arguments.threads} threads, {arguments.turns} turns: median (range)"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for make in (MAKERS[kind] for kind in arguments.systems):
            for copies in arguments.copies:
                system = make(folder, copies)
                take = measure_gpu if arguments.device == "cuda" else measure
                found = take(system, arguments)
                each = 86400 * SHOWN_TIMESTEP / 1000 / statistics.median(found.step)
                print(f"\n{system.name}, {systems.terms(system)} terms a copy")
                print(f"  network alone        {spread(found.network, 1e3, '.3f')} ms")
                print(f"  with priors          {spread(found.priors, 1e3, '.3f')} ms")
                print(f"  a step of dynamics   {spread(found.step, 1e3, '.3f')} ms")
                print(f"    over the network   {spread([r - 1 for r in found.ratio('step')], 100, '.1f')} % more")
                print(f"  priors, integrator   {spread(found.rest, 1e3, '.3f')} ms")
                print(f"    of the network     {spread(found.ratio('rest'), 100, '.2f')} %")
                shown = f"{each:.4g} ns/day a replica, {copies * each:.4g} in all"
                print(f"  at {1000 * SHOWN_TIMESTEP:g} fs a step      {shown}")
                if arguments.device == "cuda":
                    continue
                if not found.torch:
                    print("  a step in PyTorch    not measured: PyTorch is not installed (make bench BENCH_TORCH=1)")
                    continue
                ratios = [theirs / ours for theirs, ours in zip(found.torch, found.step, strict=True)]
                scaled = "" if found.torch_copies == copies else f", scaled from {found.torch_copies} at once"
                print(f"  a step in PyTorch    {spread(found.torch, 1e3, '.3f')} ms{scaled}")
                print(f"    of a step here     {spread(ratios, 1, '.1f')} times as long")


if __name__ == "__main__":
    main()
