//! Cutoff envelopes and their derivatives.

use std::f64::consts::PI;

use crate::model::Envelope;

impl Envelope {
    /// (f(r), df/dr) for a network with this cutoff; zero at and beyond the envelope's end.
    pub fn evaluate(&self, r: f64, network_cutoff: f64) -> (f64, f64) {
        match *self {
            Self::None {} => (if r < network_cutoff { 1.0 } else { 0.0 }, 0.0),
            Self::Cosine { cutoff, lower } => {
                let end = cutoff.unwrap_or(network_cutoff);
                if r >= end || (lower > 0.0 && r <= lower) {
                    return (0.0, 0.0);
                }
                let (phase, slope) = if lower > 0.0 {
                    let slope = 2.0 * PI / (end - lower);
                    ((r - lower) * slope + PI, slope)
                } else {
                    (PI * r / end, PI / end)
                };
                (0.5 * (phase.cos() + 1.0), -0.5 * phase.sin() * slope)
            }
            Self::ShiftedCosine { cutoff, width } => {
                let end = cutoff.unwrap_or(network_cutoff);
                if r >= end {
                    (0.0, 0.0)
                } else if r <= end - width {
                    (1.0, 0.0)
                } else {
                    let phase = PI * (r - end + width) / width;
                    (0.5 * (phase.cos() + 1.0), -0.5 * phase.sin() * PI / width)
                }
            }
            Self::Mollifier { cutoff } => {
                let end = cutoff.unwrap_or(network_cutoff);
                let x = r / end;
                let rest = 1.0 - x * x;
                if r >= end || rest <= 0.0 {
                    return (0.0, 0.0);
                }
                let value = (1.0 - 1.0 / rest).exp();
                // Close to the end the value underflows before the factor overflows.
                if value == 0.0 {
                    return (0.0, 0.0);
                }
                (value, -2.0 * x / (rest * rest) / end * value)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [Envelope; 7] {
        [
            Envelope::None {},
            Envelope::Cosine {
                cutoff: None,
                lower: 0.0,
            },
            Envelope::Cosine {
                cutoff: Some(4.0),
                lower: 0.0,
            },
            Envelope::Cosine {
                cutoff: None,
                lower: 1.0,
            },
            Envelope::ShiftedCosine {
                cutoff: None,
                width: 0.5,
            },
            Envelope::ShiftedCosine {
                cutoff: Some(3.0),
                width: 3.0,
            },
            Envelope::Mollifier { cutoff: None },
        ]
    }

    #[test]
    fn derivatives_match_finite_differences() {
        for envelope in all() {
            for r in [0.3, 1.7, 2.9, 3.7, 4.8, 4.99] {
                let h = 1e-6;
                let numeric =
                    (envelope.evaluate(r + h, 5.0).0 - envelope.evaluate(r - h, 5.0).0) / (2.0 * h);
                let slope = envelope.evaluate(r, 5.0).1;
                assert!(
                    (numeric - slope).abs() < 1e-7,
                    "{envelope:?} at {r}: {numeric} {slope}"
                );
            }
        }
    }

    #[test]
    fn zero_from_the_cutoff_on_and_never_nan() {
        for envelope in all() {
            for r in [5.0, 5.0 + 1e-12, 7.0, 1e300] {
                assert_eq!(envelope.evaluate(r, 5.0), (0.0, 0.0));
            }
            let below = 5.0f64.next_down();
            let (value, slope) = envelope.evaluate(below, 5.0);
            assert!(value.is_finite() && slope.is_finite());
        }
    }
}
