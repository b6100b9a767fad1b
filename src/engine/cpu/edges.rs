//! The pairs within the cutoff, with all that every interaction block needs of their geometry.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::ThreadPool;

use super::per_thread::PerThread;
use super::rows::{Array, for_each_task};
use crate::engine::Graph;
use crate::filter::Spacing;
use crate::simd::Real;
use crate::{Error, Result};

/// One directed pair, seen from the row it stands in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Edge<T> {
    /// Row of the other atom's features.
    pub other: u32,
    /// Interval of the tables.
    pub interval: u32,
    /// Position in the interval.
    pub t: T,
    /// What takes a derivative by t, or by r where there are no tables, to one along `vector`: dt/dr / r, or 1 / r.
    pub scale: T,
    /// From the row's atom to the other.
    pub vector: [T; 3],
}

/// Puts the pairs of a row in the order of their intervals.
///
/// Neighbouring pairs then read the same lines of a table, which is what keeps it in the nearest cache. The order is that of
/// the list within an interval, so it depends on nothing but the positions.
#[derive(Debug, Default)]
struct Sorter<T> {
    found: Vec<Edge<T>>,
    ends: Vec<u32>,
}

impl<T: Real> Sorter<T> {
    fn sort_into(&mut self, intervals: usize, out: &mut [Edge<T>]) {
        self.ends.clear();
        self.ends.resize(intervals + 1, 0);
        for edge in &self.found {
            self.ends[edge.interval as usize + 1] += 1;
        }
        let mut end = 0;
        for count in &mut self.ends {
            end += *count;
            *count = end;
        }
        // Each entry is now where its interval begins, and moves to its end.
        for edge in &self.found {
            let place = &mut self.ends[edge.interval as usize];
            out[*place as usize] = *edge;
            *place += 1;
        }
    }
}

/// Pairs by rows: a row's lie at the beginning of the place that the neighbour list gives it.
#[derive(Debug, Default)]
pub(super) struct Edges<T> {
    starts: Vec<usize>,
    counts: Vec<u32>,
    pairs: Vec<Edge<T>>,
    distances: Vec<f64>,
    /// For rows of ghosts: the owned atoms that hear them, as (owned atom, place in the host's list).
    heard_by: Vec<(u32, usize)>,
    /// One a thread.
    sorters: PerThread<Sorter<T>>,
}

impl<T: Real> Edges<T> {
    /// Room for the pairs of graphs, worked on by this many threads.
    pub fn new(threads: usize) -> Self {
        Self {
            sorters: PerThread::new(threads),
            ..Self::default()
        }
    }

    /// The pairs of `row`.
    pub fn row(&self, row: usize) -> &[Edge<T>] {
        &self.pairs[self.starts[row]..][..self.counts[row] as usize]
    }

    /// Their distances; kept only where filters are evaluated exactly.
    pub fn distances(&self, row: usize) -> &[f64] {
        &self.distances[self.starts[row]..][..self.counts[row] as usize]
    }

