"""What is said to calls that make no sense: each text whole, most of them the core's."""

from __future__ import annotations

import re

import modelfile
import numpy as np
import pytest
from structures import crystal

import flashschnet
from flashschnet import InvalidArgument, Unsupported

ATOMS = np.array([[0.0, 0.0, 0.0], [1.5, 0.0, 0.0]])
TYPES = [1, 8]
CELL = 5.0 * np.eye(3)
NAN = np.array([[0.0, 0.0, 0.0], [1.5, 0.0, np.nan]])

#: Arguments of ``Potential.compute``, and what it says to them.
COMPUTE = {
    "positions of two columns": ((ATOMS[:, :2], TYPES), "positions must have shape (atoms, 3), not (2, 2)"),
    "flat positions": ((ATOMS.ravel(), TYPES), "positions must have shape (atoms, 3), not (6,)"),
    "ragged positions": (([[0, 0, 0], [1, 0]], TYPES), "positions is not a rectangular array"),
    "not a number": ((NAN, TYPES), "position of atom 1 is not finite (z = NaN)"),
    "infinite": (([[-np.inf, 0, 0], [1, 0, 0]], TYPES), "position of atom 0 is not finite (x = -inf)"),
    "far": ((ATOMS * 1e200, TYPES), "position of atom 1 is out of range ([1.5e200, 0.0, 0.0], the limit is 1e100)"),
    "too few types": ((ATOMS, [1]), "1 types for 2 positions"),
    "types of two dimensions": ((ATOMS, [TYPES]), "types must have shape (atoms,), not (1, 2)"),
    "types beyond 32 bits": ((ATOMS, [1, 2**40]), "types: 1099511627776 does not fit 32 bits"),
    "types below 32 bits": ((ATOMS, [1, -(2**40)]), "types: -1099511627776 does not fit 32 bits"),
    "unknown type": ((ATOMS, [1, 7]), "atom 1 has type 7, which {model} does not know"),
    "negative type": ((ATOMS, [-1, 8]), "atom 0 has type -1, which {model} does not know"),
    "atoms at one point": (([[1, 2, 3], [1, 2, 3]], TYPES), "atoms 0 and 1 are at the same point"),
    "an image at one point": (([[0, 0, 0], [5, 0, 0]], TYPES, CELL), "atoms 0 and 1 are at the same point"),
    "cell of lengths": ((ATOMS, TYPES, [5, 5, 5]), "cell must have shape (3, 3), not (3,)"),
    "cell of zeros": (
        (ATOMS, TYPES, np.zeros((3, 3))),
        "cell has zero volume (det = 0.0) but is periodic along a: vector a is zero",
    ),
    "flat cell": (
        (ATOMS, TYPES, [[5, 0, 0], [0, 5, 0], [5, 5, 0]]),
        "cell has zero volume (det = 0.0) but is periodic along a, b, c: these vectors are linearly dependent",
    ),
    "cell not a number": (
        (ATOMS, TYPES, [[5, 0, 0], [0, np.nan, 0], [0, 0, 5]]),
        "cell vector b is not finite or out of range (y = NaN)",
    ),
    "periodic without a cell": ((ATOMS, TYPES, None, True), "periodic directions without a cell"),
    "two directions": ((ATOMS, TYPES, CELL, [True, False]), "pbc must be one truth value or three, not of shape (2,)"),
}

#: What ``Potential.compute`` says to values of the wrong kind.
KINDS = {
    "positions of text": (([["a", "b", "c"]], TYPES), "positions must be real numbers, not <U1"),
    "complex positions": ((ATOMS + 0j, TYPES), "positions must be real numbers, not complex128"),
    "positions of objects": ((ATOMS.astype(object), TYPES), "positions must be real numbers, not object"),
    "truth values as positions": ((ATOMS > 0, TYPES), "positions must be real numbers, not bool"),
    "no positions": ((None, TYPES), "positions must be real numbers, not None"),
    "types of floats": ((ATOMS, [1.0, 8.0]), "types must be integers, not float64"),
    "types of truth values": ((ATOMS, [True, False]), "types must be integers, not bool"),
    "types of symbols": ((ATOMS, ["H", "O"]), "types must be integers, not <U1"),
    "no types": ((ATOMS, None), "types must be integers, not None"),
    "cell of text": ((ATOMS, TYPES, "cubic"), "cell must be real numbers, not <U5"),
    "directions as text": ((ATOMS, TYPES, CELL, "xyz"), "pbc must be True or False, or three of them, not 'xyz'"),
    "directions as a number": ((ATOMS, TYPES, CELL, 2), "pbc must be True or False, or three of them, not 2"),
}

