//! Random tensors for a description.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::Value;

use super::model_file::Tensor;

/// Tensors of random numbers; every one has a type of its own.
pub struct RandomTensors<'a> {
    pub all: BTreeMap<String, Tensor>,
    rng: &'a mut Rng,
}

impl<'a> RandomTensors<'a> {
    pub fn new(rng: &'a mut Rng) -> Self {
        Self {
            all: BTreeMap::new(),
            rng,
        }
    }

    pub fn vector(&mut self, name: &str, length: usize, from: f64, to: f64) {
        self.floats(name, &[length], from, to);
    }

    pub fn matrix(&mut self, name: &str, rows: usize, columns: usize, size: f64) {
        self.floats(name, &[rows, columns], -size, size);
    }

    pub fn floats(&mut self, name: &str, shape: &[usize], from: f64, to: f64) {
        let count = shape.iter().product();
        let values: Vec<f64> = (0..count).map(|_| uniform(self.rng, from, to)).collect();
        let dtype = choice(self.rng, &["F64", "F32", "F16", "BF16"]);
        self.all
            .insert(name.into(), Tensor::floats(dtype, shape, &values));
    }

    pub fn integers(&mut self, name: &str, shape: &[usize], values: &[i64]) {
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

    /// Every tensor that a description of a network asks for.
    pub fn fill(&mut self, network: &Value, types: usize) {
        let number = |value: &Value| value.as_u64().expect("a number") as usize;
        let hidden = |mlp: &Value| -> Vec<usize> {
            let widths = mlp["hidden"].as_array().expect("widths");
            widths.iter().map(number).collect()
        };
        let bias = |mlp: &Value| -> Vec<bool> {
            let flags = mlp["bias"].as_array().expect("flags");
            flags.iter().map(|flag| flag == true).collect()
        };
        let (features, filters) = (number(&network["features"]), number(&network["filters"]));
        let size = number(&network["basis"]["size"]);
        match network["basis"]["kind"].as_str() {
            Some("gaussian") => {
                self.vector("basis.centers", size, 0.0, 3.5);
                self.vector("basis.widths", size, 0.3, 1.0);
            }
            Some("exponential_normal") => {
                self.vector("basis.means", size, 0.0, 1.0);
                self.vector("basis.betas", size, 0.5, 10.0);
            }
            _ => self.vector("basis.frequencies", size, 0.5, 4.0),
        }
        self.matrix("embedding", types, features, 1.0);
        let shared = network["shared_blocks"] == true;
        for block in 0..if shared {
            1
        } else {
            number(&network["blocks"])
        } {
            let at = |part: &str| format!("blocks.{block}.{part}");
            let layers = &network["filter_network"];
            self.dense(&at("in2f"), filters, features, false);
            self.mlp(&at("filter"), size, &hidden(layers), filters, &bias(layers));
            self.dense(&at("f2out"), features, filters, true);
            self.dense(&at("dense"), features, features, true);
        }
        let readout = &network["readout"];
        self.mlp("readout", features, &hidden(readout), 1, &bias(readout));
        if network["reference_energies"] == true {
            self.vector("reference_energies", types, -1.0, 1.0);
        }
    }
}

/// One of these.
pub fn choice<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

/// A number from a range.
pub fn uniform(rng: &mut Rng, from: f64, to: f64) -> f64 {
    from + (to - from) * rng.f64()
}
