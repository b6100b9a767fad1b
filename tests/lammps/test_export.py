"""Coarse-grained force fields: the network and its priors, all of it in LAMMPS."""

from __future__ import annotations

from pathlib import Path

import flashschnet
import numpy as np
import pytest
from ase import Atoms
from flashschnet.cli import main
from flashschnet.convert import convert, writer
from flashschnet.convert.model import Model, float_tensor, int_tensor
from flashschnet.lammps import ExportError, export
from host import Host, evaluate
from modelfile import parse, write_random
from systems import agree, expected

# A zigzag chain of five beads of two kinds, without any symmetry.
POSITIONS = np.array([[0, 0, 0], [1.4, 0.3, -0.2], [2.1, 1.6, 0.3], [3.6, 1.5, 0.9], [4.1, 2.9, 0.1]])
KINDS = np.array([1, 8, 1, 1, 8])
BONDS = [[0, 1], [1, 2], [2, 3], [3, 4]]
ANGLES = [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
DIHEDRALS = [[0, 1, 2, 3], [1, 2, 3, 4]]
FAR = [[0, 3], [0, 4], [1, 4]]

FORMS = {
    "harmonic_bond": (BONDS, {"k": 3.1, "x0": 1.3, "v0": 0.2}),
    "harmonic_angle_cos": (ANGLES, {"k": 2.3, "x0": -0.4, "v0": -0.1}),
    "harmonic_angle": (ANGLES, {"k": 2.3, "x0": 1.9, "v0": 0.1}),
    "quartic_angle": (ANGLES, {"a": 0.7, "b": -1.2, "c": 0.4, "d": 0.6, "v0": 0.3}),
    "restricted_bending": (ANGLES, {"k": 1.7, "x0": -0.3, "v0": 0.4}),
    "fourier_dihedral": (DIHEDRALS, {"sin": [0.3, -0.7, 0.0], "cos": [-0.2, 0.4, 0.0], "v0": 0.5}),
    # Far from where the dihedrals are, and across the seam at 180 degrees from one of them.
    "harmonic_improper": (DIHEDRALS, {"k": 0.9, "x0": 2.8, "v0": 0.6}),
    "repulsion": (FAR, {"sigma": 2.4}),
    "exponential_repulsion": (FAR, {"a": 3.0, "b": 0.8}),
}


def write_model(path: Path, kinds: list[str], **changes: object) -> Path:
    """The random network, and priors with parameters of their own for each term, or each pair of types."""
    description, tensors = parse(write_random(path).read_bytes())
    numbers = {
        name: (np.frombuffer(blob, {"F64": "<f8", "F32": "<f4"}[dtype]).reshape(shape))
        for name, (dtype, shape, blob) in tensors.items()
    }
    found = {name: float_tensor(values) for name, values in numbers.items()}
    found["structures.types"] = int_tensor(KINDS)
    priors = []
    for kind in kinds:
        terms, parameters = FORMS[kind]
        terms, parameters = changes.get("terms", terms), {**parameters, **changes.get("parameters", {})}
        prior = {"name": kind, "kind": kind, "lookup": "per_term", "terms": True, "count": len(terms)}
        if kind == "fourier_dihedral":
            prior["degrees"] = 3
        if kind in ("repulsion", "exponential_repulsion"):
            tuples = sorted({tuple(KINDS[list(term)]) for term in terms} | {tuple(KINDS[term[::-1]]) for term in terms})
            prior |= {"lookup": "per_type", "count": len(tuples)}
            found[f"priors.{kind}.types"] = int_tensor(np.array(tuples))
        for name, value in parameters.items():
            scale = 1.0 + 0.1 * np.arange(prior["count"])
            if prior["lookup"] == "per_type":  # the same both ways round
                scale = np.array([1.0 + 0.01 * (a + b) for a, b in tuples])
            found[f"priors.{kind}.{name}"] = float_tensor(np.multiply.outer(scale, np.array(value)))
        found[f"priors.{kind}.atoms"] = int_tensor(np.array(terms))
        found[f"priors.{kind}.offsets"] = int_tensor(np.array([0, len(terms)]))
        priors.append({**prior, **changes.get("prior", {})})
    model = Model("chain", ("Angstrom", "kcal/mol"), description["types"], description["network"], found,
                  priors=priors, structures=[{"name": "chain", "atoms": 5}])  # fmt: skip
    writer.write(model, {"framework": "test"}, path)
    return path


def chain() -> Atoms:
    atoms = Atoms(numbers=KINDS, positions=POSITIONS)
    atoms.set_array("types", KINDS)
    return atoms


def check(host: Host, model: Path, atoms: Atoms, ranks: int, units: str = "real", unit: float = 1.0) -> None:
    """An exported molecule against the library, which evaluates priors, too."""
    report = export(
        model, atoms, host.folder / "molecule", units=units, style="precision double", repulsion_cutoff=90.0
    )
    script = f"include {report.input}\n" + evaluate("case", units=units, bonded=True)
    found = host.run(script, ranks).evaluation("case")
    wanted = expected(model, atoms)
    wanted.energy -= report.constant / unit
    # Of each atom LAMMPS has the same shares: an equal part of each term. Their constants are spread otherwise.
    agree(found, wanted, 1e-10, units=units, unit=unit, names=("forces", "virial", "virials"))


@pytest.mark.parametrize("kind", FORMS)
def test_every_form(host: Host, kind: str) -> None:
    kinds = [kind] if kind == "harmonic_bond" else ["harmonic_bond", kind]
    check(host, write_model(host.folder / "model.safetensors", kinds), chain(), 1)


@pytest.mark.parametrize("ranks", [1, 2])
def test_all_forms_at_once(host: Host, ranks: int) -> None:
    unit = 4184.0 / 6.02214076e23 / 1.602176634e-19
    model = write_model(host.folder / "model.safetensors", list(FORMS))
    check(host, model, chain(), ranks, "metal", unit)


@pytest.mark.parametrize("ranks", [1, 2])
def test_chignolin(host: Host, shared: Path, ranks: int) -> None:
    """A model with its priors trained by others, against their own numbers: float32 parameters, float64 arithmetic."""
    reference = np.load(shared / "reference" / "cln_ca.npz")
    model = host.folder / "cln.safetensors"
    convert(shared / "models" / "cln_ca_mlcg.pt", model)
    script, constants = "", []
    for number in range(4):
        atoms = Atoms(numbers=np.zeros(10), positions=reference["positions"][number])
        atoms.set_array("types", reference["types"][number] if reference["types"].ndim == 2 else reference["types"])
        report = export(model, atoms, host.folder / f"cln{number}", style="precision double", mass=12.0,
                        repulsion_cutoff=90.0)  # fmt: skip
        script += f"clear\ninclude {report.input}\n" + evaluate(f"case{number}", units="real")
        constants.append(report.constant)
    output = host.run(script, ranks)
    for number, constant in enumerate(constants):
        found = output.evaluation(f"case{number}")
        assert found.energy + constant == pytest.approx(reference["energy"][number], rel=1e-9)
        size = np.abs(reference["forces"][number]).max()
        np.testing.assert_allclose(found.forces, reference["forces"][number], rtol=0, atol=1e-9 * size)


def test_many_replicas_in_one_box(host: Host) -> None:
    """LAMMPS copies the molecule with its bonds; far apart, copies know nothing of each other."""
    model = write_model(host.folder / "model.safetensors", list(FORMS))
    report = export(model, chain(), host.folder / "molecule", style="precision double", repulsion_cutoff=40.0)
    script = f"include {report.input}\n" + evaluate("one", units="real")
    script += "replicate 2 3 1\n" + evaluate("six", units="real")
    output = host.run(script, 2)
    assert output.evaluation("six").energy == pytest.approx(6 * output.evaluation("one").energy, rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "changes", "text"),
    [
        ("harmonic_angle_cos", {"parameters": {"x0": -1.2}},
         "prior harmonic_angle_cos: LAMMPS has no form for an equilibrium cosine beyond 1, -1.2"),
        ("repulsion", {"terms": [[0, 4]]},
         "prior repulsion: its pairs are not all those more than 0, 1, 2 or 3 bonds apart, and special_bonds can say "
         "nothing else"),
        ("harmonic_bond", {"prior": {"cutoff": 3.0}}, "prior harmonic_bond: LAMMPS has no bonded style with a cutoff"),
    ],
)  # fmt: skip
def test_what_has_no_form(tmp_path: Path, kind: str, changes: dict, text: str) -> None:
    model = write_model(tmp_path / "model.safetensors", [kind], **changes)
    with pytest.raises(ExportError) as error:
        export(model, chain(), tmp_path / "molecule")
    assert str(error.value) == text
    assert not (tmp_path / "molecule.data").exists()


