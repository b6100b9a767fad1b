//! The weights of a network, rounded once to the engine's precision.

use crate::model::{Dense, Network};
use crate::simd::{Aligned, Matrix, Real, padded, product};

/// An affine layer.
#[derive(Debug, Clone)]
pub(super) struct Layer<T> {
    pub inputs: usize,
    pub outputs: usize,
    weight: Vec<T>,
    /// weightᵀ: products are quickest where the matrix's numbers lie along the result's rows.
    transposed: Vec<T>,
    bias: Option<Vec<T>>,
}

/// One interaction block without its filter.
#[derive(Debug, Clone)]
pub(super) struct Block<T> {
    pub in2f: Layer<T>,
    pub f2out: Layer<T>,
    pub dense: Layer<T>,
}

/// All of a network but the filters.
#[derive(Debug, Clone)]
pub(super) struct Weights<T> {
    pub embedding: Vec<T>,
    /// in2f of block 0 applied to the embedding: y⁰ of every type, rows padded.
    pub first_y: Aligned<T>,
    pub blocks: Vec<Block<T>>,
    pub readout: Vec<Layer<T>>,
}

impl<T: Real> Layer<T> {
    fn new(layer: &Dense) -> Self {
        Self {
            inputs: layer.inputs,
            outputs: layer.outputs,
            weight: round(&layer.weight),
            transposed: round(&transposed(layer)),
            bias: layer.bias.as_deref().map(round),
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
        if let Some(bias) = &self.bias {
            for row in out.chunks_mut(out_stride).take(rows) {
                for (out, &bias) in row.iter_mut().zip(bias) {
                    *out = out.plus(bias);
                }
            }
        }
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

impl<T: Real> Weights<T> {
    pub fn new(network: &Network) -> Self {
        let (features, stride) = (
            network.description.features,
            padded::<T>(network.description.filters),
        );
        let embedding: Vec<T> = round(&network.embedding);
        let blocks: Vec<Block<T>> = network
            .blocks
            .iter()
            .map(|block| Block {
                in2f: Layer::new(&block.in2f),
                f2out: Layer::new(&block.f2out),
                dense: Layer::new(&block.dense),
            })
            .collect();
        let types = network.embedding.len() / features;
        let mut first_y = Aligned::zeros(types * stride);
        blocks[0]
            .in2f
            .apply(types, &embedding, features, &mut first_y, stride, false);
        Self {
            embedding,
            first_y,
            blocks,
            readout: network.readout.iter().map(Layer::new).collect(),
        }
    }
}

fn transposed(layer: &Dense) -> Vec<f64> {
    let rows =
        |input| (0..layer.outputs).map(move |output| layer.weight[output * layer.inputs + input]);
    (0..layer.inputs).flat_map(rows).collect()
}

fn round<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&value| T::from_f64(value)).collect()
}
