"""Arrays on a GPU. Without one, what is checked before the library sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flashschnet
from flashschnet._resident import handle


class Shown:
    """An array that says it is on a GPU."""

    def __init__(self, array: Any, **changes: Any) -> None:
        self.array = np.asarray(array)
        self.__cuda_array_interface__ = {**self.array.__array_interface__, "version": 3, **changes}


POSITIONS = np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])


@pytest.fixture
def potential(model: flashschnet.Model) -> flashschnet.Potential:
    return flashschnet.Potential(model, device="cpu")


def arrays(**changes: Any) -> dict[str, Any]:
    given = {
        "positions": Shown(POSITIONS),
        "types": Shown(np.array([8, 1, 1], np.int32)),
        "energies": Shown(np.zeros(1)),
        "forces": Shown(np.zeros((3, 3))),
    }
    return {**given, **changes}


def test_a_potential_on_the_processor_has_no_gpu(potential: flashschnet.Potential) -> None:
    assert potential.gpu is None
    with pytest.raises(flashschnet.Unsupported, match="the potential is not on a GPU"):
        potential.enqueue(**arrays())
    with pytest.raises(flashschnet.Unsupported, match="the potential is not on a GPU"):
        potential.check()


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"positions": POSITIONS}, TypeError, "positions must be an array on a GPU"),
        ({"positions": Shown(POSITIONS.astype(np.float32))}, TypeError, "positions must be of type <f8, not <f4"),
        (
            {"positions": Shown(POSITIONS.T, strides=(8, 24))},
            flashschnet.InvalidArgument,
            "positions must be in C order",
        ),
        ({"positions": Shown(0.0)}, flashschnet.InvalidArgument, "positions must have a length"),
        ({"types": Shown(np.array([8, 1, 1]))}, TypeError, "types must be of type <i4, not <i8"),
        ({"types": Shown(np.array([8, 1], np.int32))}, flashschnet.InvalidArgument, r"types must have shape \(3,\)"),
        ({"cells": Shown(np.eye(3))}, flashschnet.InvalidArgument, r"cells must have shape \(1, 3, 3\), not \(3, 3\)"),
        ({"pbc": Shown(np.ones((1, 3)))}, TypeError, "pbc must be of type"),
        ({"offsets": Shown(np.array([0, 1, 3], np.int32))}, TypeError, "offsets must be of type <i8 or <u8"),
        ({"offsets": Shown([0, 1, 3])}, flashschnet.InvalidArgument, r"energies must have shape \(2,\), not \(1,\)"),
        ({"excluded": Shown(np.zeros(2, np.int32))}, flashschnet.InvalidArgument, r"excluded must have shape \(2, 2\)"),
        ({"topologies": Shown([0])}, TypeError, "topologies must be of type <i4, not <i8"),
        ({"term_energies": Shown(np.zeros(4))}, flashschnet.InvalidArgument, r"term_energies must have shape \(1, 1\)"),
        ({"forces": Shown(np.zeros((3, 3)), data=(8, True))}, flashschnet.InvalidArgument, "forces is read-only"),
        ({"stream": "a"}, TypeError, "stream must be a stream of CUDA or its number, not str"),
    ],
)
def test_what_cannot_be_shown_to_the_library(
    potential: flashschnet.Potential, changes: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        potential.enqueue(**arrays(**changes))


def test_streams_of_others() -> None:
    class OfTorch:
        cuda_stream = 7

    class OfCuPy:
        ptr = 9

    numbers = [int(flashschnet._library.ffi.cast("uintptr_t", handle(s))) for s in (None, 3, OfTorch(), OfCuPy())]
    assert numbers == [0, 3, 7, 9]


def test_torch_computes_on_the_gpu(model: flashschnet.Model) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    potential = flashschnet.Potential(model, device="cuda", precision="double")
    positions = torch.tensor(POSITIONS, device="cuda")
    types = torch.tensor([8, 1, 1], dtype=torch.int32, device="cuda")
    energies = torch.zeros(1, dtype=torch.float64, device="cuda")
    forces = torch.zeros((3, 3), dtype=torch.float64, device="cuda")

    def step() -> None:
        potential.enqueue(positions, types, energies=energies, forces=forces, stream=torch.cuda.current_stream())

    expected = potential.compute(POSITIONS, [8, 1, 1])
    step()
    potential.check(torch.cuda.current_stream())
    assert energies.item() == expected.energy
    np.testing.assert_array_equal(forces.cpu(), expected.forces)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    positions *= 1.1
    graph.replay()
    torch.cuda.synchronize()
    potential.check()
    moved = energies.item()
    assert moved == potential.compute(1.1 * POSITIONS, [8, 1, 1]).energy != expected.energy
