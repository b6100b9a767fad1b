//! Random model files over every variant of `docs/model-format.md`, small enough to compute hundreds of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use flashschnet::model::Model;
use serde_json::{Value, json};

use super::model_file::{ModelFile, Tensor};

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
    let mut tensors = Tensors::new(rng);
    let rng = &mut *tensors.rng;
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
        "activation": activation(rng),
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
    network["basis"] = basis(&mut tensors, size, cutoff);

    tensors.matrix("embedding", TYPES.len(), features, 1.0);
    for block in 0..if shared { 1 } else { blocks } {
        let at = |part: &str| format!("blocks.{block}.{part}");
        tensors.dense(&at("in2f"), filters, features, false);
        tensors.mlp(&at("filter"), size, &filter_hidden, filters, &filter_bias);
        tensors.dense(&at("f2out"), features, filters, true);
        tensors.dense(&at("dense"), features, features, true);
    }
    tensors.mlp("readout", features, &readout_hidden, 1, &readout_bias);
    if reference {
        tensors.vector("reference_energies", TYPES.len(), -1.0, 1.0);
    }
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
    let mut tensors = Tensors {
        all: std::mem::take(&mut file.tensors),
        rng,
    };
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

fn basis(tensors: &mut Tensors, size: usize, cutoff: f64) -> Value {
    match tensors.rng.u8(0..3) {
        0 => {
            tensors.vector("basis.centers", size, 0.0, cutoff);
            tensors.vector("basis.widths", size, 0.3, 1.0);
            json!({"kind": "gaussian", "size": size})
        }
        1 => {
            tensors.vector("basis.means", size, 0.0, 1.0);
            tensors.vector("basis.betas", size, 0.5, 10.0);
            let mut basis = json!({"kind": "exponential_normal", "size": size, "alpha": uniform(tensors.rng, 0.5, 1.5)});
            if tensors.rng.bool() {
                basis["start"] = uniform(tensors.rng, -0.5, 0.5).into();
            }
            basis
        }
        _ => {
            tensors.vector("basis.frequencies", size, 0.5, 4.0);
            json!({"kind": "bessel", "size": size})
        }
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

fn choice<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

fn widths(rng: &mut Rng, count: std::ops::Range<usize>) -> Vec<usize> {
    let count = rng.usize(count);
    (0..count).map(|_| rng.usize(1..6)).collect()
}

fn flags(rng: &mut Rng, count: usize) -> Vec<bool> {
    (0..count).map(|_| rng.bool()).collect()
}

fn uniform(rng: &mut Rng, from: f64, to: f64) -> f64 {
    from + (to - from) * rng.f64()
}

/// Tensors of random numbers; every one has a type of its own.
struct Tensors<'a> {
    all: BTreeMap<String, Tensor>,
    rng: &'a mut Rng,
}

impl<'a> Tensors<'a> {
    fn new(rng: &'a mut Rng) -> Self {
        Self {
            all: BTreeMap::new(),
            rng,
        }
    }

    fn vector(&mut self, name: &str, length: usize, from: f64, to: f64) {
        self.floats(name, &[length], from, to);
    }

    fn matrix(&mut self, name: &str, rows: usize, columns: usize, size: f64) {
        self.floats(name, &[rows, columns], -size, size);
    }

    fn floats(&mut self, name: &str, shape: &[usize], from: f64, to: f64) {
        let count = shape.iter().product();
        let values: Vec<f64> = (0..count).map(|_| uniform(self.rng, from, to)).collect();
        let dtype = choice(self.rng, &["F64", "F32", "F16", "BF16"]);
        self.all
            .insert(name.into(), Tensor::floats(dtype, shape, &values));
    }

    fn integers(&mut self, name: &str, shape: &[usize], values: &[i64]) {
        self.all
            .insert(name.into(), Tensor::integers(shape, values));
    }

    fn dense(&mut self, name: &str, outputs: usize, inputs: usize, bias: bool) {
        // Outputs of the size of the inputs, so that deep networks neither fade nor saturate.
        let size = (3.0 / inputs as f64).sqrt();
        self.matrix(&format!("{name}.weight"), outputs, inputs, size);
        if bias {
            self.vector(&format!("{name}.bias"), outputs, -0.5, 0.5);
        }
    }

    fn mlp(&mut self, name: &str, inputs: usize, hidden: &[usize], outputs: usize, bias: &[bool]) {
        let mut inputs = inputs;
        for (layer, (&width, &bias)) in hidden.iter().chain([&outputs]).zip(bias).enumerate() {
            self.dense(&format!("{name}.{layer}"), width, inputs, bias);
            inputs = width;
        }
    }
}
