//! A model of the size that people use, with random weights.

use std::sync::Arc;

use fastrand::Rng;
use flashschnet::model::Model;
use serde_json::json;

use super::model_file::{ModelFile, Tensor};
use super::random_tensors::{RandomTensors, uniform};

/// A coarse-grained model: `width` features and filters, exponential-normal functions up to 20 Å, two types.
pub fn usual_model(width: usize, blocks: usize) -> Arc<Model> {
    scaled_model(width, blocks, 1.0)
}

/// The same with messages `factor` times as large, and layers after them that undo it: nothing else is another size.
pub fn scaled_model(width: usize, blocks: usize, factor: f64) -> Arc<Model> {
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
    if factor != 1.0 {
        let mut rng = Rng::with_seed(2);
        for block in 0..blocks {
            for (layer, factor) in [("in2f", factor), ("f2out", 1.0 / factor)] {
                let size = factor * (3.0 / width as f64).sqrt();
                let weights = (0..width * width).map(|_| uniform(&mut rng, -size, size));
                let name = format!("blocks.{block}.{layer}.weight");
                let weights: Vec<f64> = weights.collect();
                let tensor = Tensor::floats("F64", &[width, width], &weights);
                tensors.all.insert(name, tensor);
            }
        }
    }
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
