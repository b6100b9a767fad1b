//! Affine layers on rows of numbers, by matrix products.

use crate::model::Dense;
use crate::simd::{Aligned, Panels, Real, padded};

/// An affine layer, its numbers rounded once to `T`.
///
/// Rows that it writes are padded to whole vectors, with zeros.
#[derive(Debug, Clone)]
pub struct Layer<T> {
    /// Numbers a row that it reads.
    pub inputs: usize,
    /// Numbers a row that it writes.
    pub outputs: usize,
    weight: Panels<T>,
    /// For derivatives, which go the other way.
    transposed: Panels<T>,
    bias: Option<Aligned<T>>,
}

impl<T: Real> Layer<T> {
    /// Rounds a layer of a network.
    pub fn new(layer: &Dense) -> Self {
        let (inputs, outputs) = (layer.inputs, layer.outputs);
        let weight = |input, output| T::from_f64(layer.weight[output * inputs + input]);
        let bias = layer.bias.as_ref().map(|bias| {
            let mut row = Aligned::zeros(padded::<T>(outputs));
            row.iter_mut()
                .zip(bias)
                .for_each(|(to, &from)| *to = T::from_f64(from));
            row
        });
        Self {
            inputs,
            outputs,
            weight: Panels::new(inputs, outputs, weight),
            transposed: Panels::new(outputs, inputs, |output, input| weight(input, output)),
            bias,
        }
    }

    /// out = weight · x + bias, or out += …, for `rows` rows; here and below, rows of `out` have room for padding.
    #[inline(always)]
    pub fn apply(
        &self,
        rows: usize,
        x: &[T],
        x_stride: usize,
        out: &mut [T],
        out_stride: usize,
        accumulate: bool,
    ) {
        self.apply_linear(rows, x, x_stride, out, out_stride, accumulate);
        if let Some(bias) = &self.bias {
            for row in out.chunks_mut(out_stride).take(rows) {
                for (out, &bias) in row.iter_mut().zip(bias.iter()) {
                    *out = out.plus(bias);
                }
            }
        }
    }

    /// out = weight · x, or out += …: what the layer does to derivatives.
    pub fn apply_linear(
        &self,
        rows: usize,
        x: &[T],
        x_stride: usize,
        out: &mut [T],
        out_stride: usize,
        accumulate: bool,
    ) {
        self.weight
            .multiply(rows, (x, x_stride), (out, out_stride), accumulate);
    }

    /// out = weightᵀ · g, or out += …, for `rows` rows.
    pub fn apply_transposed(
        &self,
        rows: usize,
        g: &[T],
        g_stride: usize,
        out: &mut [T],
        out_stride: usize,
        accumulate: bool,
    ) {
        self.transposed
            .multiply(rows, (g, g_stride), (out, out_stride), accumulate);
    }
}
