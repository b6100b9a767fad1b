//! Filters as piecewise quintics: W and dW/dr for a handful of multiply-adds a channel.
//!
//! W is a function of one number, so it is evaluated once, at load, on a grid, and interpolated by Hermite polynomials:
//! value and slope agree at every knot and halfway between, so that W and dW/dr are continuous and dW/dr is the
//! derivative of the W that is used. The polynomials are stored by their coefficients in the position within the interval:
//! unlike values and slopes at knots, these lose nothing to differences of rounded numbers. Quintics rather than cubics,
//! because they need far fewer knots for float32 accuracy: such tables stay in the nearer caches.

use pulp::{Arch, Simd, WithSimd};

use crate::filter::{Tile, TileFilter};
use crate::model::Network;
use crate::model::description::BasisDescription;
use crate::simd::{Aligned, Real, has_fused, padded};

/// Coefficients of a quintic.
pub const ORDER: usize = 6;
/// Where in every interval the error is measured.
const PROBES: [f64; 4] = [0.15, 0.4, 0.65, 0.9];
/// Stretches of distance over which errors are compared with sizes.
const WINDOWS: usize = 20;
const COARSE_INTERVALS: usize = 64;
const MIN_INTERVALS: usize = 16;
/// Finer tables than these no longer fit a cache; filters that need them are better evaluated exactly.
const MAX_SINGLE_INTERVALS: usize = 1024;
const MAX_DOUBLE_INTERVALS: usize = 4096;

/// The variable in which knots are evenly spaced: x(r) = a r + b (1 − e^{−c r}), so that there are about a of them per unit
/// of length far out and a + b c of them close by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spacing {
    linear: f64,
    decaying: f64,
    rate: f64,
    cutoff: f64,
    intervals: usize,
}

/// Where a distance lies in a table.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Place {
    /// The interval.
    pub interval: usize,
    /// The position in it, from 0 to 1.
    pub t: f64,
    /// dt/dr.
    pub rate: f64,
}

impl Spacing {
    /// A share of `shape.0` of the intervals is spread by 1 − e^{−c r} with c = `shape.1`, the rest by r.
    fn new(shape: (f64, f64), cutoff: f64, intervals: usize) -> Self {
        let (share, rate) = shape;
        let all = intervals as f64;
        Self {
            linear: (1.0 - share) * all / cutoff,
            decaying: share * all / -(-rate * cutoff).exp_m1(),
            rate,
            cutoff,
            intervals,
        }
    }

    /// Number of intervals.
    pub fn intervals(&self) -> usize {
        self.intervals
    }

    /// (a, b, c) of x(r) = a r + b (1 − e^{−c r}).
    pub fn terms(&self) -> (f64, f64, f64) {
        (self.linear, self.decaying, self.rate)
    }

    /// Finds a distance from 0 to the cutoff.
    #[inline(always)]
    pub fn place(&self, r: f64) -> Place {
        let (mut x, mut slope) = (self.linear * r, self.linear);
        if self.decaying > 0.0 {
            let decay = Real::exp::<false>(-self.rate * r);
            x += self.decaying * (1.0 - decay);
            slope += self.decaying * self.rate * decay;
        }
        let interval = (x as usize).min(self.intervals - 1);
        Place {
            interval,
            t: x - interval as f64,
            rate: slope,
        }
    }

    /// The intervals of many distances, positions in them, and dt/dr: [`Spacing::place`] in vector code.
    pub fn places(
        &self,
        arch: Arch,
        distances: &[f64],
        places: (&mut [u32], &mut [f64], &mut [f64]),
    ) {
        arch.dispatch(Places {
            spacing: self,
            distances,
            places,
        });
    }

    /// The distance at position `x`, counted in intervals.
    pub(super) fn distance(&self, x: f64) -> f64 {
        // Newton's method: x is concave in r, so from below it never oversteps.
        let mut r = 0.0;
        for _ in 0..100 {
            let place = self.place(r);
            let step = (x - (place.interval as f64 + place.t)) / place.rate;
            r += step;
            if step <= 1e-15 * self.cutoff {
                break;
            }
        }
        r.min(self.cutoff)
    }
}

