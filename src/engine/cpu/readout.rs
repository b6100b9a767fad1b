//! Atomic energies from final features, and their gradients.
//!
//! The way to the energy is computed in float64 whatever the engine's precision: much cancels in a sum of atomic energies, and the
//! like atoms of a crystal are all rounded the same way. It is a small part of the work.

use pulp::Arch;

use super::rows::Array;
use crate::filter::Layer;
use crate::model::{Activation, Network};
use crate::simd::{Aligned, Real, padded};

/// The layers of a readout and the widths its workspace needs.
#[derive(Debug, Clone)]
pub(super) struct Readout<T> {
    forward: Vec<Layer<f64>>,
    backward: Vec<Layer<T>>,
    activation: Activation,
    /// First column of each hidden layer in [`Scratch::slopes`].
    columns: Vec<usize>,
}

/// Memory of [`Scratch`], kept from call to call.
#[derive(Debug, Default)]
pub(super) struct Memory<T> {
    slopes: Aligned<f64>,
    values: [Aligned<f64>; 2],
    gradients: [Aligned<T>; 2],
}

/// Rows of workspace.
pub(super) struct Scratch<'a, T> {
    /// z, and then act′(z), of all hidden layers: [`Readout::hidden`] columns.
    slopes: Array<'a, f64>,
    /// Arrays of [`Readout::widest`] columns, two for each direction.
    values: [Array<'a, f64>; 2],
    gradients: [Array<'a, T>; 2],
}

impl<'a, T: Real> Scratch<'a, T> {
    /// Workspace for `rows` rows in `memory`.
    pub fn new(readout: &Readout<T>, rows: usize, memory: &'a mut Memory<T>) -> Self {
        let (hidden, widest) = (readout.hidden(), readout.widest());
        memory.slopes.resize(rows * hidden);
        memory
            .values
            .iter_mut()
            .for_each(|v| v.resize(rows * widest));
        memory
            .gradients
            .iter_mut()
            .for_each(|g| g.resize(rows * widest));
        Self {
            slopes: Array::new(&mut memory.slopes, hidden),
            values: memory.values.each_mut().map(|v| Array::new(v, widest)),
            gradients: memory.gradients.each_mut().map(|g| Array::new(g, widest)),
        }
    }
}

impl<T: Real> Readout<T> {
    pub fn new(network: &Network) -> Self {
        let layers = &network.readout;
        let mut columns = vec![0];
        for layer in layers {
            columns.push(columns.last().unwrap_or(&0) + padded::<f64>(layer.outputs));
        }
        Self {
            forward: layers.iter().map(Layer::new).collect(),
            backward: layers.iter().map(Layer::new).collect(),
            activation: network.description.readout_activation(),
            columns,
        }
    }

    /// Width of all hidden layers together.
    fn hidden(&self) -> usize {
        self.columns[self.forward.len() - 1].max(1)
    }

    /// Width of the widest layer.
    fn widest(&self) -> usize {
        let widths = |layer: &Layer<f64>| padded::<T>(layer.outputs.max(layer.inputs));
        self.forward.iter().map(widths).max().unwrap_or(1)
    }

    /// Hands the readout's output for each of `rows` rows of `x` to `output`, and puts its gradient into `gradient`.
    pub fn evaluate(
        &self,
        arch: Arch,
        rows: usize,
        x: (&[T], usize),
        scratch: &mut Scratch<T>,
        gradient: (&mut [T], usize),
        mut output: impl FnMut(usize, f64),
    ) {
        let (last, hidden) = self
            .forward
            .split_last()
            .expect("a readout has at least one layer");
        let [one, other] = &mut scratch.values;
        let (mut input, mut result) = (&mut *one, &mut *other);
        let stride = scratch.slopes.stride;
        for row in 0..rows {
            let from = &x.0[row * x.1..(row + 1) * x.1];
            for (to, from) in input.row(row).iter_mut().zip(from) {
                *to = from.to_f64();
            }
        }
        for (index, layer) in hidden.iter().enumerate() {
            let z = &mut scratch.slopes.data[self.columns[index]..];
            layer.apply(rows, input.data, input.stride, z, stride, false);
            for row in 0..rows {
                let after = &mut result.row(row)[..layer.outputs];
                let z = &mut z[row * stride..row * stride + layer.outputs];
                self.activation.apply_keeping_slope(arch, z, after);
            }
            std::mem::swap(&mut input, &mut result);
        }
        last.apply(
            rows,
            input.data,
            input.stride,
            result.data,
            result.stride,
            false,
        );
        for row in 0..rows {
            output(row, result.row(row)[0]);
        }
        self.gradient(arch, rows, scratch, gradient);
    }

    /// The gradient of the output, from the slopes of the hidden layers.
    fn gradient(
        &self,
        arch: Arch,
        rows: usize,
        scratch: &mut Scratch<T>,
        gradient: (&mut [T], usize),
    ) {
        let (mut layer, hidden) = self
            .backward
            .split_last()
            .expect("a readout has at least one layer");
        let [one, other] = &mut scratch.gradients;
        let (mut above, mut below) = (&mut *one, &mut *other);
        let stride = scratch.slopes.stride;
        // dE/d(output) is 1: the gradient by the last layer's input is its one row of weights.
        (0..rows).for_each(|row| above.row(row)[0] = T::from_f64(1.0));
        for (index, next) in hidden.iter().enumerate().rev() {
            layer.apply_transposed(
                rows,
                above.data,
                above.stride,
                below.data,
                below.stride,
                false,
            );
            for row in 0..rows {
                let at = row * stride + self.columns[index];
                let slopes = &scratch.slopes.data[at..at + next.outputs];
                let gradient = &mut below.row(row)[..next.outputs];
                arch.dispatch(|| scale(gradient, slopes));
            }
            std::mem::swap(&mut above, &mut below);
            layer = next;
        }
        layer.apply_transposed(
            rows,
            above.data,
            above.stride,
            gradient.0,
            gradient.1,
            false,
        );
    }
}

/// rows ∘ factors, in place.
#[inline(always)]
fn scale<T: Real>(rows: &mut [T], factors: &[f64]) {
    rows.iter_mut()
        .zip(factors)
        .for_each(|(value, &factor)| *value = value.times(T::from_f64(factor)));
}
