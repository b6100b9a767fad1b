//! Pairs on their way from the search into tasks: where they lie in the tables, and in what order they are worked on.

use pulp::Arch;

use super::edges::{Arm, Edge};
use crate::filter::Spacing;
use crate::simd::Real;

/// Parts of an interval that pairs are sorted by.
const FINER: usize = 16;

/// The pairs of a task within the cutoff, in the list's order.
#[derive(Debug, Default)]
pub(super) struct Found {
    pairs: Vec<Pair>,
    /// r², and then r.
    distances: Vec<f64>,
    intervals: Vec<u32>,
    positions: Vec<f64>,
    /// dt/dr.
    rates: Vec<f64>,
    ends: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Pair {
    row: u32,
    other: u32,
    vector: [f64; 3],
}

impl Found {
    pub fn clear(&mut self) {
        self.pairs.clear();
        self.distances.clear();
    }

    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Takes a pair, as [`Edge`] counts its rows.
    #[inline(always)]
    pub fn push(&mut self, row: usize, other: usize, vector: [f64; 3], r2: f64) {
        self.pairs.push(Pair {
            row: row as u32,
            other: other as u32,
            vector,
        });
        self.distances.push(r2);
    }

    /// Puts the pairs into a task in the order of their intervals.
    ///
    /// Coefficients are then read once for all pairs of an interval. Within it they are in the order of [`FINER`] parts, and only within
    /// these in the list's, so that sums hardly depend on it: float32 rounds them alike in domains and with a new list.
    pub fn by_interval<T: Real>(
        &mut self,
        arch: Arch,
        spacing: &Spacing,
        edges: &mut [Edge<T>],
        arms: &mut [Arm<T>],
    ) {
        let length = self.len();
        self.intervals.resize(length, 0);
        self.positions.resize(length, 0.0);
        self.rates.resize(length, 0.0);
        arch.dispatch(|| root(&mut self.distances));
        let places = (&mut self.intervals, &mut self.positions, &mut self.rates);
        spacing.places(arch, &self.distances, (places.0, places.1, places.2));
        self.ends.clear();
        self.ends.resize(FINER * spacing.intervals() + 1, 0);
        let part = |interval: u32, t: f64| {
            let within = (t * FINER as f64) as usize;
            FINER * interval as usize + within.min(FINER - 1)
        };
        for (&interval, &t) in self.intervals.iter().zip(&self.positions) {
            self.ends[part(interval, t) + 1] += 1;
        }
        let mut end = 0;
        for count in &mut self.ends {
            end += *count;
            *count = end;
        }
        // Each entry is now where its interval begins, and moves to its end.
        for (at, pair) in self.pairs.iter().enumerate() {
            let interval = self.intervals[at];
            let t = self.positions[at];
            let place = &mut self.ends[part(interval, t)];
            edges[*place as usize] = pair.edge(interval, t);
            arms[*place as usize] = pair.arm(self.rates[at] / self.distances[at]);
            *place += 1;
        }
    }

    /// Puts the pairs into a task as they are, with their distances.
    pub fn by_row<T: Real>(
        &mut self,
        edges: &mut [Edge<T>],
        arms: &mut [Arm<T>],
        distances: &mut [f64],
    ) {
        root(&mut self.distances);
        distances[..self.len()].copy_from_slice(&self.distances);
        for (at, pair) in self.pairs.iter().enumerate() {
            edges[at] = pair.edge(0, 0.0);
            arms[at] = pair.arm(1.0 / self.distances[at]);
        }
    }
}

impl Pair {
    fn edge<T: Real>(&self, interval: u32, t: f64) -> Edge<T> {
        Edge {
            row: self.row,
            other: self.other,
            interval,
            t: T::from_f64(t),
        }
    }

    fn arm<T: Real>(&self, scale: f64) -> Arm<T> {
        Arm {
            scale: T::from_f64(scale),
            vector: self.vector.map(T::from_f64),
        }
    }
}

#[inline(always)]
fn root(squares: &mut [f64]) {
    squares
        .iter_mut()
        .for_each(|square| *square = square.sqrt());
}
