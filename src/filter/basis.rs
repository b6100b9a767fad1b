//! Radial basis functions and their derivatives.

use crate::model::Basis;
use crate::simd::Real;

impl Basis {
    /// Number of functions.
    pub fn size(&self) -> usize {
        match self {
            Self::Gaussian { centers, .. } => centers.len(),
            Self::ExponentialNormal { means, .. } => means.len(),
            Self::Bessel { frequencies } => frequencies.len(),
        }
    }

    /// φₖ(r) times an envelope, and if `slopes` is not empty its derivative, for all functions at once: vector code, whose exponentials are
    /// those of [`Real::exp`].
    #[inline(always)]
    pub fn fill<T: Real, const FUSED: bool>(
        &self,
        r: f64,
        (envelope, envelope_slope): (f64, f64),
        values: &mut [T],
        slopes: &mut [T],
    ) {
        // Exponents cancel most of their digits and are formed in float64.
        match self {
            Self::Gaussian { centers, widths } => {
                for (value, (center, width)) in values.iter_mut().zip(centers.iter().zip(widths)) {
                    let u = (r - center) / width;
                    *value = exponential::<T, FUSED>(-0.5 * u * u);
                }
                for (slope, (center, width)) in slopes.iter_mut().zip(centers.iter().zip(widths)) {
                    *slope = T::from_f64((center - r) / (width * width));
                }
            }
            Self::ExponentialNormal {
                alpha,
                start,
                means,
                betas,
            } => {
                let inner = (-alpha * (r - start)).exp();
                for (value, (mean, beta)) in values.iter_mut().zip(means.iter().zip(betas)) {
                    let u = inner - mean;
                    *value = exponential::<T, FUSED>(-beta * u * u);
                }
                let factor = 2.0 * alpha * inner;
                for (slope, (mean, beta)) in slopes.iter_mut().zip(means.iter().zip(betas)) {
                    *slope = T::from_f64(factor * beta * (inner - mean));
                }
            }
            Self::Bessel { .. } => {
                self.evaluate(r, |k, value, slope| {
                    values[k] = T::from_f64(value * envelope);
                    if let Some(out) = slopes.get_mut(k) {
                        *out = T::from_f64(slope * envelope + value * envelope_slope);
                    }
                });
                return;
            }
        }
        let (envelope, envelope_slope) = (T::from_f64(envelope), T::from_f64(envelope_slope));
        // What stands in `slopes` is the derivative of the logarithm.
        for (slope, value) in slopes.iter_mut().zip(values.iter()) {
            *slope = value.times(slope.times_plus::<FUSED>(envelope, envelope_slope));
        }
        values
            .iter_mut()
            .for_each(|value| *value = value.times(envelope));
    }

    /// Calls `put(k, φₖ(r), dφₖ/dr)` for every function k; `r` is not negative.
    pub fn evaluate(&self, r: f64, mut put: impl FnMut(usize, f64, f64)) {
        match self {
            Self::Gaussian { centers, widths } => {
                for (k, (center, width)) in centers.iter().zip(widths).enumerate() {
                    let u = (r - center) / width;
                    let value = (-0.5 * u * u).exp();
                    put(k, value, -u / width * value);
                }
            }
            Self::ExponentialNormal {
                alpha,
                start,
                means,
                betas,
            } => {
                let inner = (-alpha * (r - start)).exp();
                for (k, (mean, beta)) in means.iter().zip(betas).enumerate() {
                    let u = inner - mean;
                    let value = (-beta * u * u).exp();
                    put(k, value, 2.0 * beta * u * alpha * inner * value);
                }
            }
            Self::Bessel { frequencies } => {
                for (k, frequency) in frequencies.iter().enumerate() {
                    let (value, slope) = bessel(*frequency, r);
                    put(k, value, slope);
                }
            }
        }
    }
}

/// eˣ of a number that is not positive; zero where it is nothing beside the largest of a basis.
#[inline(always)]
fn exponential<T: Real, const FUSED: bool>(x: f64) -> T {
    const NOTHING: f64 = -80.0;
    let value = T::from_f64(x).exp::<FUSED>();
    if x > NOTHING { value } else { T::default() }
}

/// sin(f r) / r and its derivative.
fn bessel(f: f64, r: f64) -> (f64, f64) {
    let z = f * r;
    let z2 = z * z;
    // Where the differences below would cancel, their series are exact to rounding.
    if z2 < 1e-4 {
        let value = f * (1.0 - z2 / 6.0 * (1.0 - z2 / 20.0 * (1.0 - z2 / 42.0)));
        let slope = -f * f * z / 3.0 * (1.0 - z2 / 10.0 * (1.0 - z2 / 28.0));
        return (value, slope);
    }
    let (sin, cos) = z.sin_cos();
    let value = sin / r;
    (value, (f * cos - value) / r)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_match_finite_differences() {
        let bases = [
            Basis::Gaussian {
                centers: vec![0.0, 1.3, 4.0],
                widths: vec![0.7, 0.2, 1.0],
            },
            Basis::ExponentialNormal {
                alpha: 1.1,
                start: 0.3,
                means: vec![0.05, 0.4, 1.0],
                betas: vec![40.0, 10.0, 3.0],
            },
            Basis::Bessel {
                frequencies: vec![0.6, 1.2, 1.9],
            },
        ];
        for basis in &bases {
            for r in [2e-3, 0.2, 1.0, 2.7, 4.9] {
                let h = 1e-5;
                let mut slopes = vec![0.0; basis.size()];
                let mut numeric = vec![0.0; basis.size()];
                basis.evaluate(r, |k, _, slope| slopes[k] = slope);
                basis.evaluate(r + h, |k, value, _| numeric[k] += value / (2.0 * h));
                basis.evaluate(r - h, |k, value, _| numeric[k] -= value / (2.0 * h));
                for (slope, numeric) in slopes.iter().zip(&numeric) {
                    assert!(
                        (slope - numeric).abs() < 1e-7 * (1.0 + slope.abs()),
                        "{basis:?} at {r}"
                    );
                }
            }
        }
    }
}
