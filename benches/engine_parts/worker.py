"""One contender in a process of its own: reads lines of JSON, answers each with one.

The first line says what to compute and how; every `run` times one run, and `end` tells of memory. A process each, since
peaks of memory are a process's.
"""

from __future__ import annotations

import gc
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: A run repeats short calls for as many seconds.
SHORTEST_RUN = 0.05


def resident(field: str) -> int:
    """Bytes of memory in use (VmRSS) or at most in use (VmHWM)."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return 1024 * int(found.group(1)) if found else 0


class Library:
    """The library, through Python or by the C function alone."""

    def __init__(self, spec: dict[str, Any]) -> None:
        from flashschnet import Model, Potential, _structures

        arrays = np.load(spec["structures"])
        self.frames = [np.ascontiguousarray(frame[: spec["portion"]]) for frame in arrays["positions"]]
        self.types = arrays["types"]
        self.cell = arrays.get("cell")
        copies = len(self.frames[0])
        cells = None if self.cell is None else [self.cell] * copies
        self.prepared = [
            _structures.batch(list(frame), np.asarray(self.types), cells, None, None) for frame in self.frames
        ]
        self.model = Model(spec["model"])
        self.spec, self.turn = spec, 0
        gc.collect()
        self.before = resident("VmRSS")
        self.potential = Potential(self.model, "cpu", spec["precision"], spec["filters"], spec["threads"], spec["skin"])

    def call(self) -> Any:
        """One call as users make it."""
        frame, self.turn = self.frames[self.turn], 1 - self.turn
        forces = self.spec["forces"]
        if len(frame) == 1:
            return [self.potential.compute(frame[0], self.types, self.cell, forces=forces)]
        return self.potential.compute_batch(list(frame), self.types, self.cell, forces=forces)

    def bare(self) -> Callable[[], None]:
        """The C function, with all its arguments made before."""
        from flashschnet._library import check, lib
        from flashschnet.results import Outputs

        outputs = Outputs(len(self.prepared[0]), self.prepared[0].atoms, self.prepared[0].atoms, True, False, False)
        arguments = [(self.potential._handle, each.struct, outputs.struct) for each in self.prepared]
        compute = lib.fsn_potential_compute

        def call() -> None:
            check(compute(*arguments[self.turn]))
            self.turn = 1 - self.turn

        return call

    def forces(self) -> Any:
        """Forces at the first frame."""
        self.turn = 0
        results = self.call()
        return np.concatenate([each.forces for each in results]) if self.spec["forces"] else np.empty(0)

    def notes(self) -> dict[str, Any]:
        """How it computes."""
        potential = self.potential
        return {"filters": potential.filters, "precision": potential.precision, "threads": potential.threads}


class Torch:
    """PyTorch, with the same weights."""

    def __init__(self, spec: dict[str, Any]) -> None:
        from engine_parts.peer import Peer
        from engine_parts.systems import read_network

        arrays = np.load(spec["structures"])
        positions = arrays["positions"][0][: spec["portion"]]
        cell = arrays.get("cell")
        gc.collect()
        self.before = resident("VmRSS")
        self.peer = Peer(read_network(Path(spec["model"])), positions, arrays["types"], cell, spec["threads"])

    def call(self) -> Any:
        """Energy and forces."""
        return self.peer()

    bare = None

    def forces(self) -> Any:
        """Forces at the first frame."""
        return self.peer()

    def notes(self) -> dict[str, Any]:
        """Which PyTorch."""
        import torch

        return {"filters": "exact", "precision": "single", "threads": torch.get_num_threads()}


def timed(call: Callable[[], Any], inner: int) -> float:
    """Seconds a call, over ``inner`` of them."""
    start = time.perf_counter()
    for _ in range(inner):
        call()
    return (time.perf_counter() - start) / inner


def serve(spec: dict[str, Any]) -> None:
    """Answer until the end."""
    start = time.perf_counter()
    contender: Library | Torch = Torch(spec) if spec["kind"] == "torch" else Library(spec)
    setup = time.perf_counter() - start
    np.save(spec["forces_to"], contender.forces())
    first = timed(contender.call, 1)
    inner = max(1, int(SHORTEST_RUN / max(first, 1e-7)))
    if inner > 1:
        timed(contender.call, inner)
    bare = contender.bare() if spec.get("bare") and contender.bare else None
    answer({"setup": setup, "first": first, **contender.notes()})
    for line in sys.stdin:
        if line.strip() == "end":
            break
        seconds = {"seconds": timed(contender.call, inner)}
        if bare:
            seconds["bare"] = timed(bare, inner)
        answer(seconds)
    answer({"peak": resident("VmHWM"), "before": contender.before})


def answer(value: dict[str, Any]) -> None:
    """One line."""
    print(json.dumps(value), flush=True)


def main() -> None:
    """Serve; what the library or PyTorch refuses is an answer, too."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    spec = json.loads(sys.stdin.readline())
    try:
        serve(spec)
    except ImportError as error:
        answer({"refused": "not installed" if error.name == "torch" else str(error)})
    except Exception as error:
        answer({"refused": str(error)})


if __name__ == "__main__":
    main()
