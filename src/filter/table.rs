//! Filters as piecewise cubics: W and dW/dr for a handful of multiply-adds a channel.
//!
//! W is a function of one number, so it is evaluated once, at load, on a grid, and interpolated by cubic Hermite
//! polynomials: value and slope agree at every knot, so that W and dW/dr are continuous and dW/dr is the derivative of the
//! W that is used. The polynomials are stored by their coefficients in the position within the interval: unlike
//! values and slopes at knots, these lose nothing to differences of rounded numbers.

use crate::filter::{Tile, TileFilter};
use crate::model::Network;
use crate::simd::{Real, padded};

/// Coefficients of a cubic.
const ORDER: usize = 4;
/// Where in every interval the error is measured.
const PROBES: [f64; 4] = [0.15, 0.4, 0.65, 0.9];
const FIRST_INTERVALS: usize = 64;
const MAX_INTERVALS: usize = 4096;

/// The variable in which knots are evenly spaced: x(r) = (1 − e^{−a r}) / a, or r itself where a is 0.
///
/// A positive a puts more knots at short distances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spacing {
    /// a, per unit of length.
    rate: f64,
    /// Intervals per unit of x.
    density: f64,
    intervals: usize,
}

/// Where a distance lies in a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The interval.
    pub interval: usize,
    /// The position in it, from 0 to 1.
    pub t: f64,
    /// dt/dr.
    pub rate: f64,
}

impl Spacing {
    fn new(rate: f64, cutoff: f64, intervals: usize) -> Self {
        let range = if rate == 0.0 {
            cutoff
        } else {
            -(-rate * cutoff).exp_m1() / rate
        };
        Self {
            rate,
            density: intervals as f64 / range,
            intervals,
        }
    }

    /// Number of intervals.
    pub fn intervals(&self) -> usize {
        self.intervals
    }

    /// Finds a distance from 0 to the cutoff.
    #[inline(always)]
    pub fn place(&self, r: f64) -> Place {
        let (x, slope) = if self.rate == 0.0 {
            (r, 1.0)
        } else {
            let decay = (-self.rate * r).exp();
            ((1.0 - decay) / self.rate, decay)
        };
        let x = x * self.density;
        let interval = (x as usize).min(self.intervals - 1);
        Place {
            interval,
            t: x - interval as f64,
            rate: slope * self.density,
        }
    }

    /// The distance at position `x`, counted in intervals.
    fn distance(&self, x: f64) -> f64 {
        let x = x / self.density;
        if self.rate == 0.0 {
            x
        } else {
            -(-self.rate * x).ln_1p() / self.rate
        }
    }
}

/// Tables of all distinct interaction blocks of a network.
#[derive(Debug, Clone)]
pub struct Tables<T> {
    spacing: Spacing,
    stride: usize,
    blocks: Vec<Vec<T>>,
    bound: f64,
}

impl<T: Real> Tables<T> {
    /// Tables whose error, see [`Tables::bound`], is below `tolerance`, with as few knots as that takes; or the finest
    /// that are made.
    pub fn build(network: &Network, tolerance: f64) -> Self {
        let filters = Exact::new(network);
        let cutoff = network.description.cutoff;
        let spacings = [0.0, 1.0, 2.0, 4.0].map(|rate| rate / cutoff);
        // The error of a cubic falls with the fourth power of the spacing: one coarse look tells which variable is best
        // and about how many knots it takes.
        let coarse = 2 * FIRST_INTERVALS;
        let (rate, error) = spacings
            .map(|rate| {
                (
                    rate,
                    Tables::<f64>::tabulate(&filters, Spacing::new(rate, cutoff, coarse)).bound,
                )
            })
            .into_iter()
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or((0.0, f64::INFINITY));
        let estimate = coarse as f64 * (error / tolerance).powf(0.25);
        let mut intervals =
            round(estimate.clamp(FIRST_INTERVALS as f64, MAX_INTERVALS as f64) as usize);
        loop {
            let tables = Self::tabulate(&filters, Spacing::new(rate, cutoff, intervals));
            if tables.bound <= tolerance || intervals >= MAX_INTERVALS {
                return tables;
            }
            intervals = round(intervals * 5 / 4).min(MAX_INTERVALS);
        }
    }

    /// The grid.
    pub fn spacing(&self) -> &Spacing {
        &self.spacing
    }

    /// The largest error of W or dW/dr, in the 2-norm over channels and relative to the root mean square over
    /// distances of that norm, of any block, measured at four distances in every interval.
    pub fn bound(&self) -> f64 {
        self.bound
    }

    /// The table of distinct block `block`: for every interval four rows of [`Tables::stride`] numbers, the coefficients
    /// of 1, t, t², t³.
    pub fn block(&self, block: usize) -> &[T] {
        &self.blocks[block]
    }

    /// Distance of rows.
    pub fn stride(&self) -> usize {
        self.stride
    }

