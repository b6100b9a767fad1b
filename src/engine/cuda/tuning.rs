//! How the work is cut up: what a lane, a warp and a block take on. Results do not depend on it but for rounding.

use std::ops::RangeInclusive;

use super::Way;
use super::dense::Dense;
use super::device::Limits;
use super::mutual::Mutual;
use super::source::Widths;
use super::spans;
use crate::filter::Spans;
use crate::{Error, Result};

const WARP: usize = 32;
/// Shared memory that every GPU gives a block without being asked.
const USUAL_SHARED: usize = 48 * 1024;
/// More bins than this sort pairs no better; `rank` has room for as many.
const MAX_BINS: usize = 512;
/// Bins of distances where there are no tables: enough that pairs side by side need the same basis functions.
const EXACT_BINS: usize = 256;
/// Pairs of spans that an atom must be able to have: with fewer, most products of 16 would be half empty.
const SPAN_PAIRS: f64 = 128.0;

/// Whether there are rows enough to fill the GPU with a few lanes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Regime {
    /// A row's pairs, and its layers, are shared by many threads: what counts is how long a launch takes at least.
    Few,
    /// A warp takes a row, or several: what counts is how much is done in all.
    Many,
    /// As many, of structures that are large enough for spans of distance to have many pairs of a row, and small enough for
    /// shared memory.
    Batch,
}

impl Regime {
    /// All of them, each at its own number.
    pub const ALL: [Self; 3] = [Self::Few, Self::Many, Self::Batch];

    /// Whether so many rows are few.
    pub fn few(rows: usize, limits: Limits) -> bool {
        rows < 24 * limits.multiprocessors as usize
    }

    /// That of this many rows in structures of a size, if `batch` says for what sizes there are spans.
    pub fn of(
        rows: usize,
        structures: usize,
        batch: Option<RangeInclusive<usize>>,
        limits: Limits,
    ) -> Self {
        if Self::few(rows, limits) {
            Self::Few
        } else if batch.is_some_and(|sizes| sizes.contains(&rows.div_ceil(structures.max(1)))) {
            Self::Batch
        } else {
            Self::Many
        }
    }
}

/// Sizes of the kernels' work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    pub(super) widths: Widths,
    /// Bytes of a number.
    pub(super) bytes: usize,
    /// Bins that a row's pairs are sorted into, and the shift from an interval to its bin.
    pub(super) bins: usize,
    pub(super) bin_shift: usize,
    /// Whether filters come from tables, or else from tensor cores.
    pub(super) table: bool,
    pub(super) tensor: bool,
    /// Lanes that take a row, with tables: 32 or a smaller power of 2.
    pub group: usize,
    /// Channels of a lane, with tables: 1, 2 or 4.
    pub lane_channels: usize,
    /// Groups of lanes that share the pairs of a row, with tables or tensor cores.
    pub parts: usize,
    /// Pairs whose numbers are loaded together, with tables.
    pub ahead: usize,
    /// The same on the way back.
    pub ahead_back: usize,
    /// Threads of a block that works on rows of the list.
    pub row_threads: usize,
    /// Blocks of the row kernels that a multiprocessor must be able to hold, which bounds their registers.
    pub row_blocks: usize,
    pub(super) dense: Dense,
    /// Rows of a tile of exact filters.
    pub(super) exact_rows: usize,
    pub(super) geometry_threads: usize,
    /// Whether a block takes the pairs of a row at once.
    pub(super) ranks: bool,
    /// Spans of distance with kernels of their own, channels of their blocks, and these blocks' threads.
    pub(super) spans: usize,
    pub(super) span_width: usize,
    pub(super) span_threads: usize,
    /// Intervals of the tables before the first span.
    pub(super) near: usize,
    /// Atoms that a structure has at least for them to be used.
    pub span_atoms: usize,
    /// Atoms of a band at most, where a pair's filter serves both of its directions; zero where it does not.
    pub band_rows: usize,
    /// Structures of fewer atoms than this are not divided into bands.
    pub band_least: usize,
}

