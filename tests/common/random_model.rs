//! Random model files over every variant of `docs/model-format.md`, small enough to compute hundreds of them.

use std::sync::Arc;

use fastrand::Rng;
use flashschnet::model::Model;
use serde_json::{Value, json};

use super::model_file::ModelFile;
use super::random_tensors::{RandomTensors, choice, uniform};

/// Type indices of every random model: not in order and with gaps, as callers' integers are.
pub const TYPES: [i32; 3] = [8, 1, 40];

/// A random model and the distances at which its filters are not smooth.
pub struct RandomModel {
    pub file: ModelFile,
    pub model: Arc<Model>,
    /// The network's cutoff, the envelopes' and where they begin.
    pub kinks: Vec<f64>,
}

impl RandomModel {
    /// The network of number `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, |_| ())
    }

    /// The network of number `seed` with fields of the description's `network` set as the test needs them; only fields
    /// that no tensor's shape depends on.
    pub fn with(seed: u64, adjust: impl FnOnce(&mut Value)) -> Self {
        let mut file = random_file(&mut Rng::with_seed(seed));
        adjust(&mut file.description["network"]);
        let model = Model::from_bytes("random", &file.bytes()).expect("a valid model");
        let kinks = kinks(&file.description["network"]);
        Self {
            file,
            model: Arc::new(model),
            kinks,
        }
    }

    /// The network's cutoff.
    pub fn cutoff(&self) -> f64 {
        self.kinks[0]
    }

    /// A field of the network's description.
    pub fn network(&self, field: &str) -> &Value {
        &self.file.description["network"][field]
    }
}

/// A random network.
pub fn random_file(rng: &mut Rng) -> ModelFile {
    let (features, filters) = (rng.usize(2..6), rng.usize(2..6));
    let (blocks, size) = (rng.usize(1..4), rng.usize(2..6));
    let shared = rng.bool();
    let cutoff = uniform(rng, 2.5, 3.5);
    let filter_hidden = widths(rng, 1..4);
    let readout_hidden = widths(rng, 0..4);
    let filter_bias = flags(rng, filter_hidden.len() + 1);
    let readout_bias = flags(rng, readout_hidden.len() + 1);
    let (basis_envelope, filter_envelope) = (envelope(rng, cutoff), envelope(rng, cutoff));
    let reference = rng.bool();
    let mut network = json!({
        "cutoff": cutoff, "features": features, "filters": filters, "blocks": blocks,
        "activation": activation(rng), "basis": basis(rng, size),
        "basis_envelope": basis_envelope, "filter_envelope": filter_envelope,
        "filter_network": {"hidden": filter_hidden, "bias": filter_bias},
        "readout": {"hidden": readout_hidden, "bias": readout_bias},
        "aggregation": choice(rng, &["sum", "mean"]),
        "energy_aggregation": choice(rng, &["sum", "mean"]),
        "scale": uniform(rng, 0.5, 2.0), "shift": uniform(rng, -1.0, 1.0),
        "reference_energies": reference,
    });
    // Defaults are left out half of the time, so that the reader's are used.
    if shared || rng.bool() {
        network["shared_blocks"] = shared.into();
    }
    if rng.bool() {
        network["readout"]["activation"] = activation(rng).into();
    }
    let mut tensors = RandomTensors::new(rng);
    tensors.fill(&network, TYPES.len());
    let types: Vec<Value> = TYPES
        .iter()
        .map(|index| json!({"index": index, "name": format!("T{index}"), "atomic_number": index, "mass": 1.5}))
        .collect();
    ModelFile {
        description: json!({
            "format_version": 1,
            "units": {"length": "Angstrom", "energy": "eV"},
            "types": types,
            "network": network,
        }),
        tensors: tensors.all,
    }
}

