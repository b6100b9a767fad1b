//! Coefficients of distant pairs' filters as kernels take them: every lane's numbers side by side, in either of two orders.

use super::device::Array;
use crate::Result;
use crate::filter::{Spans, TERMS};

/// Channels of a tile, and numbers of it that a lane has.
const TILE: usize = 16;
const EACH: usize = 8;
const LANES: usize = 32;

/// Channels that a block of kernels/spans.cu takes of so many, padded; none if that is not for them.
pub(super) fn width(filters: usize) -> Option<usize> {
    [128, 64]
        .into_iter()
        .find(|width| filters.is_multiple_of(*width))
}

/// Bytes of a span's coefficients for `width` channels.
pub(super) const fn bytes(width: usize) -> usize {
    width / TILE * LANES * EACH * size_of::<f32>()
}

/// What a lane has of a tile, each number by its term and channel.
type Order = fn(lane: usize) -> [(usize, usize); EACH];

/// As sums over pairs take them: channels l / 4 and l / 4 + 8 of lane l, and terms by the columns that it has of a product.
fn for_sums(lane: usize) -> [(usize, usize); EACH] {
    std::array::from_fn(|k| {
        let (half, part, column) = (k / 4, k / 2 % 2, k % 2);
        (term(half, 2 * (lane % 4) + column), 8 * part + lane / 4)
    })
}

/// As slopes take them: the term of column l / 4 of lane l, and two channels and those 8 further.
fn for_slopes(lane: usize) -> [(usize, usize); EACH] {
    std::array::from_fn(|k| {
        let (half, part, next) = (k / 4, k / 2 % 2, k % 2);
        (term(half, lane / 4), 8 * part + 2 * (lane % 4) + next)
    })
}

/// The term in column `n` of the first or second 8. Their order lets four lanes have all terms of a pair, each with every fourth.
fn term(half: usize, n: usize) -> usize {
    8 * half + n / 2 + 4 * (n % 2)
}

/// All blocks' coefficients on a device.
pub(super) struct SpanTables {
    pub filters: Array,
    pub factors: Array,
    /// What undoes the scale of each block.
    pub scales: Array,
}

impl SpanTables {
    pub fn new(array: impl Fn() -> Array) -> Self {
        Self {
            filters: array(),
            factors: array(),
            scales: array(),
        }
    }

    /// Brings those of a network there, whose number of channels has a [`width`].
    pub fn set(&mut self, spans: &Spans, blocks: usize) -> Result<()> {
        let scales: Vec<f64> = (0..blocks).map(|block| scale(spans.block(block))).collect();
        let undone: Vec<f32> = scales.iter().map(|scale| (1.0 / scale) as f32).collect();
        self.scales.set(&undone)?;
        for (order, array) in [
            (for_sums as Order, &mut self.filters),
            (for_slopes, &mut self.factors),
        ] {
            let all = scales
                .iter()
                .enumerate()
                .flat_map(|(block, &scale)| lay_out(spans, block, scale, order));
            array.set(&all.collect::<Vec<f32>>())?;
        }
        Ok(())
    }
}

/// The power of 2 that brings the largest coefficient below 1, and no further than it takes.
fn scale(coefficients: &[f64]) -> f64 {
    let largest = coefficients.iter().fold(0.0, |a, x| f64::max(a, x.abs()));
    if largest > 0.0 {
        (-1.0 - largest.log2().floor()).exp2()
    } else {
        1.0
    }
}

/// A block's coefficients: of each slice of channels, span and tile what lanes load at once.
fn lay_out(spans: &Spans, block: usize, scale: f64, order: Order) -> Vec<f32> {
    let channels = spans.channels();
    let width = width(channels).unwrap_or(channels);
    let mut all = Vec::new();
    for first in (0..channels).step_by(width) {
        for span in spans.block(block).chunks_exact(TERMS * channels) {
            for tile in (first..first + width).step_by(TILE) {
                let lanes: Vec<[f32; EACH]> = (0..LANES)
                    .map(|lane| {
                        order(lane).map(|(term, channel)| {
                            (scale * span[term * channels + tile + channel]) as f32
                        })
                    })
                    .collect();
                // Four at once.
                for half in [0, EACH / 2] {
                    let four = lanes.iter().flat_map(|lane| &lane[half..half + EACH / 2]);
                    all.extend(four);
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_have_every_number_of_a_tile_once() {
        for order in [for_sums as Order, for_slopes] {
            let mut all: Vec<_> = (0..LANES).flat_map(order).collect();
            all.sort_unstable();
            let expected =
                (0..TERMS).flat_map(|term| (0..TILE).map(move |channel| (term, channel)));
            assert_eq!(all, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn four_lanes_have_all_terms() {
        let terms = |lane: usize| for_sums(lane).map(|(term, _)| term);
        for lane in 0..4 {
            assert_eq!(terms(lane)[..2], [lane, lane + 4]);
            assert_eq!(terms(lane)[4..6], [lane + 8, lane + 12]);
        }
    }
}