struct Places<'a> {
    spacing: &'a Spacing,
    distances: &'a [f64],
    places: (&'a mut [u32], &'a mut [f64], &'a mut [f64]),
}

impl WithSimd for Places<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if has_fused::<S>() {
            self.find::<true>();
        } else {
            self.find::<false>();
        }
    }
}

impl Places<'_> {
    #[inline(always)]
    fn find<const FUSED: bool>(self) {
        /// 2⁵²: whole numbers added to it are its last bits.
        const WHOLE: f64 = 4_503_599_627_370_496.0;
        let Spacing {
            linear,
            decaying,
            rate,
            intervals,
            ..
        } = *self.spacing;
        let last = (intervals - 1) as f64;
        let (numbers, positions, rates) = self.places;
        let places = numbers.iter_mut().zip(positions).zip(rates);
        for (&r, ((number, position), slope)) in self.distances.iter().zip(places) {
            let (mut x, mut dx) = (linear * r, linear);
            if decaying > 0.0 {
                let decay = Real::exp::<FUSED>(-rate * r);
                x += decaying * (1.0 - decay);
                dx += decaying * rate * decay;
            }
            let interval = x.floor().min(last);
            *number = (interval + WHOLE).to_bits() as u32;
            *position = x - interval;
            *slope = dx;
        }
    }
}

/// Tables of all distinct interaction blocks of a network.
#[derive(Debug, Clone)]
pub struct Tables<T> {
    spacing: Spacing,
    blocks: Vec<Aligned<T>>,
    bound: f64,
}

