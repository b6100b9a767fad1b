//! The search for the pairs within the cutoff among those of a list.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::found::Found;
use super::segments::{Segment, stands_in};
use crate::engine::Graph;

/// What is searched.
pub(super) struct Search<'a> {
    pub graph: &'a Graph<'a>,
    /// The atom of the first row, and how many rows are of owned atoms.
    pub first: usize,
    pub owned: usize,
    pub cutoff2: f64,
    pub starts: &'a [usize],
    pub heard_by: &'a [(u32, usize)],
    /// Whether the numbers of neighbours are needed.
    pub counted: bool,
    /// The first two atoms at one point, packed.
    pub coincident: AtomicU64,
}

impl Search<'_> {
    /// The pairs that stand in `rows` of `segment`.
    pub fn rows(
        &self,
        segment: &Segment,
        rows: Range<usize>,
        counts: &mut [u32],
        found: &mut Found,
    ) {
        let graph = self.graph;
        let mut structure = graph
            .structures
            .partition_point(|&start| start <= self.first + rows.start)
            .saturating_sub(1);
        let (base, other_base) = match segment.mutual {
            true => (segment.rows.start, self.first + segment.rows.start),
            false => (rows.start, self.first),
        };
        let length = segment.rows.len();
        for (at, row) in rows.enumerate() {
            let before = found.len();
            let mut one_way = 0;
            if row >= self.owned {
                let first = self.starts[self.owned];
                let pairs = self.starts[row] - first..self.starts[row + 1] - first;
                for &(owned, pair) in &self.heard_by[pairs] {
                    let vector = graph.vector(structure, owned as usize, pair).map(|x| -x);
                    self.keep(row - base, owned as usize, vector, found);
                }
                counts[at] = (found.len() - before) as u32;
                continue;
            }
            let atom = self.first + row;
            while graph.structures[structure + 1] <= atom {
                structure += 1;
            }
            for pair in graph.offsets[atom]..graph.offsets[atom + 1] {
                let other = graph.row(graph.neighbors[pair] as usize) - other_base;
                if segment.mutual && !stands_in(row - base, other, length) {
                    if self.counted {
                        let vector = graph.vector(structure, atom, pair);
                        one_way += u32::from(length2(vector) < self.cutoff2);
                    }
                    continue;
                }
                let vector = graph.vector(structure, atom, pair);
                if !self.keep(row - base, other, vector, found) {
                    let neighbor = u64::from(graph.neighbors[pair]);
                    let atoms = (atom as u64) << 32 | neighbor;
                    self.coincident.fetch_min(atoms, Ordering::Relaxed);
                }
            }
            counts[at] = (found.len() - before) as u32 + one_way;
        }
    }

    /// Takes a pair if it is within the cutoff. Returns whether its atoms are apart.
    #[inline(always)]
    fn keep(&self, row: usize, other: usize, vector: [f64; 3], found: &mut Found) -> bool {
        let r2 = length2(vector);
        if r2 < self.cutoff2 {
            found.push(row, other, vector, r2);
        }
        r2 > 0.0
    }
}

#[inline(always)]
fn length2(vector: [f64; 3]) -> f64 {
    vector.iter().map(|x| x * x).sum()
}
