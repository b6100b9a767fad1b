//! How the dense layers are cut up, and what they need of shared memory.

use super::source::Widths;
use super::tuning::{Regime, threads};
use crate::Result;

const WARP: usize = 32;
/// A lane has this many columns of a result at once, and a warp that takes rows through matrices in shared memory all of them.
const LANE_COLUMNS: usize = 4;
/// Warps of a block that has matrices in shared memory: three for each scheduler of a multiprocessor.
const WARPS: usize = 12;
/// Threads of a block that shares out the products of a few rows, and the rows it has.
const SHARING: usize = 256;
const SHARED_ROWS: usize = 4;

/// Sizes of the dense kernels' work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dense {
    /// Threads that take rows through the layers together: a warp or a block.
    pub team: usize,
    pub threads: usize,
    /// Columns of a result that each has at a time.
    pub columns: usize,
    pub blocks: Part,
    pub readout: Part,
}

/// What differs between the layers of blocks and of the readout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Rows of a team.
    pub rows: usize,
    /// Matrices that are in shared memory at once, none if they are read where they lie; and the numbers of the largest.
    pub slots: usize,
    pub slot: usize,
    /// Shared memory of a block.
    pub bytes: usize,
}

impl Dense {
    pub fn new(widths: Widths, bytes: usize, regime: Regime, limit: usize) -> Result<Self> {
        Self::staged(widths, bytes, regime, limit)
            .map_or_else(|| Self::streamed(widths, bytes, regime, limit), Ok)
    }

    /// With matrices in shared memory, if they are narrow enough and there is room.
    fn staged(widths: Widths, bytes: usize, regime: Regime, limit: usize) -> Option<Self> {
        if bytes > 4 || widths.readout > WARP * LANE_COLUMNS || widths.block > WARP * LANE_COLUMNS {
            return None;
        }
        // Rows of a team and matrices at once, from the best down.
        let few = regime == Regime::Few;
        let (team, threads, columns, choices): (_, _, _, &[_]) = if few {
            let choices = &[(SHARED_ROWS, 3), (SHARED_ROWS, 2), (SHARED_ROWS, 1)];
            (SHARING, SHARING, 2, choices)
        } else {
            let choices = &[(11, 2), (8, 2), (6, 2), (8, 1), (4, 1)];
            (WARP, WARPS * WARP, LANE_COLUMNS, choices)
        };
        let part = |row: usize, slot: usize| {
            choices.iter().find_map(|&(rows, slots)| {
                let shares = if few {
                    LANE_COLUMNS * threads * rows
                } else {
                    0
                };
                let numbers = slots * slot + threads / team * rows * row + shares;
                let bytes = bytes * numbers;
                (bytes <= limit).then_some(Part {
                    rows,
                    slots,
                    slot,
                    bytes,
                })
            })
        };
        let slot = widths.features * widths.block;
        Some(Self {
            team,
            threads,
            columns,
            blocks: part(widths.block, slot)?,
            readout: part(
                widths.readout + widths.hidden,
                slot.max(widths.readout * widths.readout),
            )?,
        })
    }

    /// With matrices where they always are.
    fn streamed(widths: Widths, bytes: usize, regime: Regime, limit: usize) -> Result<Self> {
        let few = regime == Regime::Few;
        let team = if few { 4 * WARP } else { WARP };
        let mut rows = if few { 2 } else { 32 / bytes };
        let (block, readout) = (2 * widths.block, 2 * widths.readout + widths.hidden);
        while rows * block.max(readout) * bytes > limit && rows > 1 {
            rows /= 2;
        }
        // A team that is not a warp has its block to itself.
        let most = if few { 1 } else { 4 };
        let teams = threads(rows * block.max(readout) * bytes, most, limit)? / WARP;
        let part = |row: usize| Part {
            rows,
            slots: 0,
            slot: 0,
            bytes: teams * rows * row * bytes,
        };
        Ok(Self {
            team,
            threads: teams * team,
            columns: if few { 1 } else { LANE_COLUMNS },
            blocks: part(block),
            readout: part(readout),
        })
    }
}
