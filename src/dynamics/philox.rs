//! Random numbers that are a function of a counter: Philox 4×32 with 10 rounds.
//!
//! J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11 (2011). The
//! counter says what a number is for (replica, atom, step, purpose), so that numbers depend neither on the order in
//! which they are asked for nor on who asks, and nothing has to be kept to go on from a step.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// What a random number is for. Two purposes never share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Noise = 0,
    Velocities = 1,
    Exchange = 2,
}

/// A seed's random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Philox {
    key: [u32; 2],
}

impl Philox {
    pub fn new(seed: u64) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
        }
    }

    /// Four independent uniform words for each counter.
    fn words(self, mut counter: [u32; 4]) -> [u32; 4] {
        let mut key = self.key;
        for _ in 0..ROUNDS {
            let [a, b] = [
                u64::from(counter[0]) * u64::from(MULTIPLIERS[0]),
                u64::from(counter[2]) * u64::from(MULTIPLIERS[1]),
            ];
            counter = [
                (b >> 32) as u32 ^ counter[1] ^ key[0],
                b as u32,
                (a >> 32) as u32 ^ counter[3] ^ key[1],
                a as u32,
            ];
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        counter
    }

    /// The words of an item (an atom, a pair) of a stream (a replica, a ladder) at a step, which must be below 2⁵⁶.
    fn at(self, purpose: Purpose, stream: u32, step: u64, item: u32) -> [u32; 4] {
        let high = (step >> 32) as u32 & 0x00FF_FFFF | (purpose as u32) << 24;
        self.words([item, step as u32, high, stream])
    }

    /// Three independent numbers of mean 0 and variance 1, by the transform of Box and Muller.
    ///
    /// Uniform numbers have 32 bits: nothing beyond 6.8 standard deviations occurs.
    #[inline]
    pub fn normals(self, purpose: Purpose, stream: u32, step: u64, item: u32) -> [f64; 3] {
        let u = self.at(purpose, stream, step, item).map(open_unit);
        let (first, second) = ((-2.0 * u[0].ln()).sqrt(), (-2.0 * u[2].ln()).sqrt());
        let (sine, cosine) = (std::f64::consts::TAU * u[1]).sin_cos();
        [
            first * cosine,
            first * sine,
            second * (std::f64::consts::TAU * u[3]).cos(),
        ]
    }

    /// A number between 0 and 1, neither of them.
    pub fn uniform(self, purpose: Purpose, stream: u32, step: u64, item: u32) -> f64 {
        open_unit(self.at(purpose, stream, step, item)[0])
    }
}

fn open_unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that are published with the authors' library.
    #[test]
    fn gives_the_published_numbers() {
        let words = |seed: u64, counter| Philox::new(seed).words(counter);
        assert_eq!(
            words(0, [0; 4]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            words(u64::MAX, [u32::MAX; 4]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            words(
                0x299f_31d0_a409_3822,
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn normal_numbers_have_their_moments() {
        let philox = Philox::new(7);
        let draws = 50_000;
        let (mut moments, mut mixed) = ([[0.0; 4]; 3], [0.0; 3]);
        for item in 0..draws {
            let z = philox.normals(Purpose::Noise, item % 7, u64::from(item) << 20, item);
            for (axis, z) in z.iter().enumerate() {
                for (power, moment) in (1..).zip(&mut moments[axis]) {
                    *moment += z.powi(power) / f64::from(draws);
                }
            }
            for (axis, product) in mixed.iter_mut().enumerate() {
                *product += z[axis] * z[(axis + 1) % 3] / f64::from(draws);
            }
        }
        // Four standard errors: sqrt of the variances 1, 2, 15, 96 of the powers over the number of draws.
        let limit = |variance: f64| 4.0 * (variance / f64::from(draws)).sqrt();
        for [mean, variance, skew, kurtosis] in moments {
            assert!(mean.abs() < limit(1.0), "{mean}");
            assert!((variance - 1.0).abs() < limit(2.0), "{variance}");
            assert!(skew.abs() < limit(15.0), "{skew}");
            assert!((kurtosis - 3.0).abs() < limit(96.0), "{kurtosis}");
        }
        assert!(mixed.iter().all(|product| product.abs() < limit(1.0)));
    }

    #[test]
    fn every_part_of_the_counter_counts() {
        let philox = Philox::new(1);
        let base = philox.at(Purpose::Noise, 2, 3, 4);
        for other in [
            Philox::new(1 << 32 | 1).at(Purpose::Noise, 2, 3, 4),
            philox.at(Purpose::Exchange, 2, 3, 4),
            philox.at(Purpose::Noise, 1, 3, 4),
            philox.at(Purpose::Noise, 2, 3 | 1 << 40, 4),
            philox.at(Purpose::Noise, 2, 3, 5),
        ] {
            assert_ne!(other, base);
        }
    }
}