def test_molecules_and_masses_that_are_missing(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model.safetensors", ["harmonic_bond"])
    other = chain()[[1, 0, 2, 3, 4]]
    with pytest.raises(ExportError, match="no molecule of the model file has the types of these atoms; it has chain"):
        export(model, other, tmp_path / "molecule")
    with pytest.raises(ExportError, match="no molecule of the model file called 'rope' has the types"):
        export(model, chain(), tmp_path / "molecule", topology="rope")
    unknown = chain()
    unknown.arrays["types"][0] = 77
    with pytest.raises(ExportError, match="has no type 77"):
        export(model, unknown, tmp_path / "molecule")
    with pytest.raises(ExportError, match="units are 'lj', can be metal or real"):
        export(model, chain(), tmp_path / "molecule", units="lj")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_model(tmp_path / "model.safetensors", list(FORMS))
    atoms = chain()
    atoms.set_array("masses", np.full(5, 12.0))
    atoms.write(tmp_path / "chain.extxyz", columns=["symbols", "positions", "types", "masses"])
    words = ["export-lammps", str(model), str(tmp_path / "chain.extxyz"), str(tmp_path / "out"), "--units", "metal"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "prior repulsion has no cutoff; in LAMMPS it ends at" in said
    assert f"wrote {tmp_path / 'out.data'} and {tmp_path / 'out.in'}" in said
    assert "units metal" in (tmp_path / "out.in").read_text()
    assert main(["export-lammps", "nowhere.safetensors", *words[2:]]) == 1
    assert "nowhere.safetensors" in capsys.readouterr().err
    assert main(["export-lammps", str(model), "nowhere.xyz", str(tmp_path / "out")]) == 1
    assert "nowhere.xyz" in capsys.readouterr().err
    assert flashschnet.Model(model).priors == tuple(FORMS)
