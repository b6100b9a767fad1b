//! Weights of filter networks as tensor cores take them: float16, every lane's numbers side by side.

use std::fmt::Write;

use half::f16;

use crate::model::{Dense, Network};

/// Rows and columns of a tile.
pub(super) const TILE: usize = 16;
/// Layers whose hidden values and sums a warp can hold in its registers are no wider.
const WIDEST: usize = 128;
/// The largest weight of a layer is brought below two to this, so that remainders of remainders are still normal numbers.
const EXPONENT: i32 = 9;

/// Weights of all blocks, and the declarations that kernels find them by.
#[derive(Default)]
pub(super) struct Fragments {
    pub numbers: Vec<u32>,
    /// What undoes the scale of each layer.
    pub scales: Vec<f64>,
    pub declarations: String,
}

/// No input of a layer is larger than this, with a margin for what is between samples: float16 ends at 65504, and kernels multiply
/// inputs by 16.
const LARGEST: f64 = 1024.0;
/// Distances at which that is looked at.
const SAMPLES: usize = 128;

/// Whether kernels/tensor.cu has a place for the filter network: two layers, not too wide, nothing too large in them.
pub(super) fn fits(network: &Network) -> bool {
    let filter = &network.blocks[0].filter;
    let narrow = filter.len() == 2 && filter.iter().all(|layer| layer.outputs <= WIDEST);
    narrow && largest_input(network) <= LARGEST
}

/// A bound on basis functions, hidden values and derivatives of both, at some distances.
fn largest_input(network: &Network) -> f64 {
    let description = &network.description;
    let mut largest: f64 = 0.0;
    let mut inputs = vec![(0.0, 0.0); network.basis.size()];
    for sample in 0..SAMPLES {
        let r = description.cutoff * (sample as f64 + 0.5) / SAMPLES as f64;
        let (f, df) = description.basis_envelope.evaluate(r, description.cutoff);
        network.basis.evaluate(r, |k, value, slope| {
            inputs[k] = ((value * f).abs(), (slope * f + value * df).abs());
        });
        largest = inputs.iter().fold(largest, |a, x| a.max(x.0).max(x.1));
        for block in &network.blocks {
            let layer = &block.filter[0];
            for (output, weights) in layer.weight.chunks_exact(layer.inputs).enumerate() {
                let bias = layer.bias.as_ref().map_or(0.0, |bias| bias[output].abs());
                let products = weights.iter().zip(&inputs);
                let (value, slope) = products.fold((bias, 0.0), |sum, (w, x)| {
                    (sum.0 + w.abs() * x.0, sum.1 + w.abs() * x.1)
                });
                largest = largest.max(value).max(slope);
            }
        }
    }
    largest
}

impl Fragments {
    /// Of the filter networks of a network that [`fits`].
    pub fn new(network: &Network) -> Self {
        let mut all = Self::default();
        for block in &network.blocks {
            let before = all.numbers.len();
            // The same for every block; written down once.
            all.declarations = String::from("template <int> struct FilterMatrix;\n");
            for (number, layer) in block.filter.iter().enumerate() {
                let first = all.numbers.len() - before;
                let last = number + 1 == block.filter.len();
                let length = all.add(layer, last);
                let (steps, columns) = sizes(layer);
                // By fours, as kernels read them.
                let _ = writeln!(
                    all.declarations,
                    "template <> struct FilterMatrix<{number}> {{ static constexpr int STEPS = {steps}, COLUMNS = {columns}, \
                     HIGH = {}, LOW = {}; }};",
                    first / 4,
                    (first + length) / 4
                );
            }
            let length = (all.numbers.len() - before) / 4;
            let _ = writeln!(
                all.declarations,
                "constexpr int BLOCK_FRAGMENTS = {length};"
            );
        }
        all
    }

    /// Appends a layer's rounded weights and then what rounding lost; returns how many numbers each of these is.
    fn add(&mut self, layer: &Dense, last: bool) -> usize {
        let scale = scale_of(&layer.weight);
        self.scales.push(1.0 / scale);
        let weight = |k: usize, n: usize| {
            if k < layer.inputs && n < layer.outputs {
                layer.weight[n * layer.inputs + k] * scale
            } else {
                0.0
            }
        };
        let begin = self.numbers.len();
        for remainder in [false, true] {
            let (steps, columns) = sizes(layer);
            for (step, pair, lane) in places(steps, columns / TILE) {
                for half in 0..2 {
                    let column = column(pair, half, lane / 4, last);
                    for upper in [0, 8] {
                        let row = TILE * step + upper + 2 * (lane % 4);
                        let pair = [row, row + 1].map(|row| weight(row, column));
                        self.numbers.push(halves(pair, remainder));
                    }
                }
            }
        }
        (self.numbers.len() - begin) / 2
    }
}

/// The power of two that a layer's weights are multiplied by.
pub(super) fn scale_of(weights: &[f64]) -> f64 {
    let largest = weights.iter().fold(0.0, |a, x| f64::max(a, x.abs()));
    if largest > 0.0 {
        f64::from(EXPONENT - 1 - largest.log2().floor() as i32).exp2()
    } else {
        1.0
    }
}

/// Two numbers rounded, the first in the lower half, or what rounding lost.
pub(super) fn halves(pair: [f64; 2], remainder: bool) -> u32 {
    let [low, high] = pair.map(|x| {
        let rounded = f16::from_f64(x);
        let rest = f16::from_f64(x - rounded.to_f64());
        u32::from(if remainder { rest } else { rounded }.to_bits())
    });
    high << 16 | low
}

/// Tiles of inputs, and columns of outputs.
fn sizes(layer: &Dense) -> (usize, usize) {
    (
        layer.inputs.div_ceil(TILE),
        layer.outputs.next_multiple_of(TILE),
    )
}

/// Tiles of inputs, pairs of 8 outputs, lanes.
fn places(steps: usize, pairs: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..steps * pairs * 32).map(move |at| (at / 32 / pairs, at / 32 % pairs, at % 32))
}

/// The output in column `n` of a pair's first or second 8. Those of the last layer are in such an order that a lane gets four
/// neighbours.
fn column(pair: usize, half: usize, n: usize, last: bool) -> usize {
    TILE * pair
        + if last {
            4 * (n / 2) + 2 * half + n % 2
        } else {
            8 * half + n
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_make_a_weight() {
        let layer = Dense {
            outputs: 5,
            inputs: 3,
            weight: (0..15).map(|at| 1e-5 * f64::from(at + 1).sin()).collect(),
            bias: None,
        };
        for last in [false, true] {
            let mut all = Fragments::default();
            let length = all.add(&layer, last);
            assert_eq!(length, 32 * 4);
            for lane in 0..32 {
                for half in 0..2 {
                    let column = column(0, half, lane / 4, last);
                    let at = 4 * lane + 2 * half;
                    let bits = |at: usize| f16::from_bits(all.numbers[at] as u16).to_f64();
                    let found = (bits(at) + bits(length + at)) * all.scales[0];
                    let row = 2 * (lane % 4);
                    let expected = if row < 3 && column < 5 {
                        layer.weight[column * 3 + row]
                    } else {
                        0.0
                    };
                    assert!((found - expected).abs() <= 1e-5 * 2f64.powi(-21), "{lane}");
                }
            }
        }
    }
}