impl Tuning {
    pub(super) const START_THREADS: usize = 256;
    pub(super) const TOTAL_THREADS: usize = 256;
    /// A warp takes a row's distant pairs as a whole.
    pub(super) const SPAN_DEAL_THREADS: usize = 128;
    /// Threads of blocks that add up what comes from near pairs; some only copy.
    pub(super) const NEAR_THREADS: usize = 256;
    /// Bytes of shared memory in front of what they add up: a step of each thread.
    pub(super) const NEAR_FRONT: usize = Self::NEAR_THREADS * 16;
    /// Runs of near pairs that a structure has beside one for each interval.
    const NEAR_ENDS: usize = 3;
    /// Bytes of shared memory in front of the spans' features, and pairs that a tile may lack.
    const SPAN_FRONT: usize = 128;
    pub(super) const SPAN_SLACK: usize = 15;
    /// A block takes a row of the list; each thread has two candidates, a number for each in shared memory.
    pub(super) const RANK_THREADS: usize = 256;
    pub(super) const RANK_SHARED: usize = Self::RANK_CANDIDATES * size_of::<u32>();
    pub(super) const RANK_CANDIDATES: usize = 2 * Self::RANK_THREADS;

    /// For networks of these widths; `split` says whether dense layers are for tensor cores.
    pub(super) fn new(
        widths: Widths,
        bytes: usize,
        way: Way,
        (split, spans): (bool, Option<&Spans>),
        limits: Limits,
        regime: Regime,
    ) -> Result<Self> {
        let intervals = match way {
            Way::Table(spacing) => Some(spacing.intervals()),
            Way::Exact | Way::Tensor => None,
        };
        let bin_shift = intervals.map_or(0, |intervals| {
            (0..)
                .find(|shift| (intervals - 1) >> shift < MAX_BINS)
                .unwrap_or(0)
        });
        // Spans begin where bins do.
        let spans = spans.filter(|_| regime == Regime::Batch && bin_shift == 0);
        let span_count = spans.map_or(0, |spans| spans.bounds().len() - 1);
        let span_width = spans::width(widths.filters).unwrap_or(0);
        let bins = intervals.map_or(EXACT_BINS, |intervals| ((intervals - 1) >> bin_shift) + 1);
        // Many channels a lane spread the cost of finding a pair, few lanes a row keep a slice in the nearest cache.
        let (group, lane_channels) = match (intervals, bytes) {
            (Some(_), 4) if widths.filters > 64 => (WARP, 4),
            (Some(_), 4) if widths.filters > 32 => (16, 4),
            _ => (WARP, 1),
        };
        let mut tuning = Self {
            widths,
            bytes,
            bins: bins.next_multiple_of(WARP),
            bin_shift,
            table: intervals.is_some(),
            tensor: way == Way::Tensor,
            group,
            lane_channels,
            parts: 1,
            ahead: 4,
            ahead_back: 2,
            row_threads: 128,
            row_blocks: 1,
            dense: Dense::new(widths, bytes, regime, limits.shared as usize, split)?,
            exact_rows: 8,
            geometry_threads: 4 * WARP,
            ranks: regime == Regime::Few,
            spans: span_count,
            span_width,
            span_threads: 512,
            near: spans.map_or(0, |spans| spans.bounds()[0]),
            span_atoms: spans.map_or(usize::MAX, |spans| (SPAN_PAIRS / spans.share()) as usize),
            band_rows: 0,
            band_least: 64,
        };
        if tuning.tensor && regime == Regime::Many {
            tuning.band_rows = Mutual::band_rows(widths, limits.shared as usize);
        }
        if intervals.is_some() && bytes == 4 {
            // Rows side by side have their neighbours in common, which the nearest cache then holds for all of them.
            tuning.row_threads = 512;
        }
        if bytes == 8 {
            tuning.exact_rows = 4;
        }
        if regime == Regime::Few {
            if intervals.is_some() {
                // One replica of a few hundred atoms makes no more blocks than there are places for at once.
                tuning.parts = 7;
                tuning.ahead = 2;
                tuning.row_threads = 8 * group;
            }
            if tuning.tensor {
                tuning.parts = 4;
            }
        }
        let limit = limits.shared as usize;
        if way == Way::Exact {
            while tuning.exact_numbers() * bytes > limit && tuning.exact_rows > 2 {
                tuning.exact_rows /= 2;
            }
            tuning.row_threads = threads(tuning.exact_numbers() * bytes, 4, limit)?;
        }
        Ok(tuning)
    }