impl<T: Real> Tables<T> {
    /// Tables whose error, see [`Tables::bound`], is below `tolerance`, with as few knots as that takes; or the finest
    /// that are made.
    pub fn build(network: &Network, tolerance: f64) -> Self {
        let filters = Exact::new(network);
        let cutoff = network.description.cutoff;
        let mut shapes = vec![(0.0, 1.0 / cutoff)];
        let mut rates = vec![4.0 / cutoff, 10.0 / cutoff];
        if let BasisDescription::ExponentialNormal { alpha, .. } = network.description.basis {
            // The variable in which these functions are all of about one width.
            rates.push(alpha);
        }
        for rate in rates {
            shapes.extend([0.3, 0.6, 0.85].map(|share| (share, rate)));
        }
        // One coarse look tells which variable is best; as the error of the slope falls with the fifth power of the
        // spacing, also about how many knots it takes.
        let coarse = |shape| {
            Tables::<f64>::tabulate(&filters, Spacing::new(shape, cutoff, COARSE_INTERVALS)).bound
        };
        let (shape, error) = shapes
            .into_iter()
            .map(|shape| (shape, coarse(shape)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or(((0.0, 1.0), f64::INFINITY));
        let estimate = COARSE_INTERVALS as f64 * (error / tolerance).powf(0.2);
        let finest = if size_of::<T>() == 4 {
            MAX_SINGLE_INTERVALS
        } else {
            MAX_DOUBLE_INTERVALS
        };
        let mut intervals = (estimate as usize).clamp(MIN_INTERVALS, finest);
        loop {
            let tables = Self::tabulate(&filters, Spacing::new(shape, cutoff, intervals));
            if tables.bound <= tolerance || intervals >= finest {
                return tables;
            }
            let more = (tables.bound / tolerance).powf(0.2).clamp(1.1, 2.0);
            intervals = ((intervals as f64 * more) as usize + 1).min(finest);
        }
    }

    /// The grid.
    pub fn spacing(&self) -> &Spacing {
        &self.spacing
    }

    /// The largest error of W or dW/dr of any block, in the 2-norm over channels, relative to the root mean square of that
    /// norm over distances nearby (or a hundredth of that over all distances, where that is more); measured at four distances in
    /// every interval.
    pub fn bound(&self) -> f64 {
        self.bound
    }

    /// The table of distinct block `block`: for every interval [`ORDER`] rows of numbers, padded,, the
    /// coefficients of 1, t, t², ….
    pub fn block(&self, block: usize) -> &[T] {
        &self.blocks[block]
    }

    fn tabulate(filters: &Exact, spacing: Spacing) -> Self {
        let stride = padded::<T>(filters.channels);
        let blocks: Vec<Aligned<T>> = (0..filters.blocks.len())
            .map(|block| fit(filters, block, spacing, stride))
            .collect();
        Self {
            bound: measure_all(filters, spacing, &blocks),
            spacing,
            blocks,
        }
    }
}

/// The filters as they are defined.
pub(super) struct Exact {
    pub blocks: Vec<TileFilter<f64>>,
    pub channels: usize,
    pub cutoff: f64,
}

impl Exact {
    pub fn new(network: &Network) -> Self {
        Self {
            blocks: (0..network.blocks.len())
                .map(|block| TileFilter::new(network, block))
                .collect(),
            channels: network.description.filters,
            cutoff: network.description.cutoff,
        }
    }

    /// W and dW/dr of `block` at positions of the grid, approached from below at the cutoff.
    pub fn at(
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

fn fit<T: Real>(filters: &Exact, block: usize, spacing: Spacing, stride: usize) -> Aligned<T> {
    // Knots and the points halfway between them.
    let points = filters.at(
        block,
        spacing,
        (0..=2 * spacing.intervals).map(|point| 0.5 * point as f64),
    );
    let from = filters.blocks[block].stride();
    let mut table = Aligned::zeros(spacing.intervals * ORDER * stride);
    // dr/dt at a point.
    let scale = |point: usize| 1.0 / spacing.place(spacing.distance(0.5 * point as f64)).rate;
    for interval in 0..spacing.intervals {
        let scales: [f64; 3] = std::array::from_fn(|point| scale(2 * interval + point));
        for channel in 0..filters.channels {
            let at = |point: usize| (2 * interval + point) * from + channel;
            let values = std::array::from_fn(|point| points.value[at(point)]);
            let slopes = std::array::from_fn(|point| points.slope[at(point)] * scales[point]);
            for (power, coefficient) in hermite(values, slopes).into_iter().enumerate() {
                table[(interval * ORDER + power) * stride + channel] = T::from_f64(coefficient);
            }
        }
    }
    table
}

/// Coefficients of the quintic with these values and slopes at 0, ½ and 1.
fn hermite(v: [f64; 3], s: [f64; 3]) -> [f64; ORDER] {
    let end = v[2] - v[0] - s[0];
    let end_slope = s[2] - s[0];
    let middle = v[1] - v[0] - 0.5 * s[0];
    let middle_slope = s[1] - s[0];
    [
        v[0],
        s[0],
        7.0 * end - 1.0 * end_slope + 16.0 * middle - 8.0 * middle_slope,
        -34.0 * end + 5.0 * end_slope - 32.0 * middle + 32.0 * middle_slope,
        52.0 * end - 8.0 * end_slope + 16.0 * middle - 40.0 * middle_slope,
        -24.0 * end + 4.0 * end_slope + 16.0 * middle_slope,
    ]
}

/// [`Tables::bound`] of tables made or changed elsewhere.
pub(super) fn bound<T: Real>(network: &Network, spacing: Spacing, blocks: &[Aligned<T>]) -> f64 {
    measure_all(&Exact::new(network), spacing, blocks)
}

fn measure_all<T: Real>(filters: &Exact, spacing: Spacing, blocks: &[Aligned<T>]) -> f64 {
    let stride = padded::<T>(filters.channels);
    blocks
        .iter()
        .enumerate()
        .map(|(block, table)| measure(filters, block, spacing, table, stride))
        .fold(0.0, f64::max)
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
    let (mut values, mut slopes) = (Errors::default(), Errors::default());
    for (row, x) in positions().enumerate() {
        let (interval, t) = (x as usize, x.fract());
        let r = spacing.distance(x);
        let rate = spacing.place(r).rate;
        let (mut value_error, mut slope_error, mut value_size, mut slope_size) =
            (0.0, 0.0, 0.0, 0.0);
        for channel in 0..filters.channels {
            let c: [f64; ORDER] = std::array::from_fn(|power| {
                table[(interval * ORDER + power) * stride + channel].to_f64()
            });
            let value = c.iter().rev().fold(0.0, |sum, c| sum * t + c);
            let slope = (1..ORDER)
                .rev()
                .fold(0.0, |sum, k| sum * t + k as f64 * c[k])
                * rate;
            let at = row * from + channel;
            value_error += (value - exact.value[at]).powi(2);
            slope_error += (slope - exact.slope[at]).powi(2);
            value_size += exact.value[at].powi(2);
            slope_size += exact.slope[at].powi(2);
        }
        let at = (r / filters.cutoff, 1.0 / rate);
        values.add(at, value_error, value_size);
        slopes.add(at, slope_error, slope_size);
    }
    values.relative().max(slopes.relative())
}

/// Squared errors and sizes of a function by windows of distance.
#[derive(Clone, Default)]
pub(super) struct Errors {
    largest: [f64; WINDOWS],
    sizes: [f64; WINDOWS],
    lengths: [f64; WINDOWS],
}

impl Errors {
    /// One distance, as a part of the cutoff, that stands for a stretch of this `length`.
    pub fn add(&mut self, (part, length): (f64, f64), error: f64, size: f64) {
        let window = ((part * WINDOWS as f64) as usize).min(WINDOWS - 1);
        self.largest[window] = self.largest[window].max(error);
        self.sizes[window] += length * size;
        self.lengths[window] += length;
    }

    /// The largest error over the size nearby.
    pub fn relative(&self) -> f64 {
        let mean = |windows: std::ops::Range<usize>| {
            self.sizes[windows.clone()].iter().sum::<f64>()
                / self.lengths[windows]
                    .iter()
                    .sum::<f64>()
                    .max(f64::MIN_POSITIVE)
        };
        let floor = 1e-4 * mean(0..WINDOWS);
        let worst = (0..WINDOWS).map(|window| {
            let scale = mean(window.saturating_sub(1)..(window + 2).min(WINDOWS)).max(floor);
            if scale > 0.0 {
                self.largest[window] / scale
            } else {
                0.0
            }
        });
        worst.fold(0.0, f64::max).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quintic_is_its_own_interpolant() {
        let c = [0.3, -1.0, 2.0, 0.7, -0.2, 1.1];
        let value = |t: f64| c.iter().rev().fold(0.0, |sum, c| sum * t + c);
        let slope = |t: f64| {
            (1..ORDER)
                .rev()
                .fold(0.0, |sum, k| sum * t + k as f64 * c[k])
        };
        let found = hermite([0.0, 0.5, 1.0].map(value), [0.0, 0.5, 1.0].map(slope));
        assert!(
            found
                .iter()
                .zip(c)
                .all(|(found, c)| (found - c).abs() < 1e-13),
            "{found:?}"
        );
    }

    #[test]
    fn many_places_are_those_found_one_by_one() {
        for shape in [(0.0, 1.0), (0.6, 0.8)] {
            let spacing = Spacing::new(shape, 5.0, 100);
            let distances: Vec<f64> = (0..=5000).map(|step| f64::from(step) * 1e-3).collect();
            let count = distances.len();
            let (mut intervals, mut t, mut rates) =
                (vec![0; count], vec![0.0; count], vec![0.0; count]);
            let places = (&mut intervals[..], &mut t[..], &mut rates[..]);
            spacing.places(Arch::new(), &distances, places);
            for (at, &r) in distances.iter().enumerate() {
                let place = spacing.place(r);
                let x = f64::from(intervals[at]) + t[at];
                assert!(intervals[at] < 100 && (-1e-12..1.0 + 1e-12).contains(&t[at]));
                assert!((x - place.interval as f64 - place.t).abs() < 1e-12, "{r}");
                assert!((rates[at] / place.rate - 1.0).abs() < 1e-14, "{r}");
            }
        }
    }

    #[test]
    fn places_are_inverse_to_distances() {
        for shape in [(0.0, 1.0), (0.6, 0.8)] {
            let spacing = Spacing::new(shape, 5.0, 100);
            for r in [0.0, 0.3, 2.2, 4.999] {
                let place = spacing.place(r);
                assert!((spacing.distance(place.interval as f64 + place.t) - r).abs() < 1e-13);
                let h = 1e-6;
                let next = spacing.place(r + h);
                let x = |place: Place| place.interval as f64 + place.t;
                assert!(((x(next) - x(place)) / h - place.rate).abs() < 1e-4 * place.rate);
            }
            assert_eq!(spacing.place(5.0).interval, 99);
            assert!((spacing.distance(100.0) - 5.0).abs() < 1e-12);
        }
    }
}
