//! One small model that never changes, with something of everything a file can hold.

use fastrand::Rng;
use flashschnet::model::Model;
use serde_json::json;

use super::model_file::{ModelFile, Tensor};
use super::random_tensors::RandomTensors;

/// Hydrogen and oxygen, two blocks; one molecule, a prior by types and one by terms.
pub fn small_model() -> ModelFile {
    let mut file = small_network();
    file.description["structures"] = json!([{"name": "water", "atoms": 3}]);
    file.description["priors"] = json!([
        {"name": "bonds", "kind": "harmonic_bond", "lookup": "per_type", "terms": true, "count": 2, "cutoff": 2.0},
        {"name": "turns", "kind": "harmonic_angle", "lookup": "per_term", "terms": true, "count": 1},
    ]);
    let floats = |shape: &[usize], values: &[f64]| Tensor::floats("F64", shape, values);
    for (name, tensor) in [
        ("structures.types", Tensor::integers(&[3], &[8, 1, 1])),
        ("priors.bonds.k", floats(&[2], &[1.0, 2.0])),
        ("priors.bonds.x0", floats(&[2], &[1.0, 1.0])),
        ("priors.bonds.v0", floats(&[2], &[0.0, 0.0])),
        (
            "priors.bonds.types",
            Tensor::integers(&[2, 2], &[8, 1, 1, 8]),
        ),
        (
            "priors.bonds.atoms",
            Tensor::integers(&[2, 2], &[0, 1, 0, 2]),
        ),
        ("priors.bonds.offsets", Tensor::integers(&[2], &[0, 2])),
        ("priors.turns.k", floats(&[1], &[1.0])),
        ("priors.turns.x0", floats(&[1], &[1.8])),
        ("priors.turns.v0", floats(&[1], &[0.0])),
        ("priors.turns.atoms", Tensor::integers(&[1, 3], &[1, 0, 2])),
        ("priors.turns.offsets", Tensor::integers(&[2], &[0, 1])),
    ] {
        file.tensors.insert(name.into(), tensor);
    }
    file
}

/// The same without molecules and priors.
pub fn small_network() -> ModelFile {
    let network = json!({
        "cutoff": 3.0, "features": 2, "filters": 3, "blocks": 2, "activation": "shifted_softplus",
        "basis": {"kind": "gaussian", "size": 4},
        "basis_envelope": {"kind": "none"}, "filter_envelope": {"kind": "cosine"},
        "filter_network": {"hidden": [3], "bias": [true, false]},
        "readout": {"hidden": [2], "bias": [true, true]},
        "reference_energies": true,
    });
    let mut rng = Rng::with_seed(1);
    let mut tensors = RandomTensors::new(&mut rng);
    tensors.fill(&network, 2);
    ModelFile {
        description: json!({
            "format_version": 1,
            "units": {"length": "Angstrom", "energy": "eV"},
            "types": [
                {"index": 1, "name": "H", "atomic_number": 1, "mass": 1.008},
                {"index": 8, "name": "O", "atomic_number": 8, "mass": 15.999},
            ],
            "network": network,
        }),
        tensors: tensors.all,
    }
}

/// Why these bytes are no model, without the file's name, which must be there.
pub fn refused(bytes: &[u8]) -> String {
    let text = Model::from_bytes("water", bytes).unwrap_err().to_string();
    let rest = text.strip_prefix("water: ");
    rest.unwrap_or_else(|| panic!("{text:?} does not name the file"))
        .to_owned()
}
