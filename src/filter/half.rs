//! 16 bits with a scale for each channel: of tables, and of the weights of layers.
//!
//! Numbers are kept as integers of 16 bits, in parts of the largest that their channel has. Coefficients of polynomials fall with
//! their power and with the distance, for all channels much alike, so that those of an interval and power have a common factor
//! besides: without it the small ones would lose their digits.

use super::table::{ORDER, Spacing, Tables, bound};
use crate::model::{Dense, Network};
use crate::simd::{Aligned, Real};

/// The largest integer in use.
const LARGEST: f64 = i16::MAX as f64;

/// Tables of all distinct interaction blocks of a network, in 16 bits.
#[derive(Debug, Clone)]
pub struct HalfTables<T> {
    spacing: Spacing,
    blocks: Vec<HalfTable<T>>,
    bound: f64,
}

/// The table of one block: a coefficient is its integer times the scale of its channel times the factor of its interval and power.
#[derive(Debug, Clone)]
pub struct HalfTable<T> {
    /// For every interval [`ORDER`] rows, padded, as in [`Tables::block`].
    pub numbers: Aligned<i16>,
    /// One a channel, padded.
    pub scales: Aligned<T>,
    /// [`ORDER`] an interval.
    pub factors: Vec<T>,
}

impl<T: Real> HalfTables<T> {
    /// Rounds `tables` of `network`.
    pub fn new(network: &Network, tables: &Tables<T>) -> Self {
        let spacing = *tables.spacing();
        let rows = spacing.intervals() * ORDER;
        let blocks: Vec<_> = (0..network.blocks.len())
            .map(|block| HalfTable::new(tables.block(block), rows))
            .collect();
        let expanded: Vec<_> = blocks.iter().map(HalfTable::expanded).collect();
        Self {
            bound: bound(network, spacing, &expanded),
            spacing,
            blocks,
        }
    }

    /// The grid.
    pub fn spacing(&self) -> &Spacing {
        &self.spacing
    }

    /// As [`Tables::bound`], with what rounding does.
    pub fn bound(&self) -> f64 {
        self.bound
    }

    /// The table of distinct block `block`.
    pub fn block(&self, block: usize) -> &HalfTable<T> {
        &self.blocks[block]
    }
}

impl<T: Real> HalfTable<T> {
    fn new(table: &[T], rows: usize) -> Self {
        let stride = table.len() / rows;
        let sizes = |row: usize| {
            let row = &table[row * stride..(row + 1) * stride];
            row.iter().map(|x| x.to_f64().abs())
        };
        let mut largest = vec![0.0f64; stride];
        for row in 0..rows {
            largest
                .iter_mut()
                .zip(sizes(row))
                .for_each(|(largest, size)| *largest = largest.max(size));
        }
        // The largest share that a channel of a row has of the channel's largest; rounded first, as it will be used.
        let share = |size: f64, largest: f64| if largest > 0.0 { size / largest } else { 0.0 };
        let factors: Vec<T> = (0..rows)
            .map(|row| {
                let shares = sizes(row).zip(&largest);
                T::from_f64(shares.fold(0.0, |most, (size, &all)| f64::max(most, share(size, all))))
            })
            .collect();
        let mut scales = vec![0.0f64; stride];
        for (row, factor) in factors.iter().enumerate() {
            for (scale, size) in scales.iter_mut().zip(sizes(row)) {
                *scale = scale.max(share(size, factor.to_f64()) / LARGEST);
            }
        }
        let mut rounded = Aligned::zeros(stride);
        rounded
            .iter_mut()
            .zip(&scales)
            .for_each(|(to, &from)| *to = T::from_f64(from));
        let mut numbers = Aligned::zeros(table.len());
        for (at, number) in numbers.iter_mut().enumerate() {
            let unit = factors[at / stride].to_f64() * rounded[at % stride].to_f64();
            *number = share(table[at].to_f64(), unit)
                .round()
                .clamp(-LARGEST, LARGEST) as i16;
        }
        Self {
            numbers,
            scales: rounded,
            factors,
        }
    }

    /// Coefficients of an interval and power, from channel `first` on.
    #[inline(always)]
    pub fn expand(&self, interval: usize, power: usize, first: usize, out: &mut [T]) {
        let row = interval * ORDER + power;
        let factor = self.factors[row];
        let numbers = &self.numbers[row * self.scales.len() + first..][..out.len()];
        let scales = &self.scales[first..first + out.len()];
        for ((out, &number), &scale) in out.iter_mut().zip(numbers).zip(scales) {
            *out = T::from_i16(number).times(scale.times(factor));
        }
    }

    /// The table in the numbers that the integers stand for, as in [`Tables::block`].
    pub fn expanded(&self) -> Aligned<T> {
        let mut table = Aligned::zeros(self.numbers.len());
        for (row, out) in table.chunks_exact_mut(self.scales.len()).enumerate() {
            self.expand(row / ORDER, row % ORDER, 0, out);
        }
        table
    }
}

/// `network` with the weights of all its layers rounded to integers of 16 bits, in parts of the largest of their output channel.
/// Biases and embeddings, which are added and not multiplied, stay as they are.
pub fn rounded(network: &Network) -> Network {
    let mut network = network.clone();
    for block in &mut network.blocks {
        let layers = [&mut block.in2f, &mut block.f2out, &mut block.dense];
        layers.into_iter().chain(&mut block.filter).for_each(round);
    }
    network.readout.iter_mut().for_each(round);
    network
}

fn round(layer: &mut Dense) {
    for row in layer.weight.chunks_exact_mut(layer.inputs) {
        let largest = row
            .iter()
            .fold(0.0, |largest, x| f64::max(largest, x.abs()));
        let unit = largest / LARGEST;
        if unit > 0.0 {
            row.iter_mut().for_each(|x| *x = (*x / unit).round() * unit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_fifteen_bits_of_every_channel_and_row() {
        // Channels of very different size, falling by powers and intervals, one of them nothing.
        let (intervals, stride) = (5, 16);
        let size = |row: usize, channel: usize| match channel {
            3 => 0.0,
            _ => 10f64.powi(channel as i32 - 8) * 0.3f64.powi(row as i32),
        };
        let table: Vec<f64> = (0..intervals * ORDER * stride)
            .map(|at| size(at / stride, at % stride) * (0.75 + 0.25 * (at as f64).sin()))
            .collect();
        let half = HalfTable::new(&table, intervals * ORDER);
        for (at, (found, x)) in half.expanded().iter().zip(&table).enumerate() {
            let error = (found - x).abs();
            assert!(
                error <= 1e-4 * size(at / stride, at % stride),
                "{found} {x}"
            );
        }
        assert!(
            half.numbers
                .iter()
                .any(|&number| number.unsigned_abs() > 32_000)
        );
    }

    #[test]
    fn a_layer_keeps_fifteen_bits_of_every_channel() {
        let mut layer = Dense {
            outputs: 3,
            inputs: 2,
            weight: vec![1.0, -0.3, 1e-20, 7e-21, 0.0, 0.0],
            bias: None,
        };
        let before = layer.weight.clone();
        round(&mut layer);
        for (row, (found, x)) in layer.weight.iter().zip(&before).enumerate() {
            assert!((found - x).abs() <= [1.0, 1e-20, 0.0][row / 2] / 65_000.0);
        }
        assert_ne!(layer.weight, before);
    }
}
