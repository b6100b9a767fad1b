//! How the work is cut up: what a lane, a warp and a block take on. Results do not depend on it but for rounding.

use super::device::Limits;
use super::source::Widths;
use crate::{Error, Result};

const WARP: usize = 32;
/// Shared memory that every GPU gives a block without being asked.
const USUAL_SHARED: usize = 48 * 1024;
/// More bins than this sort pairs no better.
const MAX_BINS: usize = 512;

/// Sizes of the kernels' work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    pub(super) widths: Widths,
    /// Bytes of a number.
    pub(super) bytes: usize,
    /// Bins that a row's pairs are sorted into, and the shift from an interval to its bin.
    pub(super) bins: usize,
    pub(super) bin_shift: usize,
    /// Whether filters come from tables.
    pub(super) table: bool,
    /// Lanes that take a row, with tables: 32 or a smaller power of 2.
    pub group: usize,
    /// Channels of a lane, with tables: 1, 2 or 4.
    pub lane_channels: usize,
    /// Pairs whose numbers are loaded together, with tables.
    pub ahead: usize,
    /// The same on the way back.
    pub ahead_back: usize,
    /// Threads of a block that works on rows of the list.
    pub row_threads: usize,
    /// Blocks of the row kernels that a multiprocessor must be able to hold, which bounds their registers.
    pub row_blocks: usize,
    /// Rows a warp of the dense kernels takes.
    pub dense_rows: usize,
    pub(super) dense_threads: usize,
    /// Rows of a tile of exact filters.
    pub(super) exact_rows: usize,
    pub(super) geometry_threads: usize,
}

impl Tuning {
    pub(super) const START_THREADS: usize = 256;
    pub(super) const TOTAL_THREADS: usize = 256;

    /// For networks of these widths; `intervals` of the tables, or `None` for exact filters.
    pub(super) fn new(
        widths: Widths,
        bytes: usize,
        intervals: Option<usize>,
        limits: Limits,
    ) -> Result<Self> {
        let bin_shift = intervals.map_or(0, |intervals| {
            (0..)
                .find(|shift| (intervals - 1) >> shift < MAX_BINS)
                .unwrap_or(0)
        });
        let bins = intervals.map_or(1, |intervals| ((intervals - 1) >> bin_shift) + 1);
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
            group,
            lane_channels,
            ahead: 4,
            ahead_back: 1,
            row_threads: 128,
            row_blocks: 1,
            dense_rows: 8,
            dense_threads: 4 * WARP,
            exact_rows: 8,
            geometry_threads: 4 * WARP,
        };
        if bytes == 8 {
            tuning.dense_rows = 4;
            tuning.exact_rows = 4;
        }
        let limit = limits.shared as usize;
        while tuning.dense_warp_bytes() > limit && tuning.dense_rows > 1 {
            tuning.dense_rows /= 2;
        }
        tuning.dense_threads = threads(tuning.dense_warp_bytes(), 4, limit)?;
        if intervals.is_none() {
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

    /// Shared memory of a warp of the dense kernels.
    fn dense_warp_bytes(&self) -> usize {
        self.block_warp_bytes().max(self.readout_warp_bytes())
    }

    fn block_warp_bytes(&self) -> usize {
        2 * self.dense_rows * self.widths.block * self.bytes
    }

    fn readout_warp_bytes(&self) -> usize {
        self.dense_rows * (2 * self.widths.readout + self.widths.hidden) * self.bytes
    }

    /// Shared memory of a block of the dense kernels, and of the readout.
    pub(super) fn dense_shared(&self) -> (usize, usize) {
        let warps = self.dense_threads / WARP;
        (
            warps * self.block_warp_bytes(),
            warps * self.readout_warp_bytes(),
        )
    }

    /// Numbers a warp needs for a tile of exact filters and their envelopes.
    pub(super) fn exact_numbers(&self) -> usize {
        (2 * self.exact_rows * self.widths.filter + 2 * self.exact_rows).next_multiple_of(4)
    }

    /// Shared memory of a block of the row kernels.
    pub(super) fn row_shared(&self, exact: bool) -> usize {
        if exact {
            self.row_threads / WARP * self.exact_numbers() * self.bytes
        } else {
            0
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
fn threads(bytes: usize, most: usize, limit: usize) -> Result<usize> {
    let warps = (USUAL_SHARED.max(bytes) / bytes.max(1)).clamp(1, most);
    if bytes > limit {
        return Err(Error::unsupported(format!(
            "device cuda: the network's layers are too wide for this GPU, whose blocks have {limit} bytes of shared memory; use device cpu"
        )));
    }
    Ok(warps * WARP)
}
