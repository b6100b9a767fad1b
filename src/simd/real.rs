//! The scalar type of an engine and its vector operations.

use nano_gemm::Plan;
use pulp::Simd;

/// Bytes rows are padded to: the widest vector register.
const ROW_BYTES: usize = 64;

/// `columns` rounded up so that rows of `T` are made of whole vectors on every instruction set.
pub fn padded<T>(columns: usize) -> usize {
    columns.next_multiple_of(ROW_BYTES / size_of::<T>())
}

/// float32 or float64.
pub trait Real: Copy + Default + Send + Sync + PartialOrd + std::fmt::Debug + 'static {
    /// A vector register of them.
    type Vector<S: Simd>: Copy;

    /// How to multiply matrices in columns, rows × depth and depth × columns.
    fn plan(rows: usize, columns: usize, depth: usize) -> Plan<Self>;

    /// self + other
    fn plus(self, other: Self) -> Self;
    /// self · other
    fn times(self, other: Self) -> Self;
    /// self / other
    fn over(self, other: Self) -> Self;
    /// |self|
    fn magnitude(self) -> Self;
    /// Rounds a float64.
    fn from_f64(value: f64) -> Self;
    /// The exact number.
    fn from_i16(value: i16) -> Self;
    /// The exact float64.
    fn to_f64(self) -> f64;
    /// Whole vectors of `row`; what does not fill one is left out.
    fn vectors<S: Simd>(row: &[Self]) -> &[Self::Vector<S>];
    /// As [`Real::vectors`], to be written.
    fn vectors_mut<S: Simd>(row: &mut [Self]) -> &mut [Self::Vector<S>];
    /// All lanes the same.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    /// a · b + c
    fn mul_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// a · b
    fn mul<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// a + b
    fn add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// Sum of the lanes.
    fn sum<S: Simd>(simd: S, a: Self::Vector<S>) -> Self;
    /// self · a + b, rounded once if `FUSED`, which is slow where the processor has no instruction for it.
    fn times_plus<const FUSED: bool>(self, a: Self, b: Self) -> Self;
    /// eˣ to a few units in the last place, without branches, so that loops of it become vector code.
    fn exp<const FUSED: bool>(self) -> Self;
    /// ln(½ + ½x) for 0 ≤ x ≤ 1 and 1 / (1 + x), likewise; near x = 1, where the first is small, to a few units of that.
    fn ln_mean_with_one<const FUSED: bool>(self) -> (Self, Self);
}

macro_rules! vector_operations {
    ($scalar:ty, $vector:ident, $as_simd:ident, $as_mut_simd:ident, $splat:ident, $mul_add:ident, $mul:ident, $add:ident, $sum:ident) => {
        type Vector<S: Simd> = S::$vector;

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            self + other
        }
        #[inline(always)]
        fn times(self, other: Self) -> Self {
            self * other
        }
        #[inline(always)]
        fn over(self, other: Self) -> Self {
            self / other
        }
        #[inline(always)]
        fn times_plus<const FUSED: bool>(self, a: Self, b: Self) -> Self {
            if FUSED {
                self.mul_add(a, b)
            } else {
                self * a + b
            }
        }
        #[inline(always)]
        fn magnitude(self) -> Self {
            self.abs()
        }

        #[inline(always)]
        fn vectors<S: Simd>(row: &[Self]) -> &[S::$vector] {
            S::$as_simd(row).0
        }
        #[inline(always)]
        fn vectors_mut<S: Simd>(row: &mut [Self]) -> &mut [S::$vector] {
            S::$as_mut_simd(row).0
        }
        #[inline(always)]
        fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
            simd.$splat(value)
        }
        #[inline(always)]
        fn mul_add<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
            simd.$mul_add(a, b, c)
        }
        #[inline(always)]
        fn mul<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
            simd.$mul(a, b)
        }
        #[inline(always)]
        fn add<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
            simd.$add(a, b)
        }
        #[inline(always)]
        fn sum<S: Simd>(simd: S, a: S::$vector) -> Self {
            simd.$sum(a)
        }
    };
}

/// Whether products and sums are one instruction in the instruction set `S`.
#[inline(always)]
pub fn has_fused<S: Simd>() -> bool {
    // Of those that pulp has for x86-64 and AArch64, all but the portable one.
    !S::IS_SCALAR && cfg!(any(target_arch = "x86_64", target_arch = "aarch64"))
}

/// ln y = 2 artanh(s), s = (y − 1) / (y + 1), for y = ½ + ½x, so that |s| ≤ 1/3: by the first terms of its series in s².
macro_rules! ln_mean_with_one {
    ($number:ty, $x:expr, $terms:expr) => {{
        // One division for both quotients.
        let (one, three) = ($x + 1.0, $x + 3.0);
        let quotient: $number = 1.0 / (one * three);
        let s = ($x - 1.0) * one * quotient;
        let s2 = s * s;
        let mut sum: $number = 0.0;
        for k in (0..$terms).rev() {
            sum = Real::times_plus::<FUSED>(sum, s2, 1.0 / <$number>::from(2 * k + 1u8));
        }
        (2.0 * s * sum, three * quotient)
    }};
}

