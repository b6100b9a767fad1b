"""Several threads at once, and memory."""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from structures import crystal

import flashschnet

ROUNDS = 40


def test_two_potentials_side_by_side(model, precision):
    structures = [crystal(0, 2), crystal(1, 3)]
    potentials = [flashschnet.Potential(model, "cpu", **precision.choices) for _ in structures]
    expected = [p.compute(*s).energy for p, s in zip(potentials, structures, strict=True)]

    def work(which):
        return {potentials[which].compute(*structures[which]).energy for _ in range(ROUNDS)}

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, (0, 1))) == [{expected[0]}, {expected[1]}]


def test_one_potential_from_several_threads(model, precision):
    structures = [crystal(0, 2), crystal(1, 3), crystal(2, 2)]
    potential = flashschnet.Potential(model, "cpu", **precision.choices)
    expected = [potential.compute(*structure) for structure in structures]

    def work(which):
        for _ in range(ROUNDS):
            found = potential.compute(*structures[which])
            assert found.energy == expected[which].energy
            np.testing.assert_array_equal(found.forces, expected[which].forces)
        return True

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(work, range(3)))


def test_errors_stay_in_their_thread(potential):
    def work(kind):
        texts = set()
        for _ in range(ROUNDS):
            with pytest.raises(flashschnet.InvalidArgument) as error:
                potential.compute([[0, 0, 0]], [kind])
            texts.add(str(error.value))
        return texts

    with ThreadPoolExecutor(4) as pool:
        for kind, texts in zip(range(20, 24), pool.map(work, range(20, 24)), strict=True):
            assert texts == {f"invalid argument: atom 0 has type {kind}, which {potential.model.name} does not know"}


def resident_kib() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
def test_memory_does_not_grow(model_file):
    structure = crystal()
    data = model_file.read_bytes()

    def cycle():
        model = flashschnet.Model.from_bytes(data)
        with flashschnet.Potential(model, precision="double") as potential:
            potential.compute(*structure, virial=True, virials=True)
            with pytest.raises(flashschnet.InvalidArgument):
                potential.compute([[0, 0, 0]], [99])
        flashschnet.neighbor_list(structure.positions, 4.0, structure.cell)

    for _ in range(100):
        cycle()
    gc.collect()
    before = resident_kib()
    for _ in range(1000):
        cycle()
    gc.collect()
    # A model that stayed would be 20 MiB here, a potential or a list of pairs more.
    assert resident_kib() - before < 4096
