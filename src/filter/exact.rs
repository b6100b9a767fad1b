//! The filter as it is defined: basis, envelopes and filter network evaluated at one distance.

use crate::model::{Activation, Basis, Dense, Envelope, Network};

/// Evaluates W(r) and dW/dr of one interaction block in float64.
///
/// The derivative is carried through the layers together with the value (forward mode), so it is the
/// derivative of the value that is returned, up to rounding.
pub struct ExactFilter<'a> {
    basis: &'a Basis,
    layers: &'a [Dense],
    activation: Activation,
    basis_envelope: &'a Envelope,
    filter_envelope: &'a Envelope,
    cutoff: f64,
    input: Vec<(f64, f64)>,
    output: Vec<(f64, f64)>,
}

impl<'a> ExactFilter<'a> {
    /// The filter of interaction block `block`.
    pub fn new(network: &'a Network, block: usize) -> Self {
        let description = &network.description;
        Self {
            basis: &network.basis,
            layers: &network.block(block).filter,
            activation: description.activation,
            basis_envelope: &description.basis_envelope,
            filter_envelope: &description.filter_envelope,
            cutoff: description.cutoff,
            input: Vec::new(),
            output: Vec::new(),
        }
    }

    /// (W, dW/dr) of every channel at distance `r`.
    pub fn evaluate(&mut self, r: f64) -> &[(f64, f64)] {
        let (envelope, envelope_slope) = self.basis_envelope.evaluate(r, self.cutoff);
        self.input.resize(self.basis.size(), (0.0, 0.0));
        let input = &mut self.input;
        self.basis.evaluate(r, |k, value, slope| {
            input[k] = (value * envelope, slope * envelope + value * envelope_slope);
        });
        let last = self.layers.len() - 1;
        for (index, layer) in self.layers.iter().enumerate() {
            self.output.clear();
            for output in 0..layer.outputs {
                let weights = &layer.weight[output * layer.inputs..(output + 1) * layer.inputs];
                let mut value = layer.bias.as_ref().map_or(0.0, |bias| bias[output]);
                let mut slope = 0.0;
                for (weight, input) in weights.iter().zip(&self.input) {
                    value += weight * input.0;
                    slope += weight * input.1;
                }
                if index < last {
                    slope *= self.activation.derivative(value);
                    value = self.activation.value(value);
                }
                self.output.push((value, slope));
            }
            std::mem::swap(&mut self.input, &mut self.output);
        }
        let (envelope, envelope_slope) = self.filter_envelope.evaluate(r, self.cutoff);
        for (value, slope) in &mut self.input {
            *slope = *slope * envelope + *value * envelope_slope;
            *value *= envelope;
        }
        &self.input
    }
}