    /// Parts of a row's channels that warps of their own work on.
    pub(super) fn slices(&self) -> usize {
        if self.table {
            self.widths
                .filters
                .div_ceil(self.group * self.lane_channels)
        } else {
            1
        }
    }

    /// Numbers a warp needs for a tile of exact filters and their envelopes.
    pub(super) fn exact_numbers(&self) -> usize {
        (2 * self.exact_rows * self.widths.filter + 2 * self.exact_rows).next_multiple_of(4)
    }

    /// Sums of a row's pairs, but for distant ones, that are left to be added up.
    fn row_parts(&self) -> usize {
        if self.table { self.parts } else { 1 }
    }

    /// All sums of a row's messages, or of dE/dy, that are left to be added up.
    pub(super) fn sum_parts(&self) -> usize {
        self.row_parts() + usize::from(self.spans > 0)
    }

    /// What the row kernels work on by themselves, with sums of forces of their own: slices of parts.
    pub(super) fn force_slices(&self) -> usize {
        self.slices() * self.row_parts()
    }

    /// Parts of a row's channels that blocks of the spans' kernel take.
    pub(super) fn span_slices(&self) -> usize {
        self.widths.filters / self.span_width
    }

    /// Bytes of shared memory that the spans' kernels need for coefficients and for features of so many rows.
    pub(super) fn span_shared(&self, rows: usize) -> usize {
        spans::bytes(self.span_width) * self.spans + Self::SPAN_FRONT + rows * self.span_row()
    }

    /// Bytes of shared memory of a row of features, each the sum of two numbers of 16 bits.
    fn span_row(&self) -> usize {
        2 * self.span_width * size_of::<u16>()
    }

    /// Slices of channels for near pairs.
    pub(super) fn near_slices(&self) -> usize {
        2 * self.span_slices()
    }

    /// Runs of near pairs in a structure; as `NEAR_RUNS` of kernels/near.cu.
    pub(super) fn near_runs(&self) -> usize {
        self.near + Self::NEAR_ENDS
    }

    /// Bytes of shared memory to put near pairs in order.
    pub(super) fn near_order_shared(&self) -> usize {
        (self.near + 1) * size_of::<u32>()
    }

    /// Bytes of shared memory for a slice of so many rows of features or sums.
    pub(super) fn near_shared(&self, rows: usize) -> usize {
        rows * self.span_width / 2 * size_of::<f32>()
    }

    /// Rows of features and sums that there is shared memory for where near pairs are added up.
    pub(super) fn near_rows(&self, limits: Limits) -> usize {
        let left = (limits.shared as usize).saturating_sub(Self::NEAR_FRONT);
        left / self.near_shared(1).max(1)
    }

    /// Rows of a structure that there is shared memory for.
    pub(super) fn span_rows(&self, limits: Limits) -> usize {
        (limits.shared as usize).saturating_sub(self.span_shared(0)) / self.span_row().max(1)
    }

    /// Numbers of atoms in a structure for which there are spans.
    pub(super) fn batch(&self, limits: Limits) -> Option<RangeInclusive<usize>> {
        (self.spans > 0).then(|| self.span_atoms..=self.span_rows(limits))
    }

    /// Shared memory of a block of the row kernels.
    pub(super) fn row_shared(&self) -> usize {
        if self.tensor {
            // A lane has 4 of every 16 channels.
            self.row_threads * self.widths.filters / 4 * self.bytes
        } else if self.table {
            0
        } else {
            self.row_threads / WARP * self.exact_numbers() * self.bytes
        }
    }

    pub(super) fn geometry_shared(&self) -> usize {
        self.geometry_threads / WARP * self.bins * size_of::<u32>()
    }

    /// Groups of four columns in a row of features or filters.
    pub(super) fn start_columns(&self) -> usize {
        self.widths.block / 4
    }
}

/// Threads of a block whose warps need this much shared memory each, at most `most` warps.
pub(super) fn threads(bytes: usize, most: usize, limit: usize) -> Result<usize> {
    let warps = (USUAL_SHARED.max(bytes) / bytes.max(1)).clamp(1, most);
    if bytes > limit {
        return Err(Error::unsupported(format!(
            "device cuda: the network's layers are too wide for this GPU, whose blocks have {limit} bytes of shared memory; use device cpu"
        )));
    }
    Ok(warps * WARP)
}
