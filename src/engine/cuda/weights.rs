//! The weights of a network in one array, and the constants that say where in it they are.

use std::fmt::Write;

use super::source::padded;
use crate::model::{Dense, Network};

/// Numbers, and the declarations that kernels find them by.
pub(super) struct Packed {
    pub numbers: Vec<f64>,
    pub declarations: String,
}

/// Distance of rows, in numbers.
#[derive(Clone, Copy)]
pub(super) struct Padding(pub usize);

impl Padding {
    fn of(self, width: usize) -> usize {
        padded(width, self.0)
    }
}

/// Lays out everything that does not depend on the system.
pub(super) fn pack(network: &Network, padding: Padding) -> Packed {
    let mut numbers = Vec::new();
    let mut declarations = String::new();
    for block in &network.blocks {
        let mut part = Vec::new();
        // The same for every block; written down once.
        let mut text = String::new();
        for (name, layer) in [
            ("In2f", &block.in2f),
            ("F2out", &block.f2out),
            ("Mix", &block.dense),
        ] {
            let place = affine(&mut part, layer, true, padding);
            let _ = writeln!(text, "using {name} = Affine<{place}>;");
        }
        for (number, layer) in block.filter.iter().enumerate() {
            let place = affine(&mut part, layer, false, padding);
            let _ = writeln!(
                text,
                "template <> struct FilterLayer<{number}> : Affine<{place}> {{}};"
            );
        }
        let _ = writeln!(text, "constexpr int BLOCK_WEIGHTS = {};", part.len());
        declarations = text;
        numbers.extend(part);
    }
    let mut column = 0;
    for (number, layer) in network.readout.iter().enumerate() {
        let place = affine(&mut numbers, layer, true, padding);
        let _ = writeln!(
            declarations,
            "template <> struct ReadoutLayer<{number}> : Affine<{place}> {{ static constexpr int COLUMN = {column}; }};"
        );
        column += padding.of(layer.outputs);
    }
    let features = network.description.features;
    let types = network.embedding.len() / features;
    let _ = writeln!(declarations, "constexpr int EMBEDDING = {};", numbers.len());
    for embedding in network.embedding.chunks_exact(features) {
        padded_row(&mut numbers, embedding.iter().copied(), padding);
    }
    let _ = writeln!(declarations, "constexpr int FIRST_Y = {};", numbers.len());
    for kind in 0..types {
        let x = &network.embedding[kind * features..][..features];
        let in2f = &network.blocks[0].in2f;
        let y = in2f
            .weight
            .chunks_exact(in2f.inputs)
            .map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum());
        padded_row(&mut numbers, y, padding);
    }
    Packed {
        numbers,
        declarations,
    }
}

/// Appends a layer; returns what `Affine` is to be told of it.
fn affine(numbers: &mut Vec<f64>, layer: &Dense, transposed: bool, padding: Padding) -> String {
    let (inputs, outputs) = (layer.inputs, layer.outputs);
    let mut matrix = |rows: usize, columns: usize, at: &dyn Fn(usize, usize) -> f64| -> usize {
        let start = numbers.len();
        for row in 0..rows {
            padded_row(numbers, (0..columns).map(|column| at(row, column)), padding);
        }
        // Kernels take four rows at a time.
        let missing = rows.next_multiple_of(4) - rows;
        numbers.resize(numbers.len() + missing * padding.of(columns), 0.0);
        start
    };
    let weight = matrix(inputs, outputs, &|k, n| layer.weight[n * inputs + k]);
    let transposed = if transposed {
        matrix(outputs, inputs, &|n, k| layer.weight[n * inputs + k]) as i64
    } else {
        -1
    };
    let bias = layer.bias.as_ref().map_or(-1, |bias| {
        let start = numbers.len() as i64;
        padded_row(numbers, bias.iter().copied(), padding);
        start
    });
    format!("{inputs}, {outputs}, {weight}, {transposed}, {bias}")
}

fn padded_row(numbers: &mut Vec<f64>, row: impl Iterator<Item = f64>, padding: Padding) {
    numbers.extend(row);
    numbers.resize(padding.of(numbers.len()), 0.0);
}