impl Real for f32 {
    vector_operations!(
        f32,
        f32s,
        as_simd_f32s,
        as_mut_simd_f32s,
        splat_f32s,
        mul_add_e_f32s,
        mul_f32s,
        add_f32s,
        reduce_sum_f32s
    );

    fn plan(rows: usize, columns: usize, depth: usize) -> Plan<Self> {
        Plan::new_colmajor_lhs_and_dst_f32(rows, columns, depth)
    }
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn from_i16(value: i16) -> Self {
        Self::from(value)
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn exp<const FUSED: bool>(self) -> Self {
        // eˣ = 2ⁿ eʳ with |r| ≤ ½ ln 2; ln 2 in two parts (Cody and Waite), eʳ by its Taylor polynomial,
        // whose remainder there is below half a unit in the last place.
        const MAGIC: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to an integer
        let x = self.clamp(-87.0, 88.0);
        let shifted = x.times_plus::<FUSED>(std::f32::consts::LOG2_E, MAGIC);
        let n = shifted - MAGIC;
        let r = n.times_plus::<FUSED>(2.121_944_4e-4, n.times_plus::<FUSED>(-0.693_359_4, x));
        let mut p = 1.0 / 5040.0;
        for coefficient in [
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
            1.0,
            1.0,
        ] {
            p = p.times_plus::<FUSED>(r, coefficient);
        }
        let scale = f32::from_bits(
            ((shifted.to_bits() as i32 - MAGIC.to_bits() as i32 + 127) << 23) as u32,
        );
        p * scale
    }
    #[inline(always)]
    fn ln_mean_with_one<const FUSED: bool>(self) -> (Self, Self) {
        ln_mean_with_one!(f32, self, 7)
    }
}

impl Real for f64 {
    vector_operations!(
        f64,
        f64s,
        as_simd_f64s,
        as_mut_simd_f64s,
        splat_f64s,
        mul_add_e_f64s,
        mul_f64s,
        add_f64s,
        reduce_sum_f64s
    );

    fn plan(rows: usize, columns: usize, depth: usize) -> Plan<Self> {
        Plan::new_colmajor_lhs_and_dst_f64(rows, columns, depth)
    }
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn from_i16(value: i16) -> Self {
        Self::from(value)
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn exp<const FUSED: bool>(self) -> Self {
        const MAGIC: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²
        let x = self.clamp(-708.0, 709.0);
        let shifted = x.times_plus::<FUSED>(std::f64::consts::LOG2_E, MAGIC);
        let n = shifted - MAGIC;
        let r = n.times_plus::<FUSED>(-0.693_147_180_369_123_8, x);
        let r = n.times_plus::<FUSED>(-1.908_214_929_270_587_7e-10, r);
        let mut p = 1.0 / 6_227_020_800.0;
        for coefficient in [
            1.0 / 479_001_600.0,
            1.0 / 39_916_800.0,
            1.0 / 3_628_800.0,
            1.0 / 362_880.0,
            1.0 / 40_320.0,
            1.0 / 5_040.0,
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
            1.0,
            1.0,
        ] {
            p = p.times_plus::<FUSED>(r, coefficient);
        }
        let scale = f64::from_bits(
            ((shifted.to_bits() as i64 - MAGIC.to_bits() as i64 + 1023) << 52) as u64,
        );
        p * scale
    }
    #[inline(always)]
    fn ln_mean_with_one<const FUSED: bool>(self) -> (Self, Self) {
        ln_mean_with_one!(f64, self, 17)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_ln_are_good_to_a_few_units() {
        good_to_a_few_units::<false>();
        good_to_a_few_units::<true>();
    }

    fn good_to_a_few_units<const FUSED: bool>() {
        for step in -7000..7000 {
            let x = f64::from(step) * 0.1;
            let exp = Real::exp::<FUSED>(x);
            assert!((exp / f64::exp(x) - 1.0).abs() < 2e-15, "exp({x})");
            let x = x as f32 * 0.12;
            assert!(
                (f64::from(Real::exp::<FUSED>(x)) / f64::exp(f64::from(x)) - 1.0).abs() < 3e-7,
                "exp({x})"
            );
        }
        for step in 0..=1000 {
            let x = f64::from(step) * 1e-3;
            let expected = (0.5 * (x - 1.0)).ln_1p();
            let (ln, inverse) = x.ln_mean_with_one::<FUSED>();
            assert!((ln - expected).abs() <= 1.5e-15 * expected.abs());
            assert!((inverse * (1.0 + x) - 1.0).abs() <= 6e-16);
            let (ln, inverse) = (x as f32).ln_mean_with_one::<FUSED>();
            let expected = (0.5 * (f64::from(x as f32) - 1.0)).ln_1p();
            assert!((f64::from(ln) - expected).abs() <= 4e-7 * expected.abs());
            assert!((f64::from(inverse) * (1.0 + x) - 1.0).abs() <= 3e-7);
        }
    }

    #[test]
    fn rows_are_whole_vectors() {
        assert_eq!(
            (padded::<f32>(1), padded::<f32>(128), padded::<f64>(9)),
            (16, 128, 16)
        );
    }
}
