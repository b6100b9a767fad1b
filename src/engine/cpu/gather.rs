//! Sums over pairs for rows, and what is done with them.

use rayon::ThreadPool;

use super::edges::Edges;
use super::kernels::{Features, Sender};
use super::partial::Sums;
use super::rows::{Array, Rows, for_each_task};
use super::segments::{Segment, for_each_segment};
use super::tasks::{Receive, Send};
use super::{CpuEngine, CpuReal};

/// What is summed over pairs.
#[derive(Clone, Copy)]
pub(super) enum Terms<'a, T> {
    /// m = Σ y ∘ W.
    Messages { y: Features<'a, T> },
    /// dE/dy = Σ g ∘ W, if there is a block below, and forces and, if they are wanted, virials.
    Gradients {
        y: Features<'a, T>,
        g: Features<'a, T>,
        below: bool,
        virials: bool,
    },
}

impl<T: CpuReal> CpuEngine<T> {
    /// Sums `terms` of `block` for the rows of `segments` into `sums`, replacing what is in the first of them, or keeping it for the
    /// task alone if that is empty, and adding to the others; and calls `then(first row, number of rows, their sums, their part of others)` for every task.
    pub(super) fn gather<R: Rows>(
        &self,
        (pool, block): (Option<&ThreadPool>, usize),
        edges: &Edges<T>,
        segments: &[Segment],
        terms: Terms<T>,
        (sums, others): (Sums<T>, R),
        then: impl Fn(usize, usize, &mut [T], R) + Sync,
    ) {
        let (kept, stride) = (!sums.0.data.is_empty(), sums.0.stride);
        for_each_segment(segments, (sums, others), |segment, arrays| {
            let start = segment.rows.start;
            let mut partial = self.partial.get();
            if segment.mutual {
                partial.fill(pool, segment, terms.widths(stride), |patch, sums| {
                    let first = segment.patch(patch).start;
                    self.add::<true>(block, edges, first, terms.from(start), sums);
                });
            }
            let partial = &*partial;
            for_each_task(
                pool,
                segment.rows.len(),
                arrays,
                |first, count, ((m, forces, virials), others)| {
                    let mut own = self.messages.get();
                    let m = if kept {
                        m
                    } else {
                        own.resize(count * stride);
                        Array::new(&mut own, stride)
                    };
                    let mut sums = (m, forces, virials);
                    if segment.mutual {
                        partial.total(first, count, &mut sums);
                    } else {
                        sums.0.data[..count * stride].fill(T::default());
                        self.add::<false>(block, edges, start + first, terms, &mut sums);
                    }
                    then(start + first, count, sums.0.data, others);
                },
            );
        });
    }

    /// Adds the terms of the pairs of the task or patch that begins at row `first`.
    fn add<const MUTUAL: bool>(
        &self,
        block: usize,
        edges: &Edges<T>,
        first: usize,
        terms: Terms<T>,
        (sums, forces, virials): &mut Sums<T>,
    ) {
        let edges = edges.of(first);
        match terms {
            Terms::Messages { y } => {
                self.over_pairs(block, edges, Receive::<T, MUTUAL> { y, m: sums });
            }
            Terms::Gradients { y, g, below, .. } => {
                let first = if MUTUAL { 0 } else { first };
                let task = Send::<T, MUTUAL> {
                    sender: Sender { y, g, first },
                    below,
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
                (if below { stride } else { 0 }, true, virials)
            }
        }
    }

    /// The same with rows counted from `start`.
    fn from(self, start: usize) -> Self {
        match self {
            Self::Messages { y } => Self::Messages { y: y.from(start) },
            Self::Gradients {
                y,
                g,
                below,
                virials,
            } => Self::Gradients {
                y: y.from(start),
                g: g.from(start),
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
