"""What a model says of itself."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import modelfile
import pytest

import flashschnet


def test_attributes(model, model_file):
    assert model.path == model_file
    assert model.name == str(model_file)
    assert (model.cutoff, model.blocks, model.features, model.filters, model.basis_functions) == (4.0, 2, 12, 10, 9)
    assert (model.excluded_bonds, model.priors, model.structures) == (0, (), ())
    assert model.units == ("Angstrom", "eV")
    assert (model.units.length, model.units.energy) == ("Angstrom", "eV")
    assert (model.length_in_angstrom, model.energy_in_ev) == (1.0, 1.0)
    assert model.types[1] == flashschnet.AtomType(index=6, name="C", atomic_number=6, mass=12.0)
    assert [kind.name for kind in model.types] == ["H", "C", "O"]
    tensors = modelfile.parse(model_file.read_bytes())[1].items()
    numbers = {name: len(blob) // 8 for name, (_, _, blob) in tensors}
    assert model.parameters == sum(n for name, n in numbers.items() if not name.startswith(("basis", "reference")))
    assert repr(model) == (
        f"<flashschnet.Model {str(model_file)!r}: 2 blocks, 12 features, 10 filters, cutoff 4 Angstrom, types H, C, O>"
    )


def test_description_is_the_files(model, model_file):
    assert model.description == modelfile.parse(model_file.read_bytes())[0]
    assert model.description["provenance"] == {"framework": "random"}


def test_other_units(tmp_path):
    model = flashschnet.Model(modelfile.write_random(tmp_path / "m.safetensors", units=("Bohr", "kcal/mol")))
    assert model.length_in_angstrom == pytest.approx(0.529177210903, rel=1e-8)
    assert model.energy_in_ev == pytest.approx(0.0433641, rel=1e-6)


def test_types_without_element_or_mass(model_file):
    def bead(description, _):
        description["types"][0].update(name="CA", atomic_number=None, mass=None)

    model = flashschnet.Model.from_bytes(modelfile.rebuilt(model_file.read_bytes(), bead))
    assert model.types[0] == flashschnet.AtomType(1, "CA", None, None)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_from_bytes(model, model_file, kind):
    again = flashschnet.Model.from_bytes(kind(model_file.read_bytes()), "in memory")
    assert (again.path, again.name) == (None, "in memory")
    assert again.description == model.description


def test_paths(model_file, tmp_path):
    strange = tmp_path / "modèle 分子.safetensors"
    strange.write_bytes(model_file.read_bytes())
    for path in (strange, str(strange)):
        assert flashschnet.Model(path).path == strange


def test_copies(model):
    assert copy.copy(model) is model
    assert copy.deepcopy(model) is model
    again = pickle.loads(pickle.dumps(model))
    assert again.name == model.name
    assert isinstance(again.path, Path)


def test_a_model_from_memory_is_not_pickled(model_file):
    model = flashschnet.Model.from_bytes(model_file.read_bytes(), "in memory")
    with pytest.raises(TypeError, match="in memory: a model from memory cannot be pickled; a model from a file can"):
        pickle.dumps(model)