    /// Takes the pairs within `cutoff` of `graph`. Rows of owned atoms hold the atoms they hear, in the order of the
    /// graph's list; with ghosts that are not folded, their rows hold the owned atoms that hear them.
    pub fn update(
        &mut self,
        graph: &Graph,
        cutoff: f64,
        spacing: Option<&Spacing>,
        pool: Option<&ThreadPool>,
    ) -> Result<()> {
        let rows = graph.feature_rows();
        self.starts.clear();
        self.starts.extend_from_slice(graph.offsets);
        self.list_ghosts(graph, rows);
        let total = self.starts[rows];
        self.counts.resize(rows, 0);
        self.pairs.resize(total, Edge::default());
        self.distances
            .resize(if spacing.is_some() { 0 } else { total }, 0.0);

        let coincident = AtomicU64::new(u64::MAX);
        let (starts, heard_by, sorters) = (&self.starts, &self.heard_by, &self.sorters);
        let arrays = (
            Array::new(&mut self.counts, 1),
            Ragged {
                data: &mut self.pairs,
                starts,
                first: 0,
            },
            Ragged {
                data: &mut self.distances,
                starts,
                first: 0,
            },
        );
        for_each_task(
            pool,
            rows,
            arrays,
            |first, count, (mut counts, mut pairs, mut distances)| {
                let mut structure = graph
                    .structures
                    .partition_point(|&start| start <= first)
                    .saturating_sub(1);
                let mut sorter = sorters.get();
                for row in first..first + count {
                    let (pairs, distances) = (pairs.row(row), distances.row(row));
                    sorter.found.clear();
                    let mut keep = |vector: [f64; 3], other: usize| {
                        let r2 = vector.iter().map(|x| x * x).sum::<f64>();
                        if r2 >= cutoff * cutoff {
                            return;
                        }
                        let r = r2.sqrt();
                        if r == 0.0 {
                            coincident.fetch_min(pack(row, other), Ordering::Relaxed);
                        }
                        let other = graph.owner(other) as u32;
                        let vector = vector.map(T::from_f64);
                        let edge = match spacing {
                            Some(spacing) => {
                                let place = spacing.place(r);
                                Edge {
                                    other,
                                    interval: place.interval as u32,
                                    t: T::from_f64(place.t),
                                    scale: T::from_f64(place.rate / r),
                                    vector,
                                }
                            }
                            None => {
                                distances[sorter.found.len()] = r;
                                Edge {
                                    other,
                                    interval: 0,
                                    t: T::default(),
                                    scale: T::from_f64(1.0 / r),
                                    vector,
                                }
                            }
                        };
                        sorter.found.push(edge);
                    };
                    if row < graph.owned {
                        while graph.structures[structure + 1] <= row {
                            structure += 1;
                        }
                        for pair in graph.offsets[row]..graph.offsets[row + 1] {
                            keep(
                                graph.vector(structure, row, pair),
                                graph.neighbors[pair] as usize,
                            );
                        }
                    } else {
                        let base = starts[graph.owned];
                        for &(owned, pair) in &heard_by[starts[row] - base..starts[row + 1] - base]
                        {
                            let vector = graph.vector(structure, owned as usize, pair).map(|x| -x);
                            keep(vector, owned as usize);
                        }
                    }
                    match spacing {
                        Some(spacing) => sorter.sort_into(spacing.intervals(), pairs),
                        None => pairs[..sorter.found.len()].copy_from_slice(&sorter.found),
                    }
                    counts.row(row - first)[0] = sorter.found.len() as u32;
                }
            },
        );
        match coincident.into_inner() {
            u64::MAX => Ok(()),
            packed => Err(Error::invalid(format!(
                "atoms {} and {} are at the same point",
                packed >> 32,
                packed & 0xffff_ffff
            ))),
        }
    }

    /// Appends rows for ghosts: the transpose of the ghosts' columns of the host's list.
    fn list_ghosts(&mut self, graph: &Graph, rows: usize) {
        self.heard_by.clear();
        if rows == graph.owned {
            return;
        }
        let ghosts = rows - graph.owned;
        let mut counts = vec![0usize; ghosts];
        for &neighbor in graph.neighbors {
            if let Some(ghost) = (neighbor as usize).checked_sub(graph.owned) {
                counts[ghost] += 1;
            }
        }
        let base = self.starts[graph.owned];
        let mut next = Vec::with_capacity(ghosts);
        let mut end = 0;
        for count in counts {
            next.push(end);
            end += count;
            self.starts.push(base + end);
        }
        self.heard_by.resize(end, (0, 0));
        for owned in 0..graph.owned {
            for pair in graph.offsets[owned]..graph.offsets[owned + 1] {
                if let Some(ghost) = (graph.neighbors[pair] as usize).checked_sub(graph.owned) {
                    self.heard_by[next[ghost]] = (owned as u32, pair);
                    next[ghost] += 1;
                }
            }
        }
    }
}

fn pack(i: usize, j: usize) -> u64 {
    (i as u64) << 32 | j as u64
}

/// Rows of different lengths.
struct Ragged<'a, T> {
    data: &'a mut [T],
    starts: &'a [usize],
    first: usize,
}

impl<T> Ragged<'_, T> {
    /// The row of this number in the whole array; empty if nothing is kept.
    fn row(&mut self, row: usize) -> &mut [T] {
        if self.data.is_empty() {
            return &mut [];
        }
        let base = self.starts[self.first];
        &mut self.data[self.starts[row] - base..self.starts[row + 1] - base]
    }
}

impl<T: Send> super::rows::Rows for Ragged<'_, T> {
    fn split(self, row: usize) -> (Self, Self) {
        let middle = (self.starts[self.first + row] - self.starts[self.first]).min(self.data.len());
        let (left, right) = self.data.split_at_mut(middle);
        let (starts, first) = (self.starts, self.first);
        (
            Ragged {
                data: left,
                starts,
                first,
            },
            Ragged {
                data: right,
                starts,
                first: first + row,
            },
        )
    }
}
