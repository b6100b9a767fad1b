//! Filters at many distances at once: one pass of basis, filter network and envelope over a tile.

use pulp::{Arch, Simd, WithSimd};

use super::Layer;
use crate::model::{Activation, Basis, Envelope, Network};
use crate::simd::{Aligned, Real, has_fused, padded};

/// The filter of one interaction block, ready to be evaluated in `T`.
#[derive(Debug, Clone)]
pub struct TileFilter<T> {
    basis: Basis,
    basis_envelope: Envelope,
    filter_envelope: Envelope,
    cutoff: f64,
    activation: Activation,
    layers: Vec<Layer<T>>,
}

/// Values and slopes of a tile; the memory is kept from tile to tile.
#[derive(Debug, Clone, Default)]
pub struct Tile<T> {
    /// W, one row of [`TileFilter::stride`] numbers a distance.
    pub value: Aligned<T>,
    /// dW/dr, likewise; empty if slopes were not asked for.
    pub slope: Aligned<T>,
    next_value: Aligned<T>,
    next_slope: Aligned<T>,
    arch: Arch,
}

impl<T: Real> TileFilter<T> {
    /// The filter of interaction block `block`.
    pub fn new(network: &Network, block: usize) -> Self {
        let description = &network.description;
        Self {
            basis: network.basis.clone(),
            basis_envelope: description.basis_envelope,
            filter_envelope: description.filter_envelope,
            cutoff: description.cutoff,
            activation: description.activation,
            layers: network.block(block).filter.iter().map(Layer::new).collect(),
        }
    }

    /// Distance of rows in a tile.
    pub fn stride(&self) -> usize {
        let widths = self.layers.iter().map(|layer| layer.outputs);
        padded::<T>(widths.chain([self.basis.size()]).max().unwrap_or(0))
    }

    /// Fills `tile` with W, and dW/dr if `slopes`, at every one of `distances`.
    pub fn evaluate(&self, distances: &[f64], slopes: bool, tile: &mut Tile<T>) {
        let length = distances.len() * self.stride();
        for buffer in [&mut tile.value, &mut tile.next_value] {
            buffer.resize(length);
        }
        for buffer in [&mut tile.slope, &mut tile.next_slope] {
            buffer.resize(if slopes { length } else { 0 });
        }
        let arch = tile.arch;
        arch.dispatch(Evaluation {
            filter: self,
            distances,
            slopes,
            tile,
        });
    }

    #[inline(always)]
    fn fill_basis<const FUSED: bool>(&self, distances: &[f64], slopes: bool, tile: &mut Tile<T>) {
        let stride = self.stride();
        for (row, &r) in distances.iter().enumerate() {
            let envelope = self.basis_envelope.evaluate(r, self.cutoff);
            let range = row * stride..row * stride + self.basis.size();
            let slope = match slopes {
                true => &mut tile.slope[range.clone()],
                false => &mut [],
            };
            self.basis
                .fill::<T, FUSED>(r, envelope, &mut tile.value[range], slope);
        }
    }

    /// One layer from `value` and `slope` to `next_value` and `next_slope`, and back.
    #[inline(always)]
    fn apply<const FUSED: bool>(
        &self,
        layer: &Layer<T>,
        last: bool,
        rows: usize,
        slopes: bool,
        tile: &mut Tile<T>,
    ) {
        let stride = self.stride();
        layer.apply(
            rows,
            &tile.value,
            stride,
            &mut tile.next_value,
            stride,
            false,
        );
        if slopes {
            layer.apply_linear(
                rows,
                &tile.slope,
                stride,
                &mut tile.next_slope,
                stride,
                false,
            );
        }
        if !last {
            for row in 0..rows {
                let range = row * stride..row * stride + layer.outputs;
                let value = &mut tile.next_value[range.clone()];
                if slopes {
                    self.activation
                        .apply_with_slope::<T, FUSED>(value, &mut tile.next_slope[range]);
                } else {
                    self.activation.apply::<T, FUSED>(value);
                }
            }
        }
        std::mem::swap(&mut tile.value, &mut tile.next_value);
        std::mem::swap(&mut tile.slope, &mut tile.next_slope);
    }

    #[inline(always)]
    fn apply_envelope(&self, distances: &[f64], slopes: bool, tile: &mut Tile<T>) {
        let (stride, width) = (
            self.stride(),
            self.layers.last().map_or(0, |layer| layer.outputs),
        );
        for (row, &r) in distances.iter().enumerate() {
            let (envelope, envelope_slope) = self.filter_envelope.evaluate(r, self.cutoff);
            let (envelope, envelope_slope) = (T::from_f64(envelope), T::from_f64(envelope_slope));
            let value = &mut tile.value[row * stride..(row + 1) * stride];
            // What earlier layers left beyond the last one's width is not part of the filter.
            value[width..].fill(T::default());
            if slopes {
                let slope = &mut tile.slope[row * stride..(row + 1) * stride];
                slope[width..].fill(T::default());
                for (slope, &value) in slope.iter_mut().zip(value.iter()) {
                    *slope = slope.times(envelope).plus(value.times(envelope_slope));
                }
            }
            value
                .iter_mut()
                .for_each(|value| *value = value.times(envelope));
        }
    }
}

struct Evaluation<'a, T> {
    filter: &'a TileFilter<T>,
    distances: &'a [f64],
    slopes: bool,
    tile: &'a mut Tile<T>,
}

impl<T: Real> WithSimd for Evaluation<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if has_fused::<S>() {
            self.evaluate::<true>();
        } else {
            self.evaluate::<false>();
        }
    }
}

impl<T: Real> Evaluation<'_, T> {
    #[inline(always)]
    fn evaluate<const FUSED: bool>(self) {
        let Self {
            filter,
            distances,
            slopes,
            tile,
        } = self;
        filter.fill_basis::<FUSED>(distances, slopes, tile);
        let last = filter.layers.len() - 1;
        for (index, layer) in filter.layers.iter().enumerate() {
            filter.apply::<FUSED>(layer, index == last, distances.len(), slopes, tile);
        }
        filter.apply_envelope(distances, slopes, tile);
    }
}
