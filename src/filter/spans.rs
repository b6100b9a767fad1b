//! Filters of distant pairs as a few wide polynomials.
//!
//! Far out, where most pairs are, filters are smooth: a few spans of a table's variable, each many intervals wide, take a
//! polynomial of degree 15 apiece. Its coefficients are few enough to stay in registers, and it is evaluated as a matrix
//! product, in Chebyshev polynomials, whose coefficients fall and lose nothing to cancellation.

use std::f64::consts::PI;
use std::ops::Range;

use super::table::{Errors, Exact, Spacing};
use crate::model::Network;

/// Coefficients of a span's polynomials.
pub const TERMS: usize = 16;
/// Coefficients of what they are compared with.
const FINE: usize = 40;
/// More spans than these have few pairs each.
const MOST: usize = 6;
/// The part of all pairs that a span has to have, if pairs are everywhere alike.
const SHARE: f64 = 0.015;

/// Polynomials of all distinct interaction blocks of a network for distances up to the cutoff, from some distance on.
#[derive(Debug, Clone, PartialEq)]
pub struct Spans {
    /// Intervals of the table where spans begin, from near to far, and where the last one ends.
    bounds: Vec<usize>,
    /// Of each block TERMS rows a span, with a number a channel.
    blocks: Vec<Vec<f64>>,
    channels: usize,
    share: f64,
}

