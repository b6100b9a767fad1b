//! Filters of distant pairs as tensor cores take them: spans' coefficients in float16, every lane's numbers side by side.

use half::f16;

use crate::filter::{Spans, TERMS};

/// Columns of a product.
const COLUMNS: usize = 8;
const LANES: usize = 32;
/// Channels that a block of kernels/spans.cu takes of so many, padded; none if that is not for them.
pub(super) fn width(filters: usize) -> Option<usize> {
    [128, 64]
        .into_iter()
        .find(|width| filters.is_multiple_of(*width))
}

/// Numbers that a lane has of a span's coefficients for `width` channels.
const fn numbers(width: usize) -> usize {
    3 * width / COLUMNS
}

/// Bytes of a span's coefficients for `width` channels.
pub(super) const fn bytes(width: usize) -> usize {
    numbers(width) * LANES * size_of::<u32>()
}

/// The largest coefficient of a block is brought below two to this: remainders of the small ones are then still normal numbers.
const EXPONENT: i32 = 10;

/// All blocks' coefficients.
pub(super) struct SpanFragments {
    /// Of rounded coefficients, and what rounding lost of half of them.
    pub numbers: Vec<u32>,
    /// What undoes the scale of each block.
    pub scales: Vec<f32>,
}

impl SpanFragments {
    /// Of spans of a network with `blocks` blocks, whose number of channels has a [`width`].
    pub fn new(spans: &Spans, blocks: usize) -> Self {
        let channels = spans.channels();
        let width = width(channels).unwrap_or(channels);
        let mut all = Self {
            numbers: Vec::new(),
            scales: Vec::new(),
        };
        for block in 0..blocks {
            let coefficients = spans.block(block);
            let largest = coefficients.iter().fold(0.0, |a, x| f64::max(a, x.abs()));
            let scale = if largest > 0.0 {
                f64::from(EXPONENT - 1 - largest.log2().floor() as i32).exp2()
            } else {
                1.0
            };
            all.scales.push((1.0 / scale) as f32);
            for slice in 0..channels / width {
                for span in coefficients.chunks_exact(TERMS * channels) {
                    let lanes: Vec<_> = (0..LANES)
                        .map(|lane| lane_numbers(span, channels, (slice, width), lane, scale))
                        .collect();
                    // Four at once.
                    for load in 0..numbers(width) / 4 {
                        let of_all = lanes.iter().flat_map(|lane| &lane[4 * load..4 * load + 4]);
                        all.numbers.extend(of_all);
                    }
                }
            }
        }
        all
    }
}

/// What a lane has of a span's coefficients for the channels of a slice: rounded ones of every 8 channels, and then what rounding left.
fn lane_numbers(
    span: &[f64],
    channels: usize,
    (slice, width): (usize, usize),
    lane: usize,
    scale: f64,
) -> Vec<u32> {
    let (mut numbers, mut rests) = (Vec::new(), Vec::new());
    let steps = width / COLUMNS;
    for column in slice * steps..(slice + 1) * steps {
        let at = |term: usize| scale * span[term * channels + channel(column, lane / 4)];
        // The lane's four of the terms, as kernels/spans.cu divides them.
        let terms = [0, 4, 8, 12].map(|term| at(term + lane % 4));
        let [one, two, three, four] = terms.map(f16::from_f64);
        numbers.extend([both(one, two), both(three, four)]);
        let rest = |k: usize, rounded: f16| f16::from_f64(terms[k] - rounded.to_f64());
        rests.push(both(rest(0, one), rest(1, two)));
    }
    numbers.extend(rests);
    numbers
}

/// Two numbers in 32 bits, the first in the lower half.
fn both(first: f16, second: f16) -> u32 {
    u32::from(second.to_bits()) << 16 | u32::from(first.to_bits())
}

/// The channel in column `n` of 8 of them. Their order lets a lane, which gets two columns, have four neighbours of every 16.
fn channel(column: usize, n: usize) -> usize {
    column / 2 * 16 + n / 2 * 4 + column % 2 * 2 + n % 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_have_four_neighbours_of_every_sixteen() {
        for lane in 0..4 {
            let channels: Vec<usize> = (0..2)
                .flat_map(|column| [0, 1].map(|n| channel(column, 2 * lane + n)))
                .collect();
            assert_eq!(channels, (4 * lane..4 * lane + 4).collect::<Vec<_>>());
        }
        let mut all: Vec<usize> = (0..8)
            .flat_map(|column| (0..8).map(move |n| channel(column, n)))
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..64).collect::<Vec<_>>());
    }
}
