//! Activation functions and their derivatives.

use pulp::{Arch, Simd, WithSimd};

use crate::model::Activation;
use crate::simd::{Real, has_fused};

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

/// Loops are written without branches, so that they become vector code, and with `FUSED` products and sums where that is one instruction.
impl Activation {
    /// act(z) for a row of z, in place.
    #[inline(always)]
    pub fn apply<T: Real, const FUSED: bool>(self, row: &mut [T]) {
        match self {
            Self::ShiftedSoftplus => row
                .iter_mut()
                .for_each(|z| *z = shifted_softplus::<T, FUSED>(*z).0),
            Self::Tanh => row.iter_mut().for_each(|z| *z = tanh::<T, FUSED>(*z).0),
            Self::Silu => row.iter_mut().for_each(|z| *z = silu::<T, FUSED>(*z).0),
        }
    }

    /// act(z) into `value`, and act′(z) in place of z, for the way back.
    pub fn apply_keeping_slope<T: Real>(self, arch: Arch, z: &mut [T], value: &mut [T]) {
        let activation = self;
        arch.dispatch(KeepingSlope {
            activation,
            z,
            value,
        });
    }

    #[inline(always)]
    fn keep_slope<T: Real, const FUSED: bool>(self, z: &mut [T], value: &mut [T]) {
        let rows = z.iter_mut().zip(value);
        match self {
            Self::ShiftedSoftplus => {
                rows.for_each(|(z, out)| (*out, *z) = shifted_softplus::<T, FUSED>(*z))
            }
            Self::Tanh => rows.for_each(|(z, out)| (*out, *z) = tanh::<T, FUSED>(*z)),
            Self::Silu => rows.for_each(|(z, out)| (*out, *z) = silu::<T, FUSED>(*z)),
        }
    }

    /// act(z) in place of z, and `row` of d/dr times act′(z) in place of d/dr.
    #[inline(always)]
    pub fn apply_with_slope<T: Real, const FUSED: bool>(self, z: &mut [T], slope: &mut [T]) {
        let rows = z.iter_mut().zip(slope);
        match self {
            Self::ShiftedSoftplus => {
                rows.for_each(|(z, slope)| both(z, slope, shifted_softplus::<T, FUSED>))
            }
            Self::Tanh => rows.for_each(|(z, slope)| both(z, slope, tanh::<T, FUSED>)),
            Self::Silu => rows.for_each(|(z, slope)| both(z, slope, silu::<T, FUSED>)),
        }
    }
}

struct KeepingSlope<'a, T> {
    activation: Activation,
    z: &'a mut [T],
    value: &'a mut [T],
}

impl<T: Real> WithSimd for KeepingSlope<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if has_fused::<S>() {
            self.activation.keep_slope::<T, true>(self.z, self.value);
        } else {
            self.activation.keep_slope::<T, false>(self.z, self.value);
        }
    }
}

#[inline(always)]
fn both<T: Real>(z: &mut T, slope: &mut T, function: impl Fn(T) -> (T, T)) {
    let (value, derivative) = function(*z);
    *z = value;
    *slope = slope.times(derivative);
}

/// (value, derivative), with e = e^{−|z|} so that nothing overflows.
#[inline(always)]
fn shifted_softplus<T: Real, const FUSED: bool>(z: T) -> (T, T) {
    let zero = T::default();
    let e = negated(z.magnitude()).exp::<FUSED>();
    let positive = if z > zero { z } else { zero };
    let (ln, inverse) = e.ln_mean_with_one::<FUSED>();
    let value = positive.plus(ln);
    (value, if z > zero { inverse } else { e.times(inverse) })
}

#[inline(always)]
fn tanh<T: Real, const FUSED: bool>(z: T) -> (T, T) {
    let one = T::from_f64(1.0);
    let size = z.magnitude();
    let e = negated(size.plus(size)).exp::<FUSED>();
    let inverse = one.over(one.plus(e));
    let large = one.plus(negated(e)).times(inverse);
    // Below ¼ the difference 1 − e loses digits; there the continued fraction is as good as exact.
    let s = z.times(z);
    let constant = |value: f64| T::from_f64(value);
    let small = size
        .times(
            constant(34_459_425.0).plus(
                s.times(
                    constant(4_729_725.0)
                        .plus(s.times(constant(135_135.0).plus(s.times(constant(990.0).plus(s))))),
                ),
            ),
        )
        .over(
            constant(34_459_425.0).plus(s.times(constant(16_216_200.0).plus(s.times(
                constant(945_945.0).plus(s.times(constant(13_860.0).plus(s.times(constant(45.0))))),
            )))),
        );
    let value = if size < constant(0.25) { small } else { large };
    (
        if z > T::default() {
            value
        } else {
            negated(value)
        },
        one.plus(negated(value.times(value))),
    )
}

#[inline(always)]
fn silu<T: Real, const FUSED: bool>(z: T) -> (T, T) {
    let one = T::from_f64(1.0);
    let e = negated(z.magnitude()).exp::<FUSED>();
    let inverse = one.over(one.plus(e));
    let s = if z > T::default() {
        inverse
    } else {
        e.times(inverse)
    };
    (z.times(s), s.times(one.plus(z.times(one.plus(negated(s))))))
}

#[inline(always)]
fn negated<T: Real>(z: T) -> T {
    z.times(T::from_f64(-1.0))
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
    fn rows_agree_with_the_definitions() {
        agree_with_the_definitions::<false>();
        agree_with_the_definitions::<true>();
    }

    fn agree_with_the_definitions<const FUSED: bool>() {
        for activation in [
            Activation::ShiftedSoftplus,
            Activation::Tanh,
            Activation::Silu,
        ] {
            for step in -400..=400 {
                let z = f64::from(step) * 0.05 + 1e-3;
                let (value, slope) = (activation.value(z), activation.derivative(z));
                let (mut double, mut double_slope) = ([z], [1.0]);
                activation.apply_with_slope::<_, FUSED>(&mut double, &mut double_slope);
                assert!(
                    (double[0] - value).abs() < 4e-15 * (1.0 + value.abs()),
                    "{activation:?} at {z}"
                );
                assert!(
                    (double_slope[0] - slope).abs() < 4e-15,
                    "{activation:?}' at {z}"
                );
                let mut single = [z as f32];
                activation.apply::<_, FUSED>(&mut single);
                let (mut kept, mut out) = ([z as f32], [0.0]);
                activation.keep_slope::<_, FUSED>(&mut kept, &mut out);
                assert_eq!(out, single);
                let slope = activation.derivative(f64::from(z as f32));
                let error = (f64::from(kept[0]) - slope).abs();
                assert!(error < 2e-7 * (1.0 + z.abs()), "{activation:?}' at {z}");
                let exact = activation.value(f64::from(z as f32));
                assert!(
                    (f64::from(single[0]) - exact).abs() < 3e-7 * (0.3 + exact.abs()),
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
