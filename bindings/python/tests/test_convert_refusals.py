"""What is not covered is refused by its name, never approximated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert_support import DATA, Obj, module, read_model, rewrite, save

from flashschnet.convert import ConvertError, convert


def refusal(path: Path, tmp_path: Path, **options: Any) -> str:
    target = tmp_path / "m.safetensors"
    with pytest.raises(ConvertError) as caught:
        convert(path, target, **options)
    assert not target.exists()
    return str(caught.value).removeprefix(f"{path}: ")


def renamed(name: str, tmp_path: Path, old: str, new: str) -> Path:
    """A fixture in which a class or a word has another name."""

    def change(data: bytes) -> bytes:
        for before, after in ((old, new), (old.replace(":", "\n"), new.replace(":", "\n"))):
            data = data.replace(before.encode() + b"\n", after.encode() + b"\n")
        if ":" not in old:
            data = data.replace(bytes([len(old), 0, 0, 0]) + old.encode(), bytes([len(new), 0, 0, 0]) + new.encode())
        return data

    path = rewrite(DATA / f"{name}.pt", tmp_path / "a.pt", change)
    assert path.stat().st_size != (DATA / f"{name}.pt").stat().st_size or old != new
    return path


@pytest.mark.parametrize(
    ("fixture", "old", "new", "text"),
    [
        ("spk2_gaussian_cosine", "schnetpack.representation.schnet:SchNet", "schnetpack.representation.painn:PaiNN",
         "its representation is schnetpack.representation.painn.PaiNN, which is not SchNet; "
         "only SchNet models are supported"),
        ("spk2_gaussian_cosine", "schnetpack.representation.schnet:SchNet",
         "schnetpack.representation.field_schnet:FieldSchNet",
         "its representation is schnetpack.representation.field_schnet.FieldSchNet, which is not SchNet; "
         "only SchNet models are supported"),
        ("spk2_gaussian_cosine", "schnetpack.nn.cutoff:CosineCutoff", "schnetpack.nn.cutoff:SwitchFunction",
         "its cutoff function schnetpack.nn.cutoff.SwitchFunction is not supported; "
         "CosineCutoff and MollifierCutoff are"),
        ("spk2_gaussian_cosine", "schnetpack.nn.radial:GaussianRBF", "schnetpack.nn.radial:BernsteinRBF",
         "its radial basis schnetpack.nn.radial.BernsteinRBF is not supported; "
         "GaussianRBF, GaussianRBFCentered and BesselRBF are"),
        ("spk2_gaussian_cosine", "schnetpack.atomistic.distances:PairwiseDistances",
         "schnetpack.atomistic.external_fields:StaticExternalFields",
         "its input module schnetpack.atomistic.external_fields.StaticExternalFields is not supported"),
        ("spk2_gaussian_cosine", "schnetpack.atomistic.response:Forces",
         "schnetpack.atomistic.nuclear_repulsion:ZBLRepulsionEnergy",
         "its output module schnetpack.atomistic.nuclear_repulsion.ZBLRepulsionEnergy is not supported"),
        ("spk2_gaussian_cosine", "schnetpack.atomistic.atomwise:Atomwise", "schnetpack.atomistic.atomwise:DipoleMoment",
         "none of its output modules (DipoleMoment, Forces) gives an energy; Atomwise does"),
        ("spk2_gaussian_cosine", "schnetpack.transform.atomistic:AddOffsets", "schnetpack.transform.atomistic:Squash",
         "its postprocessor schnetpack.transform.atomistic.Squash is not supported"),
        ("spk2_gaussian_cosine", "schnetpack.nn.activations:shifted_softplus", "torch.nn.functional:gelu",
         "activation gelu is not supported (shifted softplus, tanh and SiLU are)"),
        ("spk2_gaussian_cosine", "torch.nn.modules.sparse:Embedding", "schnetpack.nn.embedding:NuclearEmbedding",
         "its nuclear embedding schnetpack.nn.embedding.NuclearEmbedding is not supported; torch.nn.Embedding is"),
        ("spk2_bessel_cosine_avg", "avg", "max",
         "its output 'energy' is aggregated by max, which is not supported; sum and avg are"),
        ("spk2_bessel_cosine_avg", "avg", "sum",
         "its postprocessor AddOffsets is intensive, but the energy is aggregated by sum; that is not supported"),
        ("pyg_schnet", "torch_geometric.nn.models.schnet:SchNet", "torch_geometric.nn.models.dimenet:DimeNet",
         "torch_geometric.nn.models.dimenet.DimeNet is not supported: of PyTorch Geometric, SchNet is"),
        ("pyg_schnet", "torch_geometric.nn.aggr.basic:SumAggregation", "torch_geometric.nn.aggr.basic:MaxAggregation",
         "its readout MaxAggregation is not supported; add and mean are"),
        ("pyg_schnet", "torch_geometric.nn.models.schnet:RadiusInteractionGraph",
         "torch_geometric.nn.models.schnet:KNNInteractionGraph",
         "its interaction graph torch_geometric.nn.models.schnet.KNNInteractionGraph is not supported; "
         "RadiusInteractionGraph is"),
        ("spk1_sum_coupled", "schnetpack.representation.schnet:SchNet",
         "schnetpack.representation.hdnn:SymmetryFunctions",
         "its representation is schnetpack.representation.hdnn.SymmetryFunctions, which is not SchNet; "
         "only SchNet models are supported"),
        ("spk1_sum_coupled", "schnetpack.atomistic.output_modules:Atomwise",
         "schnetpack.atomistic.output_modules:DipoleMoment",
         "its output module schnetpack.atomistic.output_modules.DipoleMoment is not supported; Atomwise is"),
        ("spk1_sum_coupled", "schnetpack.nn.cutoff:CosineCutoff", "schnetpack.nn.cutoff:PolynomialCutoff",
         "its cutoff function PolynomialCutoff is not supported"),
    ],
)  # fmt: skip
def test_parts_that_are_not_covered(fixture: str, old: str, new: str, text: str, tmp_path: Path) -> None:
    message = refusal(renamed(fixture, tmp_path, old, new), tmp_path)
    assert message == text or (message.endswith(text) and text.startswith("activation"))


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({}, "the file holds a dictionary (), which is not a SchNet of SchNetPack, mlcg or PyTorch Geometric"),
        ({"pytorch-lightning_version": "2.0"}, "a Lightning checkpoint (convert the model saved beside it"),
        ([1, 2], "the file holds a list, which is not a SchNet"),
        (Obj("mlcg.data.atomic_data.Thing"), "the file holds a mlcg.data.atomic_data.Thing, which is not a SchNet"),
        (module("torch.nn.modules.linear.Linear"), "the file holds a torch.nn.modules.linear.Linear, which is not"),
        (module("schnetpack.model.base.Other", {"postprocessors": module("torch.nn.ModuleList")}),
         "schnetpack.model.base.Other is not supported: of SchNetPack 2, NeuralNetworkPotential is"),
    ],
)  # fmt: skip
def test_files_that_hold_something_else(payload: Any, text: str, tmp_path: Path) -> None:
    assert text in refusal(save(tmp_path / "a.pt", payload), tmp_path)


def test_a_state_dictionary_needs_its_cutoff(tmp_path: Path) -> None:
    path = DATA / "pyg_schnet_state.pt"
    assert refusal(path, tmp_path) == (
        "a state dictionary carries no cutoff: give it with --cutoff (its last Gaussian sits at 4)"
    )
    convert(path, tmp_path / "m.safetensors", cutoff=3.5)
    description, _ = read_model(tmp_path / "m.safetensors")
    assert description["network"]["cutoff"] == 3.5
    note = description["provenance"]["note"]
    assert "carries neither mean nor std" in note
    assert "does not say how atoms are summed" in note
    assert "Angstrom and eV were assumed" in note


@pytest.mark.parametrize(
    ("fixture", "options", "text"),
    [
        ("spk2_gaussian_cosine", {"cutoff": 5.0}, "--cutoff 5 contradicts the file, which says 4"),
        ("spk1_sum_coupled", {"cutoff": 5.0}, "--cutoff 5 contradicts the file, which says 4"),
        ("pyg_schnet", {"cutoff": 5.0}, "--cutoff 5 contradicts the file, which says 4"),
        ("pyg_schnet", {"scale": 5.0}, "--scale is for state dictionaries: this file holds the whole model"),
        ("spk2_gaussian_cosine", {"cutoff": -1.0}, "--cutoff must be positive"),
        ("spk2_gaussian_cosine", {"cutoff": float("nan")}, "--cutoff must be a finite number"),
        ("spk2_gaussian_cosine", {"types": "O,Xx"}, "--types: 'Xx' is neither an element nor a type number"),
        ("spk2_gaussian_cosine", {"types": "O,8"}, "--types: '8' is there twice"),
        ("spk2_gaussian_cosine", {"types": "0"},
         "--types: the model's embedding has no row for 0 (it has elements 1 to 99)"),
        ("spk2_gaussian_cosine", {"types": "Fm"},
         "--types: the model's embedding has no row for 100 (it has elements 1 to 99)"),
        ("spk2_gaussian_cosine", {"units": "eV"}, "--units eV: give a length and an energy, such as Angstrom,eV"),
        ("spk2_gaussian_cosine", {"units": "Angstrom,erg"},
         "--units: 'erg' is not a unit of energy (eV, Hartree, kcal/mol, kJ/mol, Rydberg)"),
        ("spk2_gaussian_cosine", {"property": "dipole"},
         "no Atomwise module of the file predicts 'dipole'; it predicts energy"),
        ("spk2_gaussian_cosine", {"framework": "dgl"},
         "framework 'dgl' is not one of schnetpack2, schnetpack0, mlcg, pyg"),
        ("spk2_gaussian_cosine", {"terms": "x.pt"}, "--terms is for mlcg models"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit(fixture: str, options: dict[str, Any], text: str, tmp_path: Path) -> None:
    assert refusal(DATA / f"{fixture}.pt", tmp_path, **options) == text


def test_what_is_read_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes((DATA / "pyg_schnet.pt").read_bytes())
    before = path.read_bytes()
    with pytest.raises(ConvertError, match="is what is read: name another file to write"):
        convert(path, path)
    assert path.read_bytes() == before


def test_the_wrong_framework_is_one_line(tmp_path: Path) -> None:
    for fixture in ("spk2_gaussian_cosine", "spk1_sum_coupled", "pyg_schnet", "pyg_schnet_state"):
        for framework in ("schnetpack2", "schnetpack0", "mlcg", "pyg"):
            try:
                convert(DATA / f"{fixture}.pt", tmp_path / "m", framework=framework, cutoff=4.0)
            except ConvertError as error:
                assert "\n" not in str(error)  # noqa: PT017


def test_postprocessors_that_are_switched_off_are_left_out(tmp_path: Path) -> None:
    def change(data: bytes) -> bytes:
        key = b"do_postprocessing"
        start = data.index(key) + len(key)
        end = data.index(b"\x88", start)
        return data[:end] + b"\x89" + data[end + 1 :]

    path = rewrite(DATA / "spk2_gaussian_cosine.pt", tmp_path / "a.pt", change)
    report = convert(path, tmp_path / "m.safetensors")
    assert "the file switches its postprocessors off (CastTo64, AddOffsets), and so they are left out" in report.notes
    network = read_model(tmp_path / "m.safetensors")[0]["network"]
    assert network["shift"] == 0
    assert not network["reference_energies"]


def test_a_bare_state_of_schnetpack0_says_what_was_assumed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype("<f4")

    block = "representation.interactions.0."
    state = {
        "representation.embedding.weight": random(10, 4),
        "representation.distance_expansion.width": abs(random(3)),
        "representation.distance_expansion.offsets": random(3),
        f"{block}cfconv.in2f.weight": random(5, 4),
        f"{block}cfconv.filter_network.0.weight": random(5, 3),
        f"{block}cfconv.filter_network.0.bias": random(5),
        f"{block}cfconv.filter_network.1.weight": random(5, 5),
        f"{block}cfconv.filter_network.1.bias": random(5),
        f"{block}cfconv.f2out.weight": random(4, 5),
        f"{block}cfconv.f2out.bias": random(4),
        f"{block}dense.weight": random(4, 4),
        f"{block}dense.bias": random(4),
        "output_modules.0.out_net.1.out_net.0.weight": random(1, 4),
        "output_modules.0.out_net.1.out_net.0.bias": random(1),
    }
    path = save(tmp_path / "a.pt", state)
    assert refusal(path, tmp_path) == "the state dictionary carries no cutoff: give it with --cutoff"
    report = convert(path, tmp_path / "m.safetensors", cutoff=5.0)
    assert report.framework == "schnetpack0"
    assert any("SchNetPack's defaults were taken (cosine, shifted softplus, sum)" in note for note in report.notes)
    state[f"{block}attention.weight"] = random(4, 4)
    (tmp_path / "m.safetensors").unlink()
    assert refusal(save(path, state), tmp_path) == (
        "block 0 has 'attention.weight', which a SchNet of SchNetPack 0.x has not"
    )
