"""mlcg's models piece by piece, on files put together here: no interpreter with mlcg is needed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert_support import Obj, Sparse, module, read_model, save

from flashschnet.convert import ConvertError, convert

F, K, N, TYPES = 6, 5, 4, 3


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype("<f4")


def linear(inputs: int, outputs: int, bias: bool = True) -> Obj:
    tensors = {"weight": random(outputs, inputs), "bias": random(outputs) if bias else None}
    return module("torch.nn.modules.linear.Linear", tensors=tensors)


def mlp(*widths: int, act: str = "Tanh", last_bias: bool = False) -> Obj:
    parts: dict[str, Any] = {}
    for number, (a, b) in enumerate(pairwise(widths)):
        if number:
            parts[str(len(parts))] = module(f"torch.nn.modules.activation.{act}")
        parts[str(len(parts))] = linear(a, b, last_bias or number < len(widths) - 2)
    return module("mlcg.nn.mlp.MLP", {"layers": module("torch.nn.modules.container.Sequential", parts)})


def cosine(upper: float = 6.0, lower: float = 0.0) -> Obj:
    return module("mlcg.nn.cutoff.CosineCutoff", cutoff_lower=lower, cutoff_upper=upper)


def exp_normal(cutoff: Obj | None = None) -> Obj:
    return module(
        "mlcg.nn.radial_basis.exp_normal.ExpNormalBasis", {"cutoff": cutoff or cosine()},
        {"means": random(K), "betas": abs(random(K))}, alpha=0.75,
    )  # fmt: skip


def network(
    basis: Obj | None = None, cutoff: Obj | None = None, block: str = "mlcg.nn.schnet.InteractionBlock",
    readout: Obj | None = None, aggr: str = "add", name: str = "mlcg.nn.schnet.StandardSchNet", **state: Any,
) -> Obj:  # fmt: skip
    parts = {}
    for number in range(2):
        conv = {
            "lin1": linear(F, N, False), "lin2": linear(N, F), "filter_network": mlp(K, N, N),
            "cutoff": cutoff or cosine(),
        }  # fmt: skip
        inner = {
            "conv": module("mlcg.nn.schnet.CFConv", conv, aggr=aggr),
            "activation": module("torch.nn.modules.activation.Tanh"),
            "lin": linear(F, F),
        }
        parts[str(number)] = module(block, inner)
    return module(
        name,
        {
            "embedding_layer": module("torch.nn.modules.sparse.Embedding", tensors={"weight": random(TYPES, F)}),
            "rbf_layer": basis or exp_normal(),
            "interaction_blocks": module("torch.nn.modules.container.Sequential", parts),
            "output_network": readout or mlp(F, 3, 1),
        },
        **{"max_num_neighbors": 64, "self_interaction": False, **state},
    )


def gradients(model: Obj, name: str) -> Obj:
    return module("mlcg.nn.gradients.GradientsOut", {"model": model}, name=name, targets=["forces"])


def sum_out(**models: Obj) -> Obj:
    parts = {name: gradients(model, name) for name, model in models.items()}
    return module("mlcg.nn.gradients.SumOut", {"models": module("torch.nn.modules.container.ModuleDict", parts)})


def atomic_data(types: list[int], **lists: list[tuple[int, ...]]) -> Obj:
    orders = {"bonds": 2, "angles": 3, "dihedrals": 4, "impropers": 4}
    neighbours = {
        name: {
            "index_mapping": np.array(terms, "<i8").reshape(-1, orders[name]).T,
            "cell_shifts": None,
            "rcut": None,
        }
        for name, terms in lists.items()
    }
    mapping = {
        "pos": random(len(types), 3),
        "atom_types": np.array(types, "<i8"),
        "masses": np.array([12.0 + t for t in types]) / 418.4,
        "neighbor_list": neighbours,
    }
    store = Obj("torch_geometric.data.storage.GlobalStorage", _mapping=mapping)
    return Obj("mlcg.data.atomic_data.AtomicData", _store=store)


def done(tmp_path: Path, value: Any, **options: Any) -> tuple[dict, dict]:
    convert(save(tmp_path / "a.pt", value), tmp_path / "m.safetensors", **options)
    return read_model(tmp_path / "m.safetensors")


def failed(tmp_path: Path, value: Any, **options: Any) -> str:
    with pytest.raises(ConvertError) as caught:
        convert(save(tmp_path / "a.pt", value), tmp_path / "m.safetensors", **options)
    return str(caught.value).removeprefix(f"{tmp_path / 'a.pt'}: ")


@pytest.mark.parametrize("wrap", [lambda n: n, lambda n: gradients(n, "SchNet"), lambda n: sum_out(SchNet=n)])
def test_a_network_in_any_wrapping(wrap: Any, tmp_path: Path) -> None:
    description, tensors = done(tmp_path, wrap(network()))
    assert description["network"] == {
        "cutoff": 6.0, "features": F, "filters": N, "blocks": 2, "shared_blocks": False, "activation": "tanh",
        "basis": {"kind": "exponential_normal", "size": K, "alpha": 0.75, "start": 0.0},
        "basis_envelope": {"kind": "cosine", "cutoff": 6.0}, "filter_envelope": {"kind": "cosine", "cutoff": 6.0},
        "filter_network": {"hidden": [N], "bias": [True, False]}, "readout": {"hidden": [3], "bias": [True, False]},
        "aggregation": "sum", "energy_aggregation": "sum", "scale": 1.0, "shift": 0.0, "reference_energies": False,
    }  # fmt: skip
    assert [t["name"] for t in description["types"]] == ["B0", "B1", "B2"]
    assert (tensors["embedding"] == random(TYPES, F)).all()


def test_bases_and_cutoffs(tmp_path: Path) -> None:
    gaussian = module(
        "mlcg.nn.radial_basis.gaussian.GaussianBasis", {"cutoff": cosine(6.0, 1.0)},
        {"offset": np.linspace(0, 6, K).astype("<f4"), "coeff": np.array(-0.5 / 1.5**2, "<f4")},
    )  # fmt: skip
    description, tensors = done(tmp_path, network(gaussian, aggr="mean"))
    assert description["network"]["basis"] == {"kind": "gaussian", "size": K}
    assert description["network"]["basis_envelope"] == {"kind": "cosine", "cutoff": 6.0, "lower": 1.0}
    assert description["network"]["aggregation"] == "mean"
    assert tensors["basis.widths"] == pytest.approx(np.full(K, 1.5), rel=1e-7)

    none = module("mlcg.nn.cutoff.IdentityCutoff", cutoff_lower=0, cutoff_upper=6.0)
    shifted = module("mlcg.nn.cutoff.ShiftedCosineCutoff", cutoff_lower=0, cutoff_upper=6.0, smooth_width=0.5)
    description, _ = done(tmp_path, network(exp_normal(none), shifted))
    assert description["network"]["basis_envelope"] == {"kind": "none"}
    assert description["network"]["filter_envelope"] == {"kind": "shifted_cosine", "cutoff": 6.0, "width": 0.5}

    extended = exp_normal()
    extended.cls = "mlcg.nn.radial_basis.exp_normal.ExtendedExpNormalBasis"
    extended.state["internal_cutoff_lower"] = 0.25
    assert done(tmp_path, network(extended))[0]["network"]["basis"]["start"] == 0.25


def test_the_readouts_own_activation(tmp_path: Path) -> None:
    description, _ = done(tmp_path, network(readout=mlp(F, 3, 1, act="SiLU")))
    assert description["network"]["readout"]["activation"] == "silu"


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (network(block="mlcg.nn.schnet.AttentiveInteractionBlock"),
         "its interaction block mlcg.nn.schnet.AttentiveInteractionBlock is not supported; InteractionBlock is"),
        (network(name="mlcg.nn.painn.PaiNN"), "mlcg.nn.painn.PaiNN is not supported: of mlcg, StandardSchNet and"),
        (network(name="mlcg.nn.mace.StandardMACE"), "mlcg.nn.mace.StandardMACE is not supported: of mlcg"),
        (network(basis=module("mlcg.nn.radial_basis.rigto.RIGTOBasis", {"cutoff": cosine()})),
         "its radial basis mlcg.nn.radial_basis.rigto.RIGTOBasis is not supported; "
         "ExpNormalBasis, ExtendedExpNormalBasis and GaussianBasis are"),
        (network(cutoff=module("mlcg.nn.cutoff.PolynomialCutoff", cutoff_upper=6.0)),
         "its cutoff function mlcg.nn.cutoff.PolynomialCutoff is not supported; "
         "CosineCutoff, ShiftedCosineCutoff and IdentityCutoff are"),
        (network(cutoff=cosine(7.0)), "SchNet: its filter envelope ends at 7, beyond the cutoff of 6"),
        (network(self_interaction=True),
         "the network lets atoms act on themselves (self_interaction), which is not supported"),
        (network(aggr="max"), "its aggregation is not supported; add and mean are"),
        (network(readout=mlp(F, 3, 1, act="ReLU")), "output_network.layers.1): activation ReLU is not supported"),
        (network(readout=mlp(F, 3, 2)), "SchNet: readout has 2 outputs where 1 belong"),
        (network(aggr=["add"]), "aggr is a list where text belongs"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_networks_that_are_refused(model: Obj, text: str, tmp_path: Path) -> None:
    assert text in failed(tmp_path, model)


# Priors.


def table(cls: str, name: str, keys: list[tuple[int, ...]], **tables: Any) -> Obj:
    return module(f"mlcg.nn.prior.{cls}", tensors=tables, allowed_interaction_keys=keys, name=name, order=len(keys[0]))


def filled(keys: list[tuple[int, ...]], degrees: int = 0) -> np.ndarray:
    order = len(keys[0])
    result = np.zeros(((degrees,) if degrees else ()) + (TYPES,) * order, "<f4")
    for number, key in enumerate(keys, 1):
        result[(..., *key)] = np.arange(1, degrees + 1) + 10 * number if degrees else number
    return result


BONDS = [(0, 1), (1, 0), (1, 2), (2, 1)]
DIHEDRALS = [(0, 1, 2, 0), (0, 2, 1, 0)]


@pytest.mark.parametrize("form", [lambda x: x, Sparse])
def test_tables(form: Any, tmp_path: Path) -> None:
    model = module(
        "torch.nn.modules.container.ModuleDict",
        {
            "bonds": gradients(
                table("GeneralBonds", "bonds", BONDS, x_0=form(filled(BONDS)), k=form(2 * filled(BONDS))), "bonds"),
            "dihedrals": gradients(
                table("Dihedral", "dihedrals", DIHEDRALS, k1s=form(filled(DIHEDRALS, 3)),
                      k2s=form(-filled(DIHEDRALS, 3)), v_0=form(filled(DIHEDRALS))), "dihedrals"),
        },
    )  # fmt: skip
    description, tensors = done(tmp_path, model)
    assert description["network"] is None
    assert description["priors"] == [
        {"name": "bonds", "kind": "harmonic_bond", "lookup": "per_type", "terms": False, "count": 4},
        {
            "name": "dihedrals",
            "kind": "fourier_dihedral",
            "lookup": "per_type",
            "terms": False,
            "count": 2,
            "degrees": 3,
        },
    ]
    assert tensors["priors.bonds.types"].tolist() == [list(key) for key in BONDS]
    assert tensors["priors.bonds.x0"].tolist() == [1, 2, 3, 4]
    assert tensors["priors.bonds.k"].tolist() == [2, 4, 6, 8]
    assert tensors["priors.bonds.v0"].tolist() == [0] * 4
    assert tensors["priors.dihedrals.sin"].tolist() == [[11, 12, 13], [21, 22, 23]]
    assert tensors["priors.dihedrals.cos"].tolist() == [[-11, -12, -13], [-21, -22, -23]]
    assert tensors["priors.dihedrals.v0"].tolist() == [1, 2]


def test_a_tuple_the_table_was_not_made_for_is_zero_and_said(tmp_path: Path) -> None:
    prior = table("GeneralBonds", "bonds", BONDS, x_0=filled(BONDS), k=filled(BONDS))
    description, tensors = done(tmp_path, (sum_out(bonds=prior), [atomic_data([0, 1, 0], bonds=[(0, 1), (0, 2)])]))
    assert tensors["priors.bonds.types"].tolist()[-1] == [0, 0]
    assert tensors["priors.bonds.k"].tolist()[-1] == 0
    assert "'bonds' was not made for the types (0, 0)" in description["provenance"]["note"]


def test_a_missing_parameter_is_not_made_up(tmp_path: Path) -> None:
    tables = {"k1s": filled(DIHEDRALS, 3), "k2s": filled(DIHEDRALS, 3)}
    assert failed(tmp_path, sum_out(phi=table("Dihedral", "phi", DIHEDRALS, **tables))) == (
        "prior 'phi' has no parameter 'v0'"
    )


def specialised(terms: int, **kinds: str) -> Obj:
    parts = {}
    for name, cls in kinds.items():
        tensors = {"x0": random(terms), "k": random(terms), "V0": random(terms)}
        parts[name] = module(f"mlcg.simulation.specialize_prior.Static{cls}", tensors=tensors)
    return sum_out(**parts)


def test_specialised_rows_are_split_by_structure(tmp_path: Path) -> None:
    structures = [atomic_data([0, 1, 2], bonds=[(0, 1), (1, 2)]), atomic_data([2, 2], bonds=[(1, 0)])]
    description, tensors = done(tmp_path, (specialised(3, bonds="GeneralBonds"), structures))
    assert description["structures"] == [{"name": "structure-0", "atoms": 3}, {"name": "structure-1", "atoms": 2}]
    assert tensors["structures.types"].tolist() == [0, 1, 2, 2, 2]
    assert tensors["priors.bonds.atoms"].tolist() == [[0, 1], [1, 2], [1, 0]]
    assert tensors["priors.bonds.offsets"].tolist() == [0, 2, 3]
    assert (tensors["priors.bonds.x0"] == random(3)).all()
    assert [t["mass"] for t in description["types"]] == [12.0, 13.0, 14.0]


def test_specialised_priors_need_their_structures(tmp_path: Path) -> None:
    model = specialised(3, bonds="GeneralBonds")
    text = "prior 'bonds' (StaticGeneralBonds) has a row of parameters for every term"
    assert failed(tmp_path, model).startswith(text)
    structures = [atomic_data([0, 1, 2], bonds=[(0, 1), (1, 2)])]
    assert failed(tmp_path, (model, structures)) == (
        "prior 'bonds' has parameters for 3 terms, but its structures list 2"
    )
    save(tmp_path / "s.pt", [atomic_data([0, 1, 2, 0], bonds=[(0, 1), (1, 2), (2, 3)])])
    description, _ = done(tmp_path, model, terms=tmp_path / "s.pt")
    assert description["priors"][0]["count"] == 3


def test_impropers_jump_in_mlcg_and_are_periodic_here(tmp_path: Path) -> None:
    structures = [atomic_data([0, 1, 2, 0], impropers=[(0, 1, 2, 3)])]
    model = (specialised(1, impropers="ShiftedPeriodicHarmonicImpropers"), structures)
    assert "jumps where its angle leaves (-pi, pi]" in failed(tmp_path, model)
    description, tensors = done(tmp_path, model, periodic_impropers=True)
    assert description["priors"][0]["kind"] == "harmonic_improper"
    assert tensors["priors.impropers.x0"] == pytest.approx(random(1) + np.pi)
    assert "taken periodically" in description["provenance"]["note"]


def test_quartic_angles_in_radians_and_not_in_cosines(tmp_path: Path) -> None:
    keys = [(0, 1, 2)]
    tables = {"ks": filled(keys, 4), "v_0": filled(keys)}
    _, tensors = done(tmp_path, sum_out(angles=table("QuarticRawAngles", "angles", keys, **tables)))
    assert [tensors[f"priors.angles.{p}"].tolist() for p in ("a", "b", "c", "d", "v0")] == [[14], [13], [12], [11], [1]]
    text = failed(tmp_path, sum_out(angles=table("QuarticAngles", "angles", keys, **tables)))
    assert text.startswith("mlcg.nn.prior.QuarticAngles is not supported: of mlcg, StandardSchNet and the priors")


def test_structures_that_are_refused(tmp_path: Path) -> None:
    model = sum_out(bonds=table("GeneralBonds", "bonds", BONDS, x_0=filled(BONDS), k=filled(BONDS)))
    assert failed(tmp_path, (model, [atomic_data([0, 1], bonds=[(0, 2)])])) == (
        "structure 0: list 'bonds' names an atom that is not there"
    )
    assert failed(tmp_path, (model, [atomic_data([0, 5], bonds=[(0, 1)])])) == (
        "prior 'bonds': types (0, 5) are not in its table of 3 types"
    )
    excluding = atomic_data([0, 1], bonds=[(0, 1)])
    excluding.state["_store"].state["_mapping"]["exc_pair_index"] = np.zeros((2, 1), "<i8")
    both = sum_out(SchNet=network())
    assert "say with --excluded-bonds N" in failed(tmp_path, (both, [excluding]))
    assert done(tmp_path, (both, [excluding]), excluded_bonds=3)[0]["excluded_bonds"] == 3


def test_types_that_structures_use_cannot_be_left_out(tmp_path: Path) -> None:
    model = (sum_out(SchNet=network()), [atomic_data([0, 2])])
    assert failed(tmp_path, model, types="0,1") == "--types leaves out type 2, which structure 'structure-0' uses"
    description, tensors = done(tmp_path, model, types="0:CA,2:CB")
    assert [t["name"] for t in description["types"]] == ["CA", "CB"]
    assert (tensors["embedding"] == random(TYPES, F)[[0, 2]]).all()


def test_half_precision_weights_are_kept(tmp_path: Path) -> None:
    model = network()
    half = random(TYPES, F).astype("<f2")
    model.state["_modules"]["embedding_layer"].state["_buffers"]["weight"] = half
    assert (done(tmp_path, model)[1]["embedding"] == half).all()
    raw = (random(TYPES, F).view("<u4") >> 16).astype("<u2")
    model.state["_modules"]["embedding_layer"].state["_buffers"]["weight"] = raw
    assert (done(tmp_path, model)[1]["embedding"] == raw).all()


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = network()
    model.state["_modules"]["embedding_layer"].state["_buffers"]["weight"][0, 0] = np.nan
    assert failed(tmp_path, model) == "tensor embedding holds numbers that are not finite"
