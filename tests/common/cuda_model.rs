//! A model of the size that people use, with random weights.

use std::sync::Arc;

use fastrand::Rng;
use flashschnet::model::Model;
use serde_json::json;

use super::model_file::ModelFile;
use super::random_tensors::RandomTensors;

/// A coarse-grained model: `width` features and filters, exponential-normal functions up to 20 Å, two types.
pub fn usual_model(width: usize, blocks: usize) -> Arc<Model> {
    let network = json!({
        "cutoff": 20.0, "features": width, "filters": width, "blocks": blocks, "activation": "tanh",
        "basis": {"kind": "exponential_normal", "size": width, "alpha": 0.25},
        "basis_envelope": {"kind": "cosine"}, "filter_envelope": {"kind": "cosine"},
        "filter_network": {"hidden": [width], "bias": [true, false]},
        "readout": {"hidden": [width, width / 2], "bias": [true, true, false]},
    });
    let mut rng = Rng::with_seed(1);
    let mut tensors = RandomTensors::new(&mut rng);
    tensors.fill(&network, 2);
    let file = ModelFile {
        description: json!({
            "format_version": 1,
            "units": {"length": "Angstrom", "energy": "kcal/mol"},
            "types": [
                {"index": 1, "name": "A", "atomic_number": null, "mass": 12.0},
                {"index": 2, "name": "B", "atomic_number": null, "mass": 14.0},
            ],
            "network": network,
        }),
        tensors: tensors.all,
    };
    Arc::new(Model::from_bytes("usual", &file.bytes()).expect("a valid model"))
}
