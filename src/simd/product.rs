//! Products of rows with a constant matrix, by the nano-gemm crate, on slices whose lengths are checked.

use super::{Aligned, Real, padded};

/// A matrix that many rows are multiplied with, in panels of as many columns as a product does at a time: nothing is copied or
/// allocated then.
#[derive(Debug, Clone)]
pub struct Panels<T> {
    /// Numbers a row of the left side.
    inputs: usize,
    /// Numbers a row of the result, padded with zeros.
    outputs: usize,
    data: Aligned<T>,
}

impl<T: Real> Panels<T> {
    /// The matrix with these elements; its columns are padded.
    pub fn new(inputs: usize, outputs: usize, element: impl Fn(usize, usize) -> T) -> Self {
        let padded_outputs = padded::<T>(outputs);
        let mut data = Aligned::zeros(inputs * padded_outputs);
        for (first, width) in panels::<T>(padded_outputs) {
            for input in 0..inputs {
                let row = &mut data[inputs * first + input * width..][..width];
                for (at, number) in row.iter_mut().enumerate() {
                    if first + at < outputs {
                        *number = element(input, first + at);
                    }
                }
            }
        }
        Self {
            inputs,
            outputs: padded_outputs,
            data,
        }
    }

    /// out = x · matrix, or out += …, for `rows` rows of `x` and of `out`, which has room for padding.
    ///
    /// On the calling thread; the result does not depend on what else runs, nor a row's on the other rows.
    pub fn multiply(
        &self,
        rows: usize,
        (x, x_stride): (&[T], usize),
        (out, out_stride): (&mut [T], usize),
        accumulate: bool,
    ) {
        if rows == 0 || self.inputs == 0 || self.outputs == 0 {
            return;
        }
        let fits = |length: usize, stride: usize, width: usize| {
            rows == 1 || stride >= width && (rows - 1) * stride + width <= length
        };
        assert!(
            fits(x.len(), x_stride, self.inputs) && self.inputs <= x.len(),
            "rows reach beyond their slice"
        );
        assert!(
            fits(out.len(), out_stride, self.outputs) && self.outputs <= out.len(),
            "rows of a result reach beyond their slice"
        );
        let factor = T::from_f64(if accumulate { 1.0 } else { 0.0 });
        for (first, width) in panels::<T>(self.outputs) {
            let panel = &self.data[self.inputs * first..][..self.inputs * width];
            // The crate's matrices are in columns: this is outᵀ = matrixᵀ · xᵀ.
            let plan = T::plan(width, rows, self.inputs);
            // SAFETY: x has `rows` rows of `inputs` numbers and out of `outputs` numbers at their strides, as checked above, and
            // first + width ≤ outputs; the panel has inputs × width numbers, as its slice says. `out` is
            // borrowed mutably, so that it overlaps neither.
            unsafe {
                plan.execute_unchecked(
                    width,
                    rows,
                    self.inputs,
                    out.as_mut_ptr().add(first),
                    1,
                    out_stride as isize,
                    panel.as_ptr(),
                    1,
                    width as isize,
                    x.as_ptr(),
                    1,
                    x_stride as isize,
                    factor,
                    T::from_f64(1.0),
                    false,
                    false,
                );
            }
        }
    }
}

/// First column and width of each panel: two vectors of the widest kind, which is what a product keeps in registers.
fn panels<T>(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    let width = 2 * padded::<T>(1);
    (0..columns)
        .step_by(width)
        .map(move |first| (first, width.min(columns - first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_adds_and_pads() {
        for (rows, inputs, outputs) in [(1, 1, 1), (2, 3, 2), (5, 7, 50), (20, 40, 33)] {
            let matrix = |i: usize, j: usize| (i * 5 + j * 3) as f64 % 7.0 - 3.0;
            let panels = Panels::<f64>::new(inputs, outputs, matrix);
            let (x_stride, stride) = (inputs + 1, padded::<f64>(outputs) + 8);
            let x: Vec<f64> = (0..rows * x_stride).map(|i| i as f64 % 5.0).collect();
            let mut out = vec![9.0; rows * stride];
            for times in 1..3 {
                panels.multiply(rows, (&x, x_stride), (&mut out, stride), times > 1);
                for row in 0..rows {
                    for column in 0..stride {
                        let sum: f64 = (0..inputs)
                            .map(|i| x[row * x_stride + i] * matrix(i, column))
                            .sum();
                        let expected = match column {
                            _ if column < outputs => f64::from(times) * sum,
                            _ if column < padded::<f64>(outputs) => 0.0,
                            _ => 9.0,
                        };
                        assert_eq!(out[row * stride + column], expected);
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "rows reach beyond their slice")]
    fn refuses_to_read_beyond_a_slice() {
        let panels = Panels::<f64>::new(2, 2, |_, _| 1.0);
        panels.multiply(2, (&[1.0; 3], 2), (&mut [0.0; 16], 8), false);
    }

    #[test]
    #[should_panic(expected = "rows of a result reach beyond their slice")]
    fn refuses_to_write_beyond_a_slice() {
        let panels = Panels::<f64>::new(2, 2, |_, _| 1.0);
        panels.multiply(2, (&[1.0; 4], 2), (&mut [0.0; 4], 2), false);
    }
}
