//! Tables in 16 bits: float16 with a power of two for every channel, so that nothing of a channel is too small for them.

use half::f16;

use crate::simd::Real;

/// Appends `table`, whose rows have `stride` channels, to `halves`, and the channels' scales to `scales`.
///
/// Coefficients of polynomials lose no more than their own last bits, unlike values and slopes at knots.
pub(super) fn quantise<T: Real>(
    table: &[T],
    stride: usize,
    halves: &mut Vec<u16>,
    scales: &mut Vec<T>,
) {
    let mut largest = vec![0.0f64; stride];
    for row in table.chunks_exact(stride) {
        for (largest, value) in largest.iter_mut().zip(row) {
            *largest = largest.max(value.to_f64().abs());
        }
    }
    // Their exponent: dividing by it is exact.
    let powers: Vec<f64> = largest
        .iter()
        .map(|&x| if x > 0.0 { x.log2().ceil().exp2() } else { 1.0 })
        .collect();
    for row in table.chunks_exact(stride) {
        let scaled = row.iter().zip(&powers).map(|(x, p)| x.to_f64() / p);
        halves.extend(scaled.map(|x| f16::from_f64(x).to_bits()));
    }
    scales.extend(powers.into_iter().map(T::from_f64));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_eleven_bits_of_every_channel() {
        let table = [1e-30f64, 3.0, 0.0, -7.3e-31, 1e-3, 0.0];
        let (mut halves, mut scales) = (Vec::new(), Vec::new());
        quantise(&table, 3, &mut halves, &mut scales);
        for (at, &x) in table.iter().enumerate() {
            let found = f16::from_bits(halves[at]).to_f64() * scales[at % 3];
            assert!((found - x).abs() <= x.abs() * 2f64.powi(-11), "{found} {x}");
        }
    }
}