EXCLUDED = {
    "three atoms": ([[0, 1, 2]], InvalidArgument, "invalid argument: excluded must have shape (pairs, 2), not (1, 3)"),
    "an atom that is not there": (
        [[0, 1], [0, 2]],
        InvalidArgument,
        "invalid argument: excluded pair 1 joins atoms 0 and 2 of 2",
    ),
    "a negative atom": ([[-1, 0]], InvalidArgument, "invalid argument: excluded pair 0 joins atoms -1 and 0 of 2"),
    "an atom and itself": ([[1, 1]], InvalidArgument, "invalid argument: excluded pair 0 joins atoms 1 and 1 of 2"),
    "floats": ([[0.0, 1.0]], TypeError, "excluded must be integers, not float64"),
}

BATCHES = {
    "none": (([], []), "structures is 0, must be at least 1"),
    "types for another number": (([ATOMS] * 2, [TYPES] * 3), "3 types for 2 structures"),
    "positions of two columns": (([ATOMS, ATOMS[:, :2]], TYPES), "positions[1] must have shape (atoms, 3), not (2, 2)"),
    "too few types": (([ATOMS] * 2, [TYPES, [1]]), "1 types[1] for 2 positions[1]"),
    "cell without volume": (
        ([ATOMS] * 2, TYPES, [CELL, np.zeros((3, 3))]),
        "structure 1: cell has zero volume (det = 0.0) but is periodic along a: vector a is zero",
    ),
    "cells for another number": (([ATOMS] * 2, TYPES, [CELL]), "1 cells for 2 structures"),
    "directions for another number": (([ATOMS] * 2, TYPES, CELL, [[True] * 3] * 3), "3 pbc for 2 structures"),
    "not a number": (([ATOMS, NAN], TYPES), "position of atom 3 is not finite (z = NaN)"),
    "unknown type": (([ATOMS, ATOMS], [TYPES, [1, 7]]), "atom 3 has type 7, which {model} does not know"),
}

OPTIONS = {
    "device": ({"device": "tpu"}, 'device is "tpu", must be one of auto, cpu, cuda'),
    "device as a number": ({"device": 1}, 'device is "1", must be one of auto, cpu, cuda'),
    "device with a null": ({"device": "cpu\0"}, "device has a null character"),
    "precision": ({"precision": "quadruple"}, 'precision is "quadruple", must be one of single, double, half'),
    "filters": ({"filters": "none"}, 'filters is "none", must be one of auto, exact, table'),
    "no threads": ({"threads": 0}, 'threads is "0", must be a number from 1 on'),
    "negative threads": ({"threads": -1}, 'threads is "-1", must be a number from 1 on'),
    "threads as text": ({"threads": "many"}, 'threads is "many", must be a number from 1 on'),
    "negative skin": ({"skin": -1}, 'skin is "-1", must be a number, not negative'),
    "skin not a number": ({"skin": float("nan")}, 'skin is "nan", must be a number, not negative'),
}

LISTS = {
    "no offsets": (([], []), {}, "offsets must rise from 0 to the number of neighbors, 0"),
    "offsets that end elsewhere": (([0, 1, 3], [1, 0]), {}, "offsets must rise from 0 to the number of neighbors, 2"),
    "offsets that fall": (([0, 2, 1, 2], [1, 0]), {}, "offsets must rise from 0 to the number of neighbors, 2"),
    "an atom that is not there": (([0, 1, 2], [1, 2]), {}, "neighbour 2 of atom 1 is not one of 2 atoms"),
    "counted from 1": (([0, 1, 2], [1, 0]), {"base": 1}, "neighbour 0 of atom 1 is not one of 2 atoms"),
    "counted from 2": (([0, 1, 2], [1, 0]), {"base": 2}, "base is 2, must be 0 or 1"),
    "too few owners": (([0, 1, 2], [1, 2]), {"atoms": 3, "owners": [0, 1]}, "2 owners for 3 atoms"),
    "a ghost as owner": (
        ([0, 1, 2], [1, 2]),
        {"owners": [0, 1, 3, 2]},
        "owner 3 of atom 2 is a ghost that has another owner itself",
    ),
    "fewer than owned": (([0, 1, 2], [1, 0]), {"atoms": -1}, "2 owned atoms of -1 in all"),
}


