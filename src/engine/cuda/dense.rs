//! How the dense layers are cut up, and what they need of shared memory.

use super::source::Widths;
use super::tuning::{Regime, threads};
use crate::Result;

const WARP: usize = 32;
/// Rows and columns that tensor cores take: of a layer's rows, and of its inputs and outputs.
const ROW_TILE: usize = 8;
const TILE: usize = 16;
/// Wider layers are not for tensor cores: a block of few rows has a warp for every 16 columns.
pub(super) const WIDEST: usize = 256;
/// Warps for which a multiprocessor has registers enough, each with its sums for many rows.
const RESIDENT: usize = 12;
/// Bytes of two float16 numbers for each of a row's.
const SPLIT: usize = 4;

/// Sizes of the dense kernels' work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dense {
    /// Whether products are made by tensor cores.
    pub tensor: bool,
    /// Threads that take rows through the layers together: a warp or a block.
    pub team: usize,
    pub threads: usize,
    /// Columns of a result that each has at a time.
    pub columns: usize,
    /// Tiles of a matrix that a warp has at once, with tensor cores.
    pub depth: usize,
    /// Blocks that a multiprocessor must be able to hold, which bounds their registers.
    pub resident: usize,
    pub blocks: Part,
    pub readout: Part,
}

/// What differs between the layers of blocks and of the readout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Rows of a team.
    pub rows: usize,
    /// Shared memory of a block.
    pub bytes: usize,
}

impl Dense {
    /// `tensor` says whether the layers' numbers are fit for tensor cores.
    pub fn new(
        widths: Widths,
        bytes: usize,
        regime: Regime,
        limit: usize,
        tensor: bool,
    ) -> Result<Self> {
        if tensor {
            Ok(Self::split(widths, regime, limit))
        } else {
            Self::streamed(widths, bytes, regime, limit)
        }
    }

    /// By tensor cores: a warp has 32 columns of many rows, or 16 of few, whose matrices are then under way all at once.
    fn split(widths: Widths, regime: Regime, limit: usize) -> Self {
        let few = regime == Regime::Few;
        let groups = widths.block.max(widths.readout).div_ceil(2 * TILE);
        let warps = if few { 2 * groups } else { groups };
        let part = |width: usize, kept: usize| {
            // A row with what belongs to it: its largest numbers and its scale.
            let row = width * SPLIT + (warps + 1 + kept) * size_of::<f32>();
            let choices: &[usize] = if few { &[1] } else { &[6, 4, 2, 1] };
            let mut fitting = choices.iter().map(|tiles| tiles * ROW_TILE);
            let rows = fitting.find(|rows| rows * row <= limit);
            let rows = rows.unwrap_or(ROW_TILE);
            Part {
                rows,
                bytes: rows * row,
            }
        };
        Self {
            tensor: true,
            team: warps * WARP,
            threads: warps * WARP,
            columns: if few { 2 } else { 4 },
            depth: if few && warps <= 8 { 8 } else { 1 },
            resident: if few { 1 } else { (RESIDENT / warps).max(1) },
            blocks: part(widths.block, 0),
            readout: part(widths.readout, widths.hidden),
        }
    }

    /// By ordinary arithmetic.
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
            bytes: teams * rows * row * bytes,
        };
        Ok(Self {
            tensor: false,
            team,
            threads: teams * team,
            columns: if few { 1 } else { 4 },
            depth: 0,
            resident: 1,
            blocks: part(block),
            readout: part(readout),
        })
    }
}
