//! The pairs within the cutoff, with all that every interaction block needs of their geometry.

use std::ops::Range;
use std::sync::atomic::AtomicU64;

use pulp::Arch;
use rayon::ThreadPool;

use super::found::Found;
use super::parts::Part;
use super::per_thread::PerThread;
use super::ragged::{Patches, Ragged};
use super::rows::{Array, for_each_row, for_each_task};
use super::search::Search;
use super::segments::{Segment, for_each_segment, segments};
use crate::engine::Graph;
use crate::filter::Spacing;
use crate::simd::{Real, fetch_all};
use crate::{Error, Result};

/// One directed pair, seen from the row it stands in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Edge<T> {
    /// Its row, counted from the first of its task or mutual segment.
    pub row: u32,
    /// Row of the other atom's features; in a mutual segment, counted from the first of it.
    pub other: u32,
    /// Interval of the tables.
    pub interval: u32,
    /// Position in the interval.
    pub t: T,
}

/// What forces need of a pair, which is not read before the gradients of all blocks are there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Arm<T> {
    /// What takes a derivative by t, or by r where there are no tables, to one along `vector`: dt/dr / r, or 1 / r.
    pub scale: T,
    /// From the row's atom to the other.
    pub vector: [T; 3],
}

/// How many tasks before it needs them the bounds of a task's pairs are fetched.
const TASKS_AHEAD: usize = 4;

/// Pairs by tasks or patches: those of its rows lie at the beginning of the place that the neighbour list gives these rows.
#[derive(Debug, Default)]
pub(super) struct Edges<T> {
    segments: Vec<Segment>,
    starts: Vec<usize>,
    /// Number of pairs of each row.
    counts: Vec<u32>,
    /// Number of pairs of a task or patch, at its first row.
    lengths: Vec<u32>,
    pairs: Vec<Edge<T>>,
    arms: Vec<Arm<T>>,
    distances: Vec<f64>,
    /// For rows of ghosts: the owned atoms that hear them, as (owned atom, place in the host's list).
    heard_by: Vec<(u32, usize)>,
    ghost_ends: Vec<usize>,
}

/// The pairs of a task or patch.
#[derive(Debug, Clone, Copy)]
pub(super) struct TaskEdges<'a, T> {
    /// With tables by interval, else by row; then in the list's order.
    pub pairs: &'a [Edge<T>],
    pub arms: &'a [Arm<T>],
    /// Their distances; kept only where filters are evaluated exactly.
    pub distances: &'a [f64],
    /// How many there is room for: so much further on are the pairs of the next task.
    pub places: usize,
}

impl<T: Real> Edges<T> {
    /// As many rows of numbers as there are of pairs.
    pub fn ragged<'a>(&'a self, data: &'a mut [T]) -> Ragged<'a, T> {
        Ragged::new(data, &self.starts)
    }

    /// Number of pairs there is room for.
    pub fn places(&self) -> usize {
        self.pairs.len()
    }

    /// How rows are worked on.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segments of owned atoms.
    pub fn owned(&self, part: &Part) -> &[Segment] {
        let end = self
            .segments
            .partition_point(|one| one.rows.start < part.owned);
        &self.segments[..end]
    }

