//! Sums over pairs for rows, and what is done with them.

use std::ops::Range;

use rayon::ThreadPool;

use super::edges::Edges;
use super::kernels::{Features, Receiver, Sender};
use super::partial::Sums;
use super::ragged::Patches;
use super::rows::{Array, Rows, for_each_task};
use super::segments::{Segment, for_each_segment};
use super::tasks::{Receive, Send};
use super::{CpuEngine, CpuReal};

/// What is summed over pairs.
#[derive(Clone, Copy)]
pub(super) enum Terms<'a, T> {
    /// m = Σ y ∘ W.
    Messages { y: Features<'a, T> },
    /// dE/dy = Σ g ∘ W, if there is a block below, and gradients of pairs; if there is none, forces and, if they are wanted, virials.
    Gradients {
        y: Features<'a, T>,
        g: Features<'a, T>,
        /// Whether there are blocks above, whose gradients of pairs are there already.
        above: bool,
        below: bool,
        virials: bool,
    },
}

impl<T: CpuReal> CpuEngine<T> {
    /// Sums `terms` of `block` for the rows of `segments`: the first of `sums` for each task by itself, adding to the others; gradients of
    /// pairs are added to `slopes`. Calls `then(first row, number of rows, their sums, their part of others)` for every task.
    pub(super) fn gather<R: Rows>(
        &self,
        (pool, block): (Option<&ThreadPool>, usize),
        edges: &Edges<T>,
        segments: &[Segment],
        terms: Terms<T>,
        (sums, slopes, others): (Sums<T>, &mut [T], R),
        then: impl Fn(usize, usize, &mut [T], R) + Sync,
    ) {
        let stride = sums.0.stride;
        let arrays = (sums, edges.ragged(slopes), others);
        for_each_segment(segments, arrays, |segment, (sums, mut slopes, others)| {
            let start = segment.rows.start;
            let mut partial = self.partial.get();
            if segment.mutual {
                let slopes = Patches::new(segment, slopes.take());
                let widths = terms.widths(stride);
                partial.fill(pool, segment, widths, slopes, |patch, sums, mut slopes| {
                    let rows = segment.patch(patch);
                    let slopes = slopes.rows.rows(rows.len());
                    let terms = terms.from(start);
                    self.add::<true>(block, edges, rows, terms, sums, slopes);
                });
            }
            let partial = &*partial;
            for_each_task(
                pool,
                segment.rows.len(),
                (sums, slopes, others),
                |first, count, ((_, forces, virials), mut slopes, others)| {
                    others.fetch(count);
                    edges.fetch_bounds(start + first, count);
                    terms.fetch(start + first, count);
                    let mut own = self.messages.get();
                    own.resize(count * stride);
                    let mut sums = (Array::new(&mut own, stride), forces, virials);
                    if segment.mutual {
                        partial.total(first, count, &mut sums);
                    } else {
                        sums.0.data[..count * stride].fill(T::default());
                        let slopes = slopes.rows(count);
                        let rows = start + first..start + first + count;
                        self.add::<false>(block, edges, rows, terms, &mut sums, slopes);
                    }
                    then(start + first, count, sums.0.data, others);
                },
            );
        });
    }

    /// Adds the terms of the pairs of a task or patch.
    fn add<const MUTUAL: bool>(
        &self,
        block: usize,
        edges: &Edges<T>,
        rows: Range<usize>,
        terms: Terms<T>,
        (sums, forces, virials): &mut Sums<T>,
        slopes: &mut [T],
    ) {
        let first = if MUTUAL { 0 } else { rows.start };
        let edges = edges.of(rows);
        let next = edges.places;
        match terms {
            Terms::Messages { y } => {
                let receiver = Receiver { y, next };
                self.over_pairs(block, edges, Receive::<T, MUTUAL> { receiver, m: sums });
            }
            Terms::Gradients {
                y, g, above, below, ..
            } => {
                let task = Send::<T, MUTUAL> {
                    sender: Sender { y, g, first, next },
                    above,
                    below,
                    slopes: &mut slopes[..edges.pairs.len()],
                    arms: edges.arms,
                    y_gradient: sums,
                    forces,
                    virials,
                };
                self.over_pairs(block, edges, task);
            }
        }
    }
}

impl<T: CpuReal> Terms<'_, T> {
    /// Width of rows of sums, and whether there are forces and virials.
    fn widths(&self, stride: usize) -> (usize, bool, bool) {
        match *self {
            Self::Messages { .. } => (stride, false, false),
            Self::Gradients { below, virials, .. } => {
                (if below { stride } else { 0 }, !below, !below && virials)
            }
        }
    }

    /// Has the rows of a task's own atoms brought nearer.
    fn fetch(&self, first: usize, count: usize) {
        if let Self::Gradients { y, g, .. } = self {
            y.fetch_rows(first, count);
            g.fetch_rows(first, count);
        }
    }

    /// The same with rows counted from `start`.
    fn from(self, start: usize) -> Self {
        match self {
            Self::Messages { y } => Self::Messages { y: y.from(start) },
            Self::Gradients {
                y,
                g,
                above,
                below,
                virials,
            } => Self::Gradients {
                y: y.from(start),
                g: g.from(start),
                above,
                below,
                virials,
            },
        }
    }
}

/// Sums that only their task needs, without forces and virials.
pub(super) fn passing<T>(stride: usize) -> Sums<'static, T> {
    (
        Array::new(&mut [], stride),
        Array::new(&mut [], 1),
        Array::new(&mut [], 1),
    )
}
