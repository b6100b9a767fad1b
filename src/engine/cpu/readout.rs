//! Atomic energies from final features, and their gradients.

use pulp::Arch;

use super::passes::multiply;
use super::rows::Array;
use crate::filter::Layer;
use crate::model::Activation;
use crate::simd::{Aligned, Real, padded};

/// The layers of a readout and the widths its workspace needs.
#[derive(Debug, Clone)]
pub(super) struct Readout<T> {
    layers: Vec<Layer<T>>,
    activation: Activation,
    /// First column of each hidden layer in [`Scratch::slopes`].
    columns: Vec<usize>,
}

/// Rows of workspace.
pub(super) struct Scratch<'a, T> {
    /// z, and then act′(z), of all hidden layers: [`Readout::hidden`] columns.
    pub slopes: Array<'a, T>,
    /// Two arrays of [`Readout::widest`] columns.
    pub work: [Array<'a, T>; 2],
}

impl<'a, T: Real> Scratch<'a, T> {
    /// Workspace for `rows` rows in `memory`.
    pub fn new(readout: &Readout<T>, rows: usize, memory: &'a mut [Aligned<T>; 3]) -> Self {
        let (hidden, widest) = (readout.hidden(), readout.widest());
        let [slopes, one, other] = memory;
        slopes.resize(rows * hidden);
        one.resize(rows * widest);
        other.resize(rows * widest);
        Self {
            slopes: Array::new(slopes, hidden),
            work: [Array::new(one, widest), Array::new(other, widest)],
        }
    }
}

impl<T: Real> Readout<T> {
    pub fn new(layers: Vec<Layer<T>>, activation: Activation) -> Self {
        let mut columns = vec![0];
        for layer in &layers {
            columns.push(columns.last().unwrap_or(&0) + padded::<T>(layer.outputs));
        }
        Self {
            layers,
            activation,
            columns,
        }
    }

    /// Width of all hidden layers together.
    pub fn hidden(&self) -> usize {
        self.columns[self.layers.len() - 1].max(1)
    }

    /// Width of the widest layer.
    pub fn widest(&self) -> usize {
        self.layers
            .iter()
            .map(|layer| padded::<T>(layer.outputs))
            .max()
            .unwrap_or(1)
    }

    /// Hands the readout's output for each of `rows` rows of `x` to `output`, and puts its gradient into `gradient`.
    pub fn evaluate(
        &self,
        arch: Arch,
        rows: usize,
        x: (&[T], usize),
        scratch: &mut Scratch<T>,
        gradient: (&mut [T], usize),
        mut output: impl FnMut(usize, T),
    ) {
        let (last, hidden) = self
            .layers
            .split_last()
            .expect("a readout has at least one layer");
        let [one, other] = &mut scratch.work;
        let (mut input, mut result) = (&mut *one, &mut *other);
        let stride = scratch.slopes.stride;
        for (index, layer) in hidden.iter().enumerate() {
            let z = &mut scratch.slopes.data[self.columns[index]..];
            match index {
                0 => layer.apply(rows, x.0, x.1, z, stride, false),
                _ => layer.apply(rows, input.data, input.stride, z, stride, false),
            }
            for row in 0..rows {
                let after = &mut result.row(row)[..layer.outputs];
                let z = &mut z[row * stride..row * stride + layer.outputs];
                self.activation.apply_keeping_slope(arch, z, after);
            }
            std::mem::swap(&mut input, &mut result);
        }
        match hidden.len() {
            0 => last.apply(rows, x.0, x.1, result.data, result.stride, false),
            _ => last.apply(
                rows,
                input.data,
                input.stride,
                result.data,
                result.stride,
                false,
            ),
        }
        for row in 0..rows {
            output(row, result.row(row)[0]);
        }

        // dE/d(output) is 1: the gradient by the last layer's input is its one row of weights.
        (0..rows).for_each(|row| result.row(row)[0] = T::from_f64(1.0));
        let mut layer = last;
        for (index, below) in hidden.iter().enumerate().rev() {
            layer.apply_transposed(
                rows,
                result.data,
                result.stride,
                input.data,
                input.stride,
                false,
            );
            for row in 0..rows {
                let at = row * stride + self.columns[index];
                let slopes = &scratch.slopes.data[at..at + below.outputs];
                let gradient = &mut input.row(row)[..below.outputs];
                arch.dispatch(|| multiply(gradient, slopes));
            }
            std::mem::swap(&mut input, &mut result);
            layer = below;
        }
        layer.apply_transposed(
            rows,
            result.data,
            result.stride,
            gradient.0,
            gradient.1,
            false,
        );
    }
}
