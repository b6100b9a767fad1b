//! Affine layers on rows of numbers, by matrix products.

use crate::model::Dense;
use crate::simd::{Matrix, Real, product};

/// An affine layer, its numbers rounded once to `T`.
#[derive(Debug, Clone)]
pub struct Layer<T> {
    /// Numbers a row that it reads.
    pub inputs: usize,
    /// Numbers a row that it writes.
    pub outputs: usize,
    weight: Vec<T>,
    /// weightᵀ: products are quickest where the matrix's numbers lie along the result's rows.
    transposed: Vec<T>,
    bias: Option<Vec<T>>,
}

impl<T: Real> Layer<T> {
    /// Rounds a layer of a network.
    pub fn new(layer: &Dense) -> Self {
        let weight: Vec<T> = layer.weight.iter().map(|&x| T::from_f64(x)).collect();
        let column = |input| (0..layer.outputs).map(move |output| output * layer.inputs + input);
        let transposed = (0..layer.inputs)
            .flat_map(column)
            .map(|at| weight[at])
            .collect();
        Self {
            inputs: layer.inputs,
            outputs: layer.outputs,
            transposed,
            weight,
            bias: layer
                .bias
                .as_ref()
                .map(|bias| bias.iter().map(|&x| T::from_f64(x)).collect()),
        }
    }

    /// out = weight · x + bias, or out += …, for `rows` rows.
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
                for (out, &bias) in row.iter_mut().zip(bias) {
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
        let shape = (rows, self.outputs, self.inputs);
        let weight = Matrix::rows(&self.transposed, self.outputs);
        product(
            shape,
            Matrix::rows(x, x_stride),
            weight,
            out,
            out_stride,
            accumulate,
        );
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
        let shape = (rows, self.inputs, self.outputs);
        let weight = Matrix::rows(&self.weight, self.inputs);
        product(
            shape,
            Matrix::rows(g, g_stride),
            weight,
            out,
            out_stride,
            accumulate,
        );
    }
}
