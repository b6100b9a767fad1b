//! How pairs are shared out that are evaluated once for both of their directions, by kernels/mutual.cu.

use super::device::{Kernel, Limits};
use super::passes::Shape;
use super::source::Widths;
use super::tuning::Tuning;

const WARP: usize = 32;
/// Rows and columns that tensor cores multiply together.
const TILE: usize = 16;
/// Layers on tensor cores are no wider.
const WIDEST: usize = 128;
/// Larger structures are not taken: the more bands, the more matrices there are to be added up.
pub(super) const MOST_BANDS: usize = 4;
/// A band has no more atoms: what there is of them in shared memory leaves some of it to the nearest cache.
const MOST_ROWS: usize = 136;
/// With fewer it is not worth it.
const LEAST_ROWS: usize = 32;
const MOST_SPLITS: usize = 4;

/// The bands of the largest structure, and blocks that share the pairs of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mutual {
    pub bands: usize,
    pub splits: usize,
}

impl Mutual {
    /// Threads of a block: a warp for each 16 of as many channels as there may be.
    pub const THREADS: usize = 8 * WARP;

    /// For structures that are like this; nothing if they are not for it.
    pub fn new(shape: Shape, tuning: &Tuning, limits: Limits) -> Option<Self> {
        if tuning.band_rows == 0 || shape.alone < tuning.band_least.max(1) {
            return None;
        }
        let bands = shape.alone.div_ceil(tuning.band_rows);
        let places = (limits.multiprocessors as usize).max(1);
        // A multiprocessor has one block at a time; two bands have twice the pairs that there are within one.
        let time = |splits: usize| {
            let two = shape.structures * splits * bands * (bands - 1) / 2;
            let one = shape.structures * splits * bands;
            let all = (2 * two + one).div_ceil(places);
            all.max(2 * two.div_ceil(places)) as f64 / splits as f64
        };
        let splits = (1..=MOST_SPLITS).fold(1, |best, splits| {
            // More blocks also have more to add up.
            if time(splits) < 0.9 * time(best) {
                splits
            } else {
                best
            }
        });
        (bands <= MOST_BANDS).then_some(Self { bands, splits })
    }

    /// Matrices of messages that are to be added up.
    pub fn parts(self) -> usize {
        // Of an atom of the first band, or of the last.
        (self.bands + self.splits).max(1 + self.bands * self.splits)
    }

    /// Blocks of threads.
    pub fn items(self, structures: usize) -> usize {
        structures * self.splits * self.bands * (self.bands + 1) / 2
    }

    pub fn meet_shared(self, tuning: &Tuning) -> usize {
        Self::bins(tuning, self.bands)
    }

    /// Bytes for the bins of as many bands.
    fn bins(tuning: &Tuning, bands: usize) -> usize {
        tuning.geometry_threads / WARP * bands * tuning.bins * size_of::<u32>()
    }

    /// The kernels, and the most shared memory of each.
    pub fn kernels(tuning: &Tuning) -> Vec<(Kernel, u32)> {
        let mut all = vec![
            (Kernel::Meet, Self::bins(tuning, MOST_BANDS) as u32),
            (Kernel::Merge, 0),
            (Kernel::MergePulls, 0),
        ];
        let large = [
            Kernel::Mutual,
            Kernel::MutualBack,
            Kernel::MutualBackVirials,
        ];
        all.extend(large.map(|kernel| (kernel, Self::shared(tuning, kernel) as u32)));
        all
    }

    /// Shared memory of a block.
    pub fn shared(tuning: &Tuning, kernel: Kernel) -> usize {
        let (fixed, each) = Self::sizes(tuning.widths, kernel);
        fixed + tuning.band_rows * each
    }

    /// Atoms of a band where that many fit; zero if too few do.
    pub fn band_rows(widths: Widths, limit: usize) -> usize {
        let (fixed, each) = Self::sizes(widths, Kernel::MutualBackVirials);
        let rows = limit.saturating_sub(fixed) / each;
        if rows < LEAST_ROWS {
            0
        } else {
            rows.min(MOST_ROWS)
        }
    }

    /// Shared memory of a block whatever its bands, and for each atom of one; as `Desk` in kernels/desk.cuh has it.
    fn sizes(widths: Widths, kernel: Kernel) -> (usize, usize) {
        let (streams, pulls) = match kernel {
            Kernel::Mutual => (2, 0),
            Kernel::MutualBack => (1, 3),
            _ => (1, 9),
        };
        let warps = Self::THREADS / WARP;
        let row = (widths.filters + TILE) * size_of::<f32>();
        let hidden = widths.filter.min(WIDEST).next_multiple_of(TILE);
        // Every weight as two numbers of 16 bits, and the numbers of a basis function as four of 32.
        let weights = 4 * hidden * widths.filters;
        let basis = 16 * widths.filter;
        let span = 16;
        (
            weights + basis + streams * warps * row,
            row + span + warps * pulls * size_of::<f32>(),
        )
    }
}
