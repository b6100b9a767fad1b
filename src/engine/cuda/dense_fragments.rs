//! Matrices of dense layers as tensor cores take them: float16, every lane's numbers side by side.
//!
//! Here the matrix is the left factor and rows of features are the right one, so that a lane gets neighbouring columns of a few rows.

use std::fmt::Write;

use super::dense::WIDEST;
use super::fragments::{Fragments, TILE, halves, scale_of};
use super::source::Widths;
use crate::model::{Dense, Network};

/// Largest weights of a layer are within this of 1, so that neither their scale nor what undoes it leaves float32's range.
const FARTHEST: f64 = 1e19;

/// Whether kernels/tensor_chain.cuh has a place for the dense layers: not too wide, nothing too large or too small in them.
pub(super) fn fits(network: &Network, widths: Widths) -> bool {
    let narrow = widths.block.max(widths.readout) <= WIDEST;
    narrow
        && dense_layers(network).all(|layer| {
            let largest = layer.weight.iter().fold(0.0, |a, x| f64::max(a, x.abs()));
            largest == 0.0 || (1.0 / FARTHEST..FARTHEST).contains(&largest)
        })
}

fn dense_layers(network: &Network) -> impl Iterator<Item = &Dense> {
    let blocks = network.blocks.iter();
    blocks
        .flat_map(|block| [&block.in2f, &block.f2out, &block.dense])
        .chain(&network.readout)
}

impl Fragments {
    /// Appends the dense layers of a network that [`fits`].
    pub fn add_dense(&mut self, network: &Network) {
        self.declarations += "template <class, bool> struct DenseFragments;\n";
        let (begin, scales) = (self.numbers.len(), self.scales.len());
        for (number, block) in network.blocks.iter().enumerate() {
            let layers = [
                ("In2f", &block.in2f),
                ("F2out", &block.f2out),
                ("Mix", &block.dense),
            ];
            let places = layers.map(|(name, layer)| (name, self.add_both(layer)));
            // The same for every block; written down once, with how far apart blocks are.
            if number == 0 {
                let step = (self.numbers.len() - begin, self.scales.len() - scales);
                for (name, places) in places {
                    self.declare(name, places, step);
                }
            }
        }
        for (number, layer) in network.readout.iter().enumerate() {
            let places = self.add_both(layer);
            self.declare(&format!("ReadoutLayer<{number}>"), places, (0, 0));
        }
    }

    /// A layer's matrix and its transpose: where their numbers and scales begin.
    fn add_both(&mut self, layer: &Dense) -> [(usize, usize); 2] {
        [false, true].map(|transposed| {
            let place = (self.numbers.len(), self.scales.len());
            self.add_matrix(layer, transposed);
            place
        })
    }

    fn declare(&mut self, name: &str, places: [(usize, usize); 2], step: (usize, usize)) {
        for (transposed, (at, scale)) in [false, true].into_iter().zip(places) {
            // By fours, as kernels read them.
            let _ = writeln!(
                self.declarations,
                "template <> struct DenseFragments<{name}, {transposed}> {{ static constexpr int AT = {}, STEP = {}, \
                 SCALE = {scale}, SCALE_STEP = {}; }};",
                at / 4,
                step.0 / 4,
                step.1
            );
        }
    }

    /// Appends a matrix: for 32 outputs and 16 inputs at a time, two tiles of 16 outputs, each rounded and then what rounding lost.
    fn add_matrix(&mut self, layer: &Dense, transposed: bool) {
        let scale = scale_of(&layer.weight);
        self.scales.push(1.0 / scale);
        let (inputs, outputs) = if transposed {
            (layer.outputs, layer.inputs)
        } else {
            (layer.inputs, layer.outputs)
        };
        let weight = |k: usize, n: usize| {
            if k >= inputs || n >= outputs {
                return 0.0;
            }
            let at = if transposed {
                k * layer.inputs + n
            } else {
                n * layer.inputs + k
            };
            layer.weight[at] * scale
        };
        let (steps, groups) = (inputs.div_ceil(TILE), outputs.div_ceil(2 * TILE));
        for (group, step) in (0..groups * steps).map(|at| (at / steps, at % steps)) {
            for (tile, remainder) in [(0, false), (0, true), (1, false), (1, true)] {
                for lane in 0..32 {
                    for (upper, below) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                        // In such an order that a lane has four neighbouring inputs, and gets as many outputs.
                        let k = TILE * step + 4 * (lane % 4) + 2 * upper;
                        let n = 2 * TILE * group + 4 * (lane / 4) + 2 * tile + below;
                        self.numbers
                            .push(halves([weight(k, n), weight(k + 1, n)], remainder));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    #[test]
    fn two_numbers_make_a_weight() {
        let layer = Dense {
            outputs: 37,
            inputs: 19,
            weight: (0..703).map(|at| 1e4 * f64::from(at + 1).sin()).collect(),
            bias: None,
        };
        for transposed in [false, true] {
            let mut all = Fragments::default();
            all.add_matrix(&layer, transposed);
            let (steps, groups) = if transposed { (3, 1) } else { (2, 2) };
            assert_eq!(all.numbers.len(), steps * groups * 4 * 32 * 4);
            let mut sum = 0.0;
            for (at, &bits) in all.numbers.iter().enumerate() {
                if at / 128 % 2 == 1 {
                    continue;
                }
                let rest = all.numbers[at + 128];
                for upper in [0, 16] {
                    let number = |bits: u32| f16::from_bits((bits >> upper) as u16).to_f64();
                    let found = (number(bits) + number(rest)) * all.scales[0];
                    let (word, lane, tile) = (at % 4, at / 4 % 32, at / 256 % 2);
                    let (step, group) = (at / 512 % steps, at / 512 / steps);
                    let k = 16 * step + lane % 4 * 4 + word / 2 * 2 + upper as usize / 16;
                    let n = 32 * group + lane / 4 * 4 + tile * 2 + word % 2;
                    let (output, input) = if transposed { (k, n) } else { (n, k) };
                    let expected = if output < 37 && input < 19 {
                        layer.weight[output * 19 + input]
                    } else {
                        0.0
                    };
                    assert!((found - expected).abs() <= 1e4 * 2f64.powi(-21), "{at}");
                    sum += found.abs();
                }
            }
            // Every weight is there once.
            let expected: f64 = layer.weight.iter().map(|x| x.abs()).sum();
            assert!((sum - expected).abs() < 1e-6 * expected);
        }
    }
}
