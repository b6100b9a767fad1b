//! Activation functions and their derivatives.

use crate::model::Activation;

impl Activation {
    /// act(z)
    #[inline]
    pub fn value(self, z: f64) -> f64 {
        match self {
            // ln(½eᶻ + ½) without overflow for large |z|.
            Self::ShiftedSoftplus => z.max(0.0) + (-z.abs()).exp().ln_1p() - std::f64::consts::LN_2,
            Self::Tanh => z.tanh(),
            Self::Silu => z * sigmoid(z),
        }
    }

    /// d act / dz
    #[inline]
    pub fn derivative(self, z: f64) -> f64 {
        match self {
            Self::ShiftedSoftplus => sigmoid(z),
            Self::Tanh => 1.0 - z.tanh().powi(2),
            Self::Silu => {
                let s = sigmoid(z);
                s * (1.0 + z * (1.0 - s))
            }
        }
    }
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_match_finite_differences() {
        for activation in [
            Activation::ShiftedSoftplus,
            Activation::Tanh,
            Activation::Silu,
        ] {
            for z in [-30.0, -3.0, -0.1, 0.0, 0.2, 2.5, 30.0] {
                let h = 1e-5;
                let numeric = (activation.value(z + h) - activation.value(z - h)) / (2.0 * h);
                assert!(
                    (numeric - activation.derivative(z)).abs() < 1e-9,
                    "{activation:?} at {z}"
                );
            }
        }
    }

    #[test]
    fn extreme_arguments_stay_finite() {
        for activation in [
            Activation::ShiftedSoftplus,
            Activation::Tanh,
            Activation::Silu,
        ] {
            for z in [-1e300, -800.0, 800.0, 1e300] {
                assert!(activation.value(z).is_finite() && activation.derivative(z).is_finite());
            }
        }
    }
}
