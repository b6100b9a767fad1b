"""Models trained by others, against numbers computed by others."""

from __future__ import annotations

import json
from pathlib import Path

import modelfile
import numpy as np
import pytest
from conftest import ROOT, Precision

import flashschnet

FIXTURES = sorted((ROOT / "tests" / "data").glob("*.pt"))


def deviation(found, expected):
    """Largest difference, relative to the largest expected value."""
    return np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()


def norm(found, expected):
    """Of the deviation, relative to the expected values'."""
    return np.linalg.norm(np.asarray(found) - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("blocks", [1, 5])
def test_zirconia(shared: Path, tmp_path: Path, precision: Precision, blocks: int):
    reference = np.load(shared / "reference" / f"zro2_n{blocks}_96.npz")
    target = tmp_path / "model.safetensors"
    flashschnet.convert(shared / "models" / f"zro2_n{blocks}_schnetkit.torch", target)
    potential = flashschnet.Potential(target, **precision.choices)
    found = potential.compute(
        reference["positions"], reference["numbers"], reference["cell"], reference["pbc"], virial=True, virials=True
    )
    volume = np.abs(np.linalg.det(reference["cell"]))
    assert deviation(found.energies, reference["energies"]) < precision.energy
    # The sum cancels in part, so that it is measured by the terms.
    assert abs(found.energy - reference["energy"]) < precision.energy * np.abs(reference["energies"]).sum()
    assert deviation(found.forces, reference["forces"]) < precision.forces
    assert norm(found.forces, reference["forces"]) < precision.norm
    assert deviation(-found.virial / volume, reference["stress"]) < precision.forces
    np.testing.assert_allclose(found.virials.sum(axis=0), found.virial, atol=1e-6 * np.abs(found.virial).max())


def test_chignolin_network(shared: Path, tmp_path: Path, precision: Precision):
    reference = np.load(shared / "reference" / "cln_ca.npz")
    target = tmp_path / "model.safetensors"
    flashschnet.convert(shared / "models" / "cln_ca_mlcg.pt", target)
    model = flashschnet.Model.from_bytes(modelfile.rebuilt(target.read_bytes(), modelfile.without_priors), "cln")
    potential = flashschnet.Potential(model, **precision.choices)
    found = potential.compute_batch(reference["positions"], reference["types"])
    assert deviation([each.energy for each in found], reference["SchNet_energy"]) < precision.energy
    assert deviation([each.forces for each in found], reference["SchNet_forces"]) < precision.forces
    for each, expected in zip(found, reference["SchNet_forces"], strict=True):
        assert norm(each.forces, expected) < precision.norm


@pytest.mark.parametrize("source", FIXTURES, ids=lambda path: path.stem)
def test_frameworks(tmp_path: Path, precision: Precision, source: Path):
    reference = np.load(source.with_suffix(".npz"))
    target = tmp_path / "model.safetensors"
    flashschnet.convert(source, target, **json.loads(str(reference["convert_options"])))
    potential = flashschnet.Potential(target, **precision.choices)
    cell = (reference["cell"], reference["pbc"]) if reference["pbc"].any() else (None, None)
    found = potential.compute(reference["positions"], reference["types"], *cell)
    assert abs(found.energy - reference["energy"]) < precision.energy * max(1.0, abs(reference["energy"]))
    assert deviation(found.forces, reference["forces"]) < precision.forces


def test_there_are_fixtures():
    assert len(FIXTURES) >= 9
