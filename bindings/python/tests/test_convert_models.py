"""Files of every framework are converted, and what is written is what was read."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from convert_support import DATA, FIXTURES, REPOSITORY, read_model, shared

from flashschnet.convert import ConvertError, convert

TRANSFORMS = ("basis.widths", "reference_energies", "priors.", "structures.", "basis.centers")


def fixture(name: str, target: Path, **options: object) -> tuple[dict, dict]:
    given = json.loads(str(np.load(DATA / f"{name}.npz")["convert_options"]))
    convert(DATA / f"{name}.pt", target, **{**given, **options})
    return read_model(target)


@pytest.mark.parametrize("name", FIXTURES)
def test_every_fixture_is_recognised_and_written(name: str, tmp_path: Path) -> None:
    description, tensors = fixture(name, tmp_path / "m.safetensors")
    network = description["network"]
    assert network["cutoff"] == 4.0
    assert tensors["embedding"].shape == (99, network["features"])
    assert [t["index"] for t in description["types"]] == list(range(1, 100))
    assert description["types"][7] == {"index": 8, "name": "O", "atomic_number": 8, "mass": 15.999}
    assert description["provenance"]["source"] == f"{name}.pt"
    assert list(tmp_path.iterdir()) == [tmp_path / "m.safetensors"]


@pytest.mark.parametrize("name", FIXTURES)
def test_weights_are_kept_bit_for_bit(name: str, tmp_path: Path) -> None:
    _, tensors = fixture(name, tmp_path / "m.safetensors")
    with zipfile.ZipFile(DATA / f"{name}.pt") as archive:
        stored = {archive.read(n) for n in archive.namelist() if "/data/" in n}
    blobs = b"\0".join(stored)
    for key, tensor in tensors.items():
        if not key.startswith(TRANSFORMS):
            assert tensor.tobytes() in blobs, key


@pytest.mark.parametrize(
    ("name", "framework"),
    [
        ("spk2_gaussian_cosine", "SchNetPack 2.1.1"),
        ("pyg_schnet", "PyTorch Geometric"),
        ("pyg_schnet_state", "PyTorch Geometric (state dictionary)"),
        ("spk1_sum_coupled", "SchNetPack 0.x"),
    ],
)
def test_the_framework_is_told(name: str, framework: str, tmp_path: Path) -> None:
    description, _ = fixture(name, tmp_path / "m.safetensors")
    assert description["provenance"]["framework"] == framework


def test_schnetpack2_parts(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    network = fixture("spk2_gaussian_cosine", path)[0]["network"]
    assert network["activation"] == "shifted_softplus"
    assert network["readout"] == {"hidden": [6], "bias": [True, True], "activation": "silu"}
    assert network["filter_envelope"] == {"kind": "cosine", "cutoff": 4.0}
    assert network["basis_envelope"] == {"kind": "none"}
    assert (network["features"], network["filters"], network["blocks"]) == (12, 10, 2)
    assert (network["scale"], network["shift"], network["reference_energies"]) == (1.0, 0.375, True)

    description, tensors = fixture("spk2_centered_mollifier_shared", path)
    network = description["network"]
    assert network["shared_blocks"]
    assert network["blocks"] == 3
    assert not any(key.startswith("blocks.1.") for key in tensors)
    assert network["readout"] == {"hidden": [9, 5], "bias": [True, True, True]}
    assert network["filter_envelope"]["kind"] == "mollifier"
    assert (tensors["basis.centers"] == 0).all()
    assert (tensors["basis.widths"] > 0).all()

    network = fixture("spk2_bessel_cosine_avg", path)[0]["network"]
    assert network["basis"] == {"kind": "bessel", "size": 9}
    assert network["energy_aggregation"] == "mean"
    assert network["shift"] == 0.125
    assert network["readout"]["hidden"] == []

    network = fixture("spk2_bessel_mollifier_scaled", path)[0]["network"]
    assert network["activation"] == "tanh"
    assert network["scale"] == 2.5
    assert network["shift"] == -1.25


def test_schnetpack1_parts(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    network = fixture("spk1_mean_mollifier", path)[0]["network"]
    assert network["aggregation"] == "mean"
    assert not network["shared_blocks"]
    assert network["filter_envelope"]["kind"] == "mollifier"
    assert (network["scale"], network["shift"]) == (1.5, 0.75)
    network = fixture("spk1_sum_coupled", path)[0]["network"]
    assert network["aggregation"] == "sum"
    assert network["shared_blocks"]


def test_pyg_parts(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    description, tensors = fixture("pyg_schnet", path)
    assert (description["network"]["scale"], description["network"]["shift"]) == (2.25, -1.5)
    assert tensors["reference_energies"].shape == (99,)
    assert "drops neighbours beyond 32" in description["provenance"]["note"]
    assert fixture("pyg_schnet_mean", path)[0]["network"]["energy_aggregation"] == "mean"
    state, same = fixture("pyg_schnet_state", path)
    assert state["network"]["scale"] == 2.25
    assert state["units"] == {"length": "Angstrom", "energy": "eV"}
    assert same["basis.widths"][0] == np.float32(0.5)


def test_types_are_restricted_and_in_order(tmp_path: Path) -> None:
    everything = fixture("spk2_gaussian_cosine", tmp_path / "all.safetensors")[1]
    description, tensors = fixture("spk2_gaussian_cosine", tmp_path / "m.safetensors", types="Zr,O, 1")
    assert [t["name"] for t in description["types"]] == ["H", "O", "Zr"]
    assert (tensors["embedding"] == everything["embedding"][[0, 7, 39]]).all()
    assert (tensors["reference_energies"] == everything["reference_energies"][[0, 7, 39]]).all()


def test_units_are_the_users_or_said_to_be_assumed(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    description, _ = fixture("spk2_gaussian_cosine", path)
    assert "no units: Angstrom and eV were assumed" in description["provenance"]["note"]
    description, _ = fixture("spk2_gaussian_cosine", path, units="bohr,hartree")
    assert description["units"] == {"length": "Bohr", "energy": "Hartree"}
    assert "note" not in description["provenance"]


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        fixture("spk2_gaussian_cosine", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("blocks", [1, 5])
def test_schnetkit(blocks: int, tmp_path: Path) -> None:
    source, target = shared(f"models/zro2_n{blocks}_schnetkit.torch"), tmp_path / "m.safetensors"
    convert(source, target, types="O,Zr")
    description, tensors = read_model(target)
    network = description["network"]
    assert (network["blocks"], network["features"], network["filters"]) == (blocks, 128, 128)
    assert (network["scale"], network["shift"]) == (20.0, 0.0)
    assert network["cutoff"] == 5.0
    assert network["basis"] == {"kind": "gaussian", "size": 25}
    assert tensors["embedding"].shape == (2, 128)


def test_mlcg_model_with_specialised_priors(tmp_path: Path) -> None:
    target = tmp_path / "m.safetensors"
    convert(shared("models/cln_ca_mlcg.pt"), target)
    description, tensors = read_model(target)
    assert description["units"] == {"length": "Angstrom", "energy": "kcal/mol"}
    network = description["network"]
    assert network["basis"] == {"kind": "exponential_normal", "size": 33, "alpha": 1.0, "start": 0.0}
    assert network["basis_envelope"] == network["filter_envelope"] == {"kind": "cosine", "cutoff": 5.0}
    assert network["filter_network"] == {"hidden": [128], "bias": [True, False]}
    assert description["structures"] == [{"name": "cln-0", "atoms": 10}, {"name": "cln-1", "atoms": 10}]
    priors = {prior["name"]: prior for prior in description["priors"]}
    assert priors["non_bonded"]["lookup"] == "per_type"
    assert priors["non_bonded"]["terms"]
    assert priors["dihedrals"] == {
        "name": "dihedrals", "kind": "fourier_dihedral", "lookup": "per_term", "terms": True, "count": 14, "degrees": 5,
    }  # fmt: skip
    assert tensors["priors.bonds.offsets"].tolist() == [0, 9, 18]
    assert tensors["priors.bonds.atoms"][:9].tolist() == tensors["priors.bonds.atoms"][9:].tolist()
    # mlcg's masses are in kcal/mol ps²/Å²; the file's are in u.
    assert description["types"][20]["name"] == "B20"
    assert description["types"][20]["mass"] == pytest.approx(12, abs=3e-4)
    assert "max_num_neighbors" in description["provenance"]["note"]


def test_mlcg_priors_alone_and_with_term_lists(tmp_path: Path) -> None:
    source, target = shared("models/cln_5b_priors_mlcg.pt"), tmp_path / "m.safetensors"
    convert(source, target)
    description, tensors = read_model(target)
    assert description["network"] is None
    assert description["structures"] == []
    assert len(description["priors"]) == 51
    assert not any(prior["terms"] for prior in description["priors"])
    assert tensors["priors.bulk_bonds.types"].shape == (50, 2)
    assert len(np.unique(tensors["priors.bulk_bonds.types"], axis=0)) == 50

    convert(source, target, terms=shared("models/cln_5b_structures_mlcg.pt"))
    description, tensors = read_model(target)
    assert [s["atoms"] for s in description["structures"]] == [49] * 10
    assert all(prior["terms"] for prior in description["priors"])
    assert tensors["priors.non_bonded.offsets"].tolist() == [924 * n for n in range(11)]
    assert tensors["priors.ALA_phi.atoms"].shape == (0, 4)
    assert tensors["structures.types"].shape == (490,)
    for prior in description["priors"]:
        table = {tuple(row) for row in tensors[f"priors.{prior['name']}.types"].tolist()}
        asked = tensors["structures.types"][:49][tensors[f"priors.{prior['name']}.atoms"]]
        assert {tuple(row) for row in asked.tolist()} <= table


def test_structures_are_written_and_nothing_else_is_in_their_file(tmp_path: Path) -> None:
    source = shared("models/cln_5b_structures_mlcg.pt")
    with pytest.raises(ConvertError, match="holds 10 structures and no model: write them with --structures"):
        convert(source, tmp_path / "m.safetensors")
    report = convert(source, structures=tmp_path / "s.xyz")
    assert report.description is None
    lines = (tmp_path / "s.xyz").read_text().splitlines()
    assert len(lines) == 10 * 51
    assert lines[0] == "49"
    assert lines[1] == 'Properties=species:S:1:pos:R:3:types:I:1:masses:R:1 pbc="F F F" name="structure-0"'
    species, *numbers = lines[2].split()
    assert species == "X"
    assert numbers[3:] == ["21", "14"]
    assert not (tmp_path / "m.safetensors").exists()


def test_a_failed_conversion_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "m.safetensors"
    target.write_bytes(b"old")
    with pytest.raises(ConvertError):
        convert(DATA / "pyg_schnet_state.pt", target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_conversion_needs_numpy_only(tmp_path: Path) -> None:
    """In an interpreter where the frameworks cannot be imported, everything converts."""
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] in ('torch', 'torch_geometric', 'schnetpack', 'mlcg', 'ase', 'safetensors'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import json, numpy\n"
        "from flashschnet.convert import convert\n"
        "for name in sys.argv[2:]:\n"
        "    options = json.loads(str(numpy.load(name + '.npz')['convert_options']))\n"
        "    convert(name + '.pt', sys.argv[1], **options)\n"
        "assert not {'torch', 'ase', 'safetensors', 'pickle'} & set(sys.modules) - {'pickle'}\n"
    )
    names = [str(DATA / name) for name in FIXTURES]
    path = str(REPOSITORY / "bindings" / "python" / "src")
    command = f"import sys; sys.path.insert(0, {path!r})\n{code}"
    result = subprocess.run(
        [sys.executable, "-c", command, str(tmp_path / "m.safetensors"), *names], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