def named(table):
    return [pytest.param(*row, id=name) for name, row in table.items()]


def said(kind, call, *arguments, **options):
    """The text of the exception, which is exactly of this class."""
    with pytest.raises(kind) as error:
        call(*arguments, **options)
    assert type(error.value) is kind
    return str(error.value)


def invalid(text, model):
    return f"invalid argument: {text.format(model=model.name)}"


@pytest.mark.parametrize(("arguments", "text"), named(COMPUTE))
def test_compute(potential, arguments, text):
    assert said(InvalidArgument, potential.compute, *arguments) == invalid(text, potential.model)


@pytest.mark.parametrize("kind", [0, 7, 127, 128, -1, 2**31 - 1])
def test_an_unknown_type_among_many(potential: flashschnet.Potential, kind: int):
    positions = 50 * np.random.default_rng(0).random((2000, 3))
    with pytest.raises(flashschnet.InvalidArgument) as caught:
        potential.compute(positions, [1, 8] * 999 + [1, kind])
    assert (
        str(caught.value) == f"invalid argument: atom 1999 has type {kind}, which {potential.model.name} does not know"
    )


@pytest.mark.parametrize(("arguments", "text"), named(KINDS))
def test_kinds(potential, arguments, text):
    assert said(TypeError, potential.compute, *arguments) == text


@pytest.mark.parametrize(("pairs", "kind", "text"), named(EXCLUDED))
def test_excluded(potential, pairs, kind, text):
    assert said(kind, potential.compute, ATOMS, TYPES, excluded=pairs) == text


def test_excluded_must_be_given_to_models_that_ask_for_it(tmp_path):
    path = modelfile.write_random(tmp_path / "bonds.safetensors", excluded_bonds=2)
    potential = flashschnet.Potential(path, precision="double")
    assert said(InvalidArgument, potential.compute, ATOMS, TYPES) == (
        f"invalid argument: {path} leaves out pairs within 2 bonds: the excluded pairs must be given "
        "(an empty list if there are none)"
    )


@pytest.mark.parametrize(("arguments", "text"), named(BATCHES))
def test_batches(potential, arguments, text):
    assert said(InvalidArgument, potential.compute_batch, *arguments) == invalid(text, potential.model)


def test_excluded_atoms_of_another_structure(potential):
    text = said(InvalidArgument, potential.compute_batch, [ATOMS] * 2, TYPES, excluded=[[[0, 2]], []])
    assert text == "invalid argument: excluded[0] joins atoms 0 and 2 of 2"


def test_a_batch_is_a_sequence(potential):
    text = said(TypeError, potential.compute_batch, 5, TYPES)
    assert text == "positions must be a sequence of arrays, one a structure"


@pytest.mark.parametrize(("options", "text"), named(OPTIONS))
def test_options(model, options, text):
    assert said(InvalidArgument, flashschnet.Potential, model, **options) == f"invalid argument: {text}"


def test_a_device_that_is_not_there(model):
    try:
        flashschnet.Potential(model, device="cuda")
    except Unsupported as error:
        assert str(error).startswith("not supported: device cuda: ")  # noqa: PT017
    else:
        pytest.skip("there is a CUDA device here")


@pytest.mark.parametrize(("arguments", "options", "text"), named(LISTS))
def test_lists_of_a_host(potential, arguments, options, text):
    assert said(InvalidArgument, potential.set_neighbors, *arguments, **options) == f"invalid argument: {text}"