    /// The pairs of a task's or patch's rows.
    pub fn of(&self, rows: Range<usize>) -> TaskEdges<'_, T> {
        let start = self.starts[rows.start];
        let range = start..start + self.lengths[rows.start] as usize;
        TaskEdges {
            distances: match self.distances.is_empty() {
                true => &[],
                false => &self.distances[range.clone()],
            },
            arms: &self.arms[range.clone()],
            pairs: &self.pairs[range],
            places: self.starts[rows.end] - start,
        }
    }

    /// Has what says where later tasks' pairs are brought nearer, at a task of `count` rows from `first` on.
    pub fn fetch_bounds(&self, first: usize, count: usize) {
        let first = (first + TASKS_AHEAD * count).min(self.lengths.len());
        let end = (first + count).min(self.lengths.len());
        fetch_all(&self.starts[first..end]);
        fetch_all(&self.lengths[first..end]);
    }

    /// Number of pairs of a row, if they were counted.
    pub fn neighbors(&self, row: usize) -> usize {
        self.counts[row] as usize
    }

    /// Takes the pairs within `cutoff` of a part, and the numbers of neighbours if these are `counted`. Rows of owned atoms hold the atoms they hear; with ghosts that are not
    /// folded, their rows hold the owned atoms that hear them.
    pub fn update(
        &mut self,
        (graph, part): (&Graph, &Part),
        (cutoff, counted): (f64, bool),
        spacing: Option<&Spacing>,
        (arch, found): (Arch, &PerThread<Found>),
        pool: Option<&ThreadPool>,
    ) -> Result<()> {
        let rows = part.listed;
        let offsets = &graph.offsets[part.rows.start..][..=part.owned];
        self.starts.clear();
        self.starts
            .extend(offsets.iter().map(|offset| offset - offsets[0]));
        self.list_ghosts(graph, part);
        let total = self.starts[rows];
        self.counts.resize(rows, 0);
        self.pairs.resize(total, Edge::default());
        self.arms.resize(total, Arm::default());
        self.distances
            .resize(if spacing.is_some() { 0 } else { total }, 0.0);

        self.lengths.resize(rows, 0);
        segments(graph, part, &mut self.segments);
        let search = Search {
            graph,
            first: part.rows.start,
            owned: part.owned,
            cutoff2: cutoff * cutoff,
            starts: &self.starts,
            heard_by: &self.heard_by,
            counted,
            coincident: AtomicU64::new(u64::MAX),
        };
        let arrays = (
            Array::new(&mut self.counts, 1),
            Array::new(&mut self.lengths, 1),
            Ragged::new(&mut self.pairs, &self.starts),
            Ragged::new(&mut self.arms, &self.starts),
            Ragged::new(&mut self.distances, &self.starts),
        );
        let take = |segment: &Segment, rows: Range<usize>, arrays: Arrays<T>| {
            let (counts, lengths, mut pairs, mut arms, mut distances) = arrays;
            let (pairs, arms, distances) = (
                pairs.rows(rows.len()),
                arms.rows(rows.len()),
                distances.rows(rows.len()),
            );
            // They are written in no order that a processor foresees.
            let before = pairs.len().min(lengths.data[0] as usize);
            fetch_all(&pairs[..before]);
            fetch_all(&arms[..before]);
            let mut found = found.get();
            found.clear();
            search.rows(segment, rows, counts.data, &mut found);
            match spacing {
                Some(spacing) => found.by_interval(arch, spacing, pairs, arms),
                None => found.by_row(pairs, arms, distances),
            }
            lengths.data[0] = found.len() as u32;
        };
        for_each_segment(&self.segments, arrays, |segment, arrays| {
            if segment.mutual {
                let patches = Patches::new(segment, arrays);
                for_each_row(pool, segment.patches(), patches, |patch, one| {
                    take(segment, segment.patch(patch), one.rows);
                });
            } else {
                let (first, rows) = (segment.rows.start, segment.rows.len());
                for_each_task(pool, rows, arrays, |start, count, arrays| {
                    take(segment, first + start..first + start + count, arrays);
                });
            }
        });
        match search.coincident.into_inner() {
            u64::MAX => Ok(()),
            packed => Err(Error::invalid(format!(
                "atoms {} and {} are at the same point",
                packed >> 32,
                packed & 0xffff_ffff
            ))),
        }
    }

    /// Appends rows for ghosts: the transpose of the ghosts' columns of the host's list.
    fn list_ghosts(&mut self, graph: &Graph, part: &Part) {
        self.heard_by.clear();
        let rows = part.listed;
        if rows == part.owned {
            return;
        }
        let ghost = |neighbor: u32| (neighbor as usize).checked_sub(graph.owned);
        self.ghost_ends.clear();
        self.ghost_ends.resize(rows - graph.owned, 0);
        for ghost in graph.neighbors.iter().copied().filter_map(ghost) {
            self.ghost_ends[ghost] += 1;
        }
        let base = self.starts[graph.owned];
        let mut end = 0;
        for count in &mut self.ghost_ends {
            let start = end;
            end += *count;
            self.starts.push(base + end);
            // Where the row begins; moves to its end as the row is filled.
            *count = start;
        }
        self.heard_by.resize(end, (0, 0));
        for owned in 0..graph.owned {
            for pair in graph.offsets[owned]..graph.offsets[owned + 1] {
                if let Some(ghost) = ghost(graph.neighbors[pair]) {
                    let place = &mut self.ghost_ends[ghost];
                    self.heard_by[*place] = (owned as u32, pair);
                    *place += 1;
                }
            }
        }
    }
}

/// Counts of rows; lengths of tasks; pairs; their arms; distances.
type Arrays<'a, T> = (
    Array<'a, u32>,
    Array<'a, u32>,
    Ragged<'a, Edge<T>>,
    Ragged<'a, Arm<T>>,
    Ragged<'a, f64>,
);
