//! The inner loop: which of the points around an atom are within the cutoff.

use super::lattice::Vector;

/// Points are tested in groups of this many.
const LANES: usize = 8;

/// Coordinate of the points that pad a group: far from everything, and its square is finite.
const NOWHERE: f64 = 1e150;

/// The points around a bin, coordinate by coordinate, padded to whole groups.
#[derive(Debug, Default)]
pub(super) struct Points {
    groups: Vec<Group>,
}

/// Points that are tested together.
#[derive(Debug, Clone, Copy)]
struct Group {
    x: [f64; LANES],
    y: [f64; LANES],
    z: [f64; LANES],
    /// The number of each point.
    number: [u32; LANES],
}

/// Squares of distances: surely outside beyond `outer`, surely inside up to `inner`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shell {
    pub inner: f64,
    pub outer: f64,
}

/// What `Points::near` found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// How many.
    pub count: usize,
    /// Whether one of them is beyond `Shell::inner`, so that rounding decides.
    pub doubtful: bool,
}

impl Points {
    /// Take these points, in this order.
    pub fn fill(&mut self, points: impl ExactSizeIterator<Item = (Vector, u32)>) {
        const EMPTY: Group = Group {
            x: [NOWHERE; LANES],
            y: [NOWHERE; LANES],
            z: [NOWHERE; LANES],
            number: [u32::MAX; LANES],
        };
        self.groups.clear();
        self.groups.resize(points.len().div_ceil(LANES), EMPTY);
        for (n, (point, number)) in points.enumerate() {
            let (group, lane) = (&mut self.groups[n / LANES], n % LANES);
            group.x[lane] = point[0];
            group.y[lane] = point[1];
            group.z[lane] = point[2];
            group.number[lane] = number;
        }
    }

    /// How long a buffer `near` needs.
    pub fn room(&self) -> usize {
        (self.groups.len() + 1) * LANES
    }

    /// Put the numbers of the points not beyond `shell.outer` at the start of `found`, in their order.
    ///
    /// Rounding differs between processors here, which changes nothing: whatever is within `shell` is decided by
    /// the caller, from the positions as given.
    pub fn near(&self, center: Vector, shell: Shell, found: &mut [u32]) -> Found {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has the instructions that the function is compiled for.
            return unsafe { self.near_avx2(center, shell, found) };
        }
        self.near_portable(center, shell, found)
    }

    fn near_portable(&self, center: Vector, shell: Shell, found: &mut [u32]) -> Found {
        let mut count = 0;
        let mut doubtful = false;
        for group in &self.groups {
            let mut square = [0.0; LANES];
            for (l, square) in square.iter_mut().enumerate() {
                let (dx, dy, dz) = (
                    group.x[l] - center[0],
                    group.y[l] - center[1],
                    group.z[l] - center[2],
                );
                *square = dx * dx + dy * dy + dz * dz;
            }
            let out = &mut found[count..count + LANES];
            // A store for every point and a step for those found: no branch to mispredict.
            let mut k = 0;
            for (&square, &number) in square.iter().zip(&group.number) {
                out[k & (LANES - 1)] = number;
                k += usize::from(square <= shell.outer);
                doubtful |= square > shell.inner && square <= shell.outer;
            }
            count += k;
        }
        Found { count, doubtful }
    }

    /// As `near_portable`, eight points at once and their compaction by one permutation, which the compiler does not
    /// find by itself. It takes 15 % off the time of the whole search, and is where the unsafe code of this
    /// module is.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,popcnt")]
    fn near_avx2(&self, center: Vector, shell: Shell, found: &mut [u32]) -> Found {
        use std::arch::x86_64::*;

        let [cx, cy, cz] = center.map(|v| _mm256_set1_pd(v));
        let (inner, outer) = (_mm256_set1_pd(shell.inner), _mm256_set1_pd(shell.outer));
        let mut doubts = _mm256_setzero_pd();
        let mut count = 0;
        for group in &self.groups {
            let mut mask = 0;
            for half in 0..2 {
                let load = |from: &[f64; LANES]| {
                    let four: &[f64] = &from[4 * half..4 * half + 4];
                    // SAFETY: the slice has the four elements that are read.
                    unsafe { _mm256_loadu_pd(four.as_ptr()) }
                };
                let dx = _mm256_sub_pd(load(&group.x), cx);
                let dy = _mm256_sub_pd(load(&group.y), cy);
                let dz = _mm256_sub_pd(load(&group.z), cz);
                let square =
                    _mm256_fmadd_pd(dx, dx, _mm256_fmadd_pd(dy, dy, _mm256_mul_pd(dz, dz)));
                let near = _mm256_cmp_pd::<_CMP_LE_OQ>(square, outer);
                let doubt = _mm256_and_pd(near, _mm256_cmp_pd::<_CMP_GT_OQ>(square, inner));
                doubts = _mm256_or_pd(doubts, doubt);
                mask |= (_mm256_movemask_pd(near) as usize) << (4 * half);
            }
            let out = &mut found[count..count + LANES];
            let places = COMPACTION[mask].to_le_bytes();
            // SAFETY: eight bytes are read from an array of eight, eight numbers from an array of eight, and eight
            // are written to a slice of eight.
            unsafe {
                let places = _mm256_cvtepu8_epi32(_mm_loadl_epi64(places.as_ptr().cast()));
                let numbers = _mm256_loadu_si256(group.number.as_ptr().cast());
                let compact = _mm256_permutevar8x32_epi32(numbers, places);
                _mm256_storeu_si256(out.as_mut_ptr().cast(), compact);
            }
            count += mask.count_ones() as usize;
        }
        Found {
            count,
            doubtful: _mm256_movemask_pd(doubts) != 0,
        }
    }
}

/// For each set of lanes, their numbers in ascending order, one a byte.
#[cfg(target_arch = "x86_64")]
static COMPACTION: [u64; 256] = {
    let mut table = [0; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut lane, mut place) = (0, 0);
        while lane < 8 {
            if mask >> lane & 1 == 1 {
                table[mask] |= lane << (8 * place);
                place += 1;
            }
            lane += 1;
        }
        mask += 1;
    }
    table
};