/// Adds two molecules and one prior of every kind, with parameters by type and by term in turn.
pub fn add_priors(file: &mut ModelFile, rng: &mut Rng) {
    const KINDS: [(&str, usize, &[&str]); 9] = [
        ("harmonic_bond", 2, &["k", "x0", "v0"]),
        ("harmonic_angle_cos", 3, &["k", "x0", "v0"]),
        ("harmonic_angle", 3, &["k", "x0", "v0"]),
        ("quartic_angle", 3, &["a", "b", "c", "d", "v0"]),
        ("restricted_bending", 3, &["k", "x0", "v0"]),
        ("fourier_dihedral", 4, &["v0"]),
        ("harmonic_improper", 4, &["k", "x0", "v0"]),
        ("repulsion", 2, &["sigma"]),
        ("exponential_repulsion", 2, &["a", "b"]),
    ];
    let [first, second] = [5, 4];
    file.description["structures"] =
        json!([{"name": "a", "atoms": first}, {"name": "b", "atoms": second}]);
    let mut tensors = RandomTensors::new(rng);
    tensors.all = std::mem::take(&mut file.tensors);
    let types: Vec<i64> = (0..first + second)
        .map(|atom| TYPES[atom % 3].into())
        .collect();
    tensors.integers("structures.types", &[types.len()], &types);
    let mut priors = Vec::new();
    for (number, (kind, atoms, parameters)) in KINDS.into_iter().enumerate() {
        let name = format!("{kind}-{number}");
        let at = |part: &str| format!("priors.{name}.{part}");
        let (per_type, degrees) = (number % 2 == 0, 2 * usize::from(number == 5));
        let count = 2;
        for parameter in parameters {
            tensors.vector(&at(parameter), count, 0.1, 2.0);
        }
        for series in ["sin", "cos"].iter().filter(|_| degrees > 0) {
            tensors.matrix(&at(series), count, degrees, 1.0);
        }
        if per_type {
            let tuples: Vec<i64> = (0..count * atoms)
                .map(|at| TYPES[(at / atoms + at % atoms) % 3].into())
                .collect();
            tensors.integers(&at("types"), &[count, atoms], &tuples);
        }
        // One term in either molecule.
        let terms: Vec<i64> = (0..2 * atoms).map(|at| (at % atoms) as i64).collect();
        tensors.integers(&at("atoms"), &[2, atoms], &terms);
        tensors.integers(&at("offsets"), &[3], &[0, 1, 2]);
        let mut prior = json!({
            "name": name, "kind": kind, "terms": true, "count": count, "degrees": degrees,
            "lookup": if per_type { "per_type" } else { "per_term" },
        });
        if atoms == 2 {
            prior["cutoff"] = 4.5.into();
        }
        priors.push(prior);
    }
    file.description["priors"] = priors.into();
    file.tensors = tensors.all;
}

fn kinks(network: &Value) -> Vec<f64> {
    let cutoff = network["cutoff"].as_f64().expect("a cutoff");
    let mut kinks = vec![cutoff];
    for envelope in [&network["basis_envelope"], &network["filter_envelope"]] {
        let end = envelope["cutoff"].as_f64().unwrap_or(cutoff);
        kinks.push(end);
        kinks.extend(envelope["lower"].as_f64());
        kinks.extend(envelope["width"].as_f64().map(|width| end - width));
    }
    kinks
}

fn basis(rng: &mut Rng, size: usize) -> Value {
    match rng.u8(0..3) {
        0 => json!({"kind": "gaussian", "size": size}),
        1 => {
            let alpha = uniform(rng, 0.5, 1.5);
            let mut basis = json!({"kind": "exponential_normal", "size": size, "alpha": alpha});
            if rng.bool() {
                basis["start"] = uniform(rng, -0.5, 0.5).into();
            }
            basis
        }
        _ => json!({"kind": "bessel", "size": size}),
    }
}

fn envelope(rng: &mut Rng, cutoff: f64) -> Value {
    let end = if rng.bool() {
        cutoff
    } else {
        uniform(rng, 2.0, cutoff)
    };
    let mut envelope = match rng.u8(0..5) {
        0 => return json!({"kind": "none"}),
        1 => json!({"kind": "cosine"}),
        2 => json!({"kind": "cosine", "lower": uniform(rng, 0.2, 1.0)}),
        3 => json!({"kind": "shifted_cosine", "width": uniform(rng, 0.5, end)}),
        _ => json!({"kind": "mollifier"}),
    };
    if end < cutoff {
        envelope["cutoff"] = end.into();
    }
    envelope
}

fn activation(rng: &mut Rng) -> &'static str {
    choice(rng, &["shifted_softplus", "tanh", "silu"])
}

fn widths(rng: &mut Rng, count: std::ops::Range<usize>) -> Vec<usize> {
    let count = rng.usize(count);
    (0..count).map(|_| rng.usize(1..6)).collect()
}

fn flags(rng: &mut Rng, count: usize) -> Vec<bool> {
    (0..count).map(|_| rng.bool()).collect()
}