impl Spans {
    /// The widest spans whose errors keep to `tolerance`, as [`super::Tables::bound`] has them; none where these have too few
    /// of the pairs. They begin and end where intervals of `spacing` do.
    pub fn build(network: &Network, spacing: &Spacing, tolerance: f64) -> Self {
        let filters = Exact::new(network);
        let sizes: Vec<_> = (0..filters.blocks.len())
            .map(|block| sizes(&filters, spacing, block))
            .collect();
        let fits = |span: &Range<usize>| {
            sizes.iter().enumerate().all(|(block, sizes)| {
                let fine = Expansion::new(&filters, block, spacing, span);
                fine.error(&filters, spacing, sizes.clone()) <= tolerance
            })
        };
        // The part of a ball of the cutoff's radius.
        let volume = |interval: usize| (spacing.distance(interval as f64) / filters.cutoff).powi(3);
        let mut bounds = vec![spacing.intervals()];
        while bounds.len() <= MOST {
            let end = bounds[0];
            // The first interval from which on one polynomial does.
            let (mut low, mut high) = (0, end);
            while low < high {
                let middle = low.midpoint(high);
                if fits(&(middle..end)) {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            if low == end || volume(end) - volume(low) < SHARE {
                break;
            }
            bounds.insert(0, low);
            if low == 0 {
                break;
            }
        }
        let blocks = (0..filters.blocks.len())
            .map(|block| {
                let spans = bounds.windows(2);
                let expansions =
                    spans.map(|span| Expansion::new(&filters, block, spacing, &(span[0]..span[1])));
                expansions.flat_map(Expansion::truncated).collect()
            })
            .collect();
        Self {
            share: 1.0 - volume(bounds[0]),
            bounds,
            blocks,
            channels: filters.channels,
        }
    }

    /// Intervals of the table where spans begin, from near to far, and where the last one ends: that alone if there are none.
    pub fn bounds(&self) -> &[usize] {
        &self.bounds
    }

    /// The part of all pairs within the cutoff that spans have, if pairs are everywhere alike.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Coefficients of block `block`: [`TERMS`] rows a span, with a number for each of [`Spans::channels`].
    pub fn block(&self, block: usize) -> &[f64] {
        &self.blocks[block]
    }

    /// Channels of a filter.
    pub fn channels(&self) -> usize {
        self.channels
    }
}

/// How large W and dW/dr are, over all distances.
fn sizes(filters: &Exact, spacing: &Spacing, block: usize) -> (Errors, Errors) {
    let positions = || (0..spacing.intervals()).map(|interval| interval as f64 + 0.5);
    let all = filters.at(block, *spacing, positions());
    let stride = filters.blocks[block].stride();
    let mut sizes = (Errors::default(), Errors::default());
    for (row, x) in positions().enumerate() {
        let r = spacing.distance(x);
        let at = (r / filters.cutoff, 1.0 / spacing.place(r).rate);
        let square = |numbers: &[f64]| {
            let numbers = &numbers[row * stride..][..filters.channels];
            numbers.iter().map(|x| x * x).sum()
        };
        sizes.0.add(at, 0.0, square(&all.value));
        sizes.1.add(at, 0.0, square(&all.slope));
    }
    sizes
}

/// W of a block over a span in FINE Chebyshev polynomials.
struct Expansion {
    begin: f64,
    width: f64,
    channels: usize,
    /// FINE rows of channels.
    coefficients: Vec<f64>,
}

impl Expansion {
    fn new(filters: &Exact, block: usize, spacing: &Spacing, span: &Range<usize>) -> Self {
        let (begin, width) = (span.start as f64, span.len() as f64);
        let angle = |node: usize| PI * (node as f64 + 0.5) / FINE as f64;
        let nodes = (0..FINE).map(|node| begin + 0.5 * width * (1.0 + angle(node).cos()));
        let values = filters.at(block, *spacing, nodes).value;
        let (stride, channels) = (filters.blocks[block].stride(), filters.channels);
        let mut coefficients = vec![0.0; FINE * channels];
        for (term, row) in coefficients.chunks_exact_mut(channels).enumerate() {
            let factor = if term == 0 { 1.0 } else { 2.0 } / FINE as f64;
            for node in 0..FINE {
                let weight = factor * (term as f64 * angle(node)).cos();
                let values = &values[node * stride..][..channels];
                for (sum, value) in row.iter_mut().zip(values) {
                    *sum += weight * value;
                }
            }
        }
        Self {
            begin,
            width,
            channels,
            coefficients,
        }
    }

    /// What the terms that are left out make, relative to what W and dW/dr are nearby.
    fn error(&self, filters: &Exact, spacing: &Spacing, sizes: (Errors, Errors)) -> f64 {
        let (mut values, mut slopes) = sizes;
        for probe in 0..=FINE {
            let u = (PI * probe as f64 / FINE as f64).cos();
            let r = spacing.distance(self.begin + 0.5 * self.width * (1.0 + u));
            let rate = 2.0 / self.width * spacing.place(r).rate;
            let (mut value, mut slope) = (vec![0.0; self.channels], vec![0.0; self.channels]);
            for (term, (t, dt)) in chebyshev(u).take(FINE).enumerate().skip(TERMS) {
                let row = &self.coefficients[term * self.channels..][..self.channels];
                for ((value, slope), c) in value.iter_mut().zip(&mut slope).zip(row) {
                    *value += c * t;
                    *slope += c * dt * rate;
                }
            }
            let square = |numbers: &[f64]| numbers.iter().map(|x| x * x).sum();
            // Sizes are there already.
            values.add((r / filters.cutoff, 0.0), square(&value), 0.0);
            slopes.add((r / filters.cutoff, 0.0), square(&slope), 0.0);
        }
        values.relative().max(slopes.relative())
    }

    fn truncated(mut self) -> Vec<f64> {
        self.coefficients.truncate(TERMS * self.channels);
        self.coefficients
    }
}

/// Chebyshev polynomials and their derivatives at `u`.
fn chebyshev(u: f64) -> impl Iterator<Item = (f64, f64)> {
    let (mut one, mut next) = ((1.0, 0.0), (u, 1.0));
    std::iter::from_fn(move || {
        let (t, dt) = next;
        let after = (2.0 * u * t - one.0, 2.0 * t + 2.0 * u * dt - one.1);
        let now = one;
        (one, next) = (next, after);
        Some(now)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_and_derivatives_are_chebyshevs() {
        let u: f64 = 0.3;
        for (term, (t, dt)) in chebyshev(u).take(12).enumerate() {
            let n = term as f64;
            let angle = u.acos();
            assert!((t - (n * angle).cos()).abs() < 1e-14);
            assert!((dt - n * (n * angle).sin() / angle.sin()).abs() < 1e-12);
        }
    }
}