    fn tabulate(filters: &Exact, spacing: Spacing) -> Self {
        let stride = padded::<T>(filters.channels);
        let blocks: Vec<Vec<T>> = (0..filters.blocks.len())
            .map(|block| fit(filters, block, spacing, stride))
            .collect();
        let bound = blocks
            .iter()
            .enumerate()
            .map(|(block, table)| measure(filters, block, spacing, table, stride))
            .fold(0.0, f64::max);
        Self {
            spacing,
            stride,
            blocks,
            bound,
        }
    }
}

fn round(intervals: usize) -> usize {
    intervals.next_multiple_of(16)
}

/// The filters as they are defined.
struct Exact {
    blocks: Vec<TileFilter<f64>>,
    channels: usize,
    cutoff: f64,
}

impl Exact {
    fn new(network: &Network) -> Self {
        Self {
            blocks: (0..network.blocks.len())
                .map(|block| TileFilter::new(network, block))
                .collect(),
            channels: network.description.filters,
            cutoff: network.description.cutoff,
        }
    }

    /// W and dW/dr of `block` at positions of the grid, approached from below at the cutoff.
    fn at(
        &self,
        block: usize,
        spacing: Spacing,
        positions: impl Iterator<Item = f64>,
    ) -> Tile<f64> {
        let below = self.cutoff.next_down();
        let distances: Vec<f64> = positions
            .map(|x| spacing.distance(x).clamp(0.0, below))
            .collect();
        let mut tile = Tile::default();
        self.blocks[block].evaluate(&distances, true, &mut tile);
        tile
    }
}

fn fit<T: Real>(filters: &Exact, block: usize, spacing: Spacing, stride: usize) -> Vec<T> {
    let knots = filters.at(
        block,
        spacing,
        (0..=spacing.intervals).map(|knot| knot as f64),
    );
    let from = filters.blocks[block].stride();
    let mut table = vec![T::default(); spacing.intervals * ORDER * stride];
    // dr/dt at a knot.
    let scale = |knot: usize| 1.0 / spacing.place(spacing.distance(knot as f64)).rate;
    for interval in 0..spacing.intervals {
        let (left, right) = (scale(interval), scale(interval + 1));
        for channel in 0..filters.channels {
            let (a, b) = (interval * from + channel, (interval + 1) * from + channel);
            let (v0, v1) = (knots.value[a], knots.value[b]);
            let (s0, s1) = (knots.slope[a] * left, knots.slope[b] * right);
            let coefficients = [
                v0,
                s0,
                3.0 * (v1 - v0) - 2.0 * s0 - s1,
                2.0 * (v0 - v1) + s0 + s1,
            ];
            for (power, coefficient) in coefficients.into_iter().enumerate() {
                table[(interval * ORDER + power) * stride + channel] = T::from_f64(coefficient);
            }
        }
    }
    table
}

fn measure<T: Real>(
    filters: &Exact,
    block: usize,
    spacing: Spacing,
    table: &[T],
    stride: usize,
) -> f64 {
    let positions =
        || (0..spacing.intervals).flat_map(|interval| PROBES.map(|t| interval as f64 + t));
    let exact = filters.at(block, spacing, positions());
    let from = filters.blocks[block].stride();
    let (mut sizes, mut largest) = ([0.0; 2], [0.0f64; 2]);
    let count = spacing.intervals * PROBES.len();
    for row in 0..count {
        let (interval, t) = (row / PROBES.len(), PROBES[row % PROBES.len()]);
        let rate = spacing.place(spacing.distance(interval as f64 + t)).rate;
        let (mut errors, mut norms) = ([0.0; 2], [0.0; 2]);
        for channel in 0..filters.channels {
            let c: [f64; ORDER] = std::array::from_fn(|power| {
                table[(interval * ORDER + power) * stride + channel].to_f64()
            });
            let value = c[0] + t * (c[1] + t * (c[2] + t * c[3]));
            let slope = (c[1] + t * (2.0 * c[2] + t * 3.0 * c[3])) * rate;
            let at = row * from + channel;
            for (kind, (found, truth)) in [(value, exact.value[at]), (slope, exact.slope[at])]
                .into_iter()
                .enumerate()
            {
                errors[kind] += (found - truth).powi(2);
                norms[kind] += truth * truth;
            }
        }
        for kind in 0..2 {
            sizes[kind] += norms[kind] / count as f64;
            largest[kind] = largest[kind].max(errors[kind]);
        }
    }
    let relative = |kind: usize| {
        if sizes[kind] > 0.0 {
            (largest[kind] / sizes[kind]).sqrt()
        } else {
            0.0
        }
    };
    relative(0).max(relative(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_inverse_to_distances() {
        for rate in [0.0, 0.4] {
            let spacing = Spacing::new(rate, 5.0, 100);
            for r in [0.0, 0.3, 2.2, 4.999] {
                let place = spacing.place(r);
                assert!((spacing.distance(place.interval as f64 + place.t) - r).abs() < 1e-13);
                let h = 1e-6;
                let next = spacing.place(r + h);
                let x = |place: Place| place.interval as f64 + place.t;
                assert!(((x(next) - x(place)) / h - place.rate).abs() < 1e-4 * place.rate);
            }
            assert_eq!(spacing.place(5.0).interval, 99);
        }
    }
}