def test_domains(potential):
    def still(rows):
        pass

    three, types = np.eye(3), [1, 8, 1]
    assert said(InvalidArgument, potential.compute_domain, ATOMS, TYPES) == (
        "invalid argument: no neighbour list has been set"
    )
    potential.set_neighbors([0, 1, 2], [1, 2], atoms=3)
    exchange = {"forward": still}
    for arguments, options, text in [
        ((ATOMS, TYPES), exchange, "2 positions for a neighbour list of 3 atoms"),
        ((three, TYPES), exchange, "2 types for 3 positions"),
        ((three, types), {}, "1 ghost atoms, but neither their owners nor an exchange are given"),
        ((three, [1, 8, 9]), exchange, f"atom 2 has type 9, which {potential.model.name} does not know"),
        ((three * np.nan, types), exchange, "position of atom 0 is not finite (x = NaN)"),
    ]:
        assert said(InvalidArgument, potential.compute_domain, *arguments, **options) == f"invalid argument: {text}"
    potential.set_neighbors([0, 1, 2], [1, 2], owners=[0, 1, 2])
    assert said(InvalidArgument, potential.compute_domain, three, types) == (
        "invalid argument: 1 ghost atoms, but neither their owners nor an exchange are given"
    )


@pytest.mark.parametrize("cutoff", [0.0, -1.0, np.nan, np.inf])
def test_cutoffs_of_neighbour_lists(cutoff):
    text = said(InvalidArgument, flashschnet.neighbor_list, ATOMS, cutoff)
    shown = {"nan": "NaN", "inf": "inf"}.get(str(cutoff), str(cutoff))
    assert text == f"invalid argument: cutoff must be positive and finite, got {shown}"


def test_neighbour_lists():
    assert said(InvalidArgument, flashschnet.neighbor_list, NAN, 2.0) == (
        "invalid argument: position of atom 1 is not finite (z = NaN)"
    )
    assert said(TypeError, flashschnet.neighbor_list, ATOMS, "2") == "must be real number, not str"


def test_closed_potentials(model):
    potential = flashschnet.Potential(model, precision="double")
    potential.close()
    text = "invalid argument: potential is a null pointer"
    assert said(InvalidArgument, potential.compute, ATOMS, TYPES) == text
    assert said(InvalidArgument, potential.set_neighbors, [0, 0], []) == text
    assert said(InvalidArgument, potential.compute_domain, ATOMS, TYPES) == text
    assert said(InvalidArgument, lambda: potential.device) == text


def test_models_that_are_not(model):
    assert "os.PathLike" in said(TypeError, flashschnet.Potential, None)
    assert "os.PathLike" in said(TypeError, flashschnet.Model, 3)
    assert said(InvalidArgument, flashschnet.Model, "a\0b") == "invalid argument: path has a null character"
    assert said(InvalidArgument, flashschnet.Model.from_bytes, b"", "a\0b") == (
        "invalid argument: name has a null character"
    )


def test_a_failed_call_changes_nothing(potential):
    expected = potential.compute(ATOMS, TYPES, CELL)
    for arguments, _ in COMPUTE.values():
        with pytest.raises(InvalidArgument):
            potential.compute(*arguments)
    again = potential.compute(ATOMS, TYPES, CELL)
    assert again.energy == expected.energy
    np.testing.assert_array_equal(again.forces, expected.forces)


@pytest.mark.parametrize("options", [{}, {"forces": False}, {"virial": True, "virials": True}])
def test_sums_that_are_not_finite(tmp_path, options):
    path = modelfile.write_random(tmp_path / "huge.safetensors", scale=1.7e308)
    potential = flashschnet.Potential(path, precision="double")
    text = said(flashschnet.NumericalError, potential.compute, *crystal(), **options)
    assert text == "numerical failure: energy of structure 0 is not finite"


def test_features_that_are_not_finite(tmp_path, precision):
    path = modelfile.write_random(tmp_path / "huge.safetensors")

    def huge(description, tensors):
        dtype, shape, blob = tensors["blocks.0.in2f.weight"]
        largest = 1e38 if precision.name == "single" else 1e308
        tensors["blocks.0.in2f.weight"] = (dtype, shape, np.full(len(blob) // 8, largest).tobytes())

    model = flashschnet.Model.from_bytes(modelfile.rebuilt(path.read_bytes(), huge))
    potential = flashschnet.Potential(model, **precision.choices)
    text = said(flashschnet.NumericalError, potential.compute, *crystal())
    assert re.fullmatch(
        "numerical failure: energy of atom 0 is (NaN|-?inf): positions are far outside what the model was made for, "
        "or the model is damaged",
        text,
    )
