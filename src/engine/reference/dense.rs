//! Affine layers and multilayer perceptrons on one vector, and their transposes.

use crate::model::{Activation, Dense};

/// weight · x + bias
pub(super) fn affine(layer: &Dense, x: &[f64]) -> Vec<f64> {
    (0..layer.outputs)
        .map(|output| {
            let row = &layer.weight[output * layer.inputs..(output + 1) * layer.inputs];
            let bias = layer.bias.as_ref().map_or(0.0, |bias| bias[output]);
            bias + row.iter().zip(x).map(|(weight, x)| weight * x).sum::<f64>()
        })
        .collect()
}

/// weightᵀ · gradient
pub(super) fn transposed(layer: &Dense, gradient: &[f64]) -> Vec<f64> {
    let mut result = vec![0.0; layer.inputs];
    for (row, gradient) in layer.weight.chunks_exact(layer.inputs).zip(gradient) {
        for (result, weight) in result.iter_mut().zip(row) {
            *result += weight * gradient;
        }
    }
    result
}

/// The one output of a perceptron, and its gradient with respect to `x`.
pub(super) fn readout(layers: &[Dense], activation: Activation, x: &[f64]) -> (f64, Vec<f64>) {
    let (last, hidden) = layers
        .split_last()
        .expect("a readout has at least one layer");
    let mut before_activation = Vec::with_capacity(hidden.len());
    let mut h = x.to_vec();
    for layer in hidden {
        let z = affine(layer, &h);
        h = z.iter().map(|&z| activation.value(z)).collect();
        before_activation.push(z);
    }
    let output = affine(last, &h)[0];
    let mut gradient = transposed(last, &[1.0]);
    for (layer, z) in hidden.iter().zip(&before_activation).rev() {
        for (gradient, &z) in gradient.iter_mut().zip(z) {
            *gradient *= activation.derivative(z);
        }
        gradient = transposed(layer, &gradient);
    }
    (output, gradient)
}
