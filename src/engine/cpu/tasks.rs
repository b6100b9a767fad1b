//! What is done with the pairs of a group of rows, in vector code, whatever the source of the filters.

use pulp::{Simd, WithSimd};

use super::edges::{Arm, Edge, TaskEdges};
use super::kernels::{Coefficients, Filter, Receiver, Sender, receive, send};
use super::rows::Array;
use crate::filter::{Tile, TileFilter};
use crate::simd::Real;

/// Pairs whose exact filters are evaluated together.
const TILE_PAIRS: usize = 64;
/// Pairs a kernel is given at once, at most.
const TABLE_PAIRS: usize = 512;

/// What is done with the pairs of a group of rows.
pub(super) trait PairTask<T: Real> {
    /// Whether dW/dr is needed.
    const SLOPES: bool;
    /// Works on some of the pairs, from the task's pair `at` on.
    fn pairs<S: Simd>(&mut self, simd: S, at: usize, edges: &[Edge<T>], filter: Filter<T>);
}

pub(super) struct TableTask<'a, T, P> {
    pub edges: TaskEdges<'a, T>,
    pub table: Coefficients<'a, T>,
    pub task: P,
}

impl<T: Real, P: PairTask<T>> WithSimd for TableTask<'_, T, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for (chunk, edges) in self.edges.pairs.chunks(TABLE_PAIRS).enumerate() {
            let at = chunk * TABLE_PAIRS;
            self.task.pairs(simd, at, edges, Filter::Table(self.table));
        }
    }
}

pub(super) struct TileTask<'a, T, P> {
    pub edges: TaskEdges<'a, T>,
    pub filter: &'a TileFilter<T>,
    pub tile: &'a mut Tile<T>,
    pub task: P,
}

impl<T: Real, P: PairTask<T>> WithSimd for TileTask<'_, T, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let tiles = self.edges.pairs.chunks(TILE_PAIRS);
        let distances = self.edges.distances.chunks(TILE_PAIRS);
        for (chunk, (edges, distances)) in tiles.zip(distances).enumerate() {
            self.filter.evaluate(distances, P::SLOPES, self.tile);
            let filter = Filter::Tile(&self.tile.value, &self.tile.slope, self.filter.stride());
            self.task.pairs(simd, chunk * TILE_PAIRS, edges, filter);
        }
    }
}

/// m of a group of rows; if `MUTUAL`, of a segment.
pub(super) struct Receive<'a, 'b, T, const MUTUAL: bool> {
    pub receiver: Receiver<'a, T>,
    pub m: &'a mut Array<'b, T>,
}

impl<T: Real, const MUTUAL: bool> PairTask<T> for Receive<'_, '_, T, MUTUAL> {
    const SLOPES: bool = false;

    #[inline(always)]
    fn pairs<S: Simd>(&mut self, simd: S, _: usize, edges: &[Edge<T>], filter: Filter<T>) {
        receive::<S, T, MUTUAL>(simd, edges, filter, &self.receiver, self.m);
    }
}

/// dE/dy and the gradients of pairs of a group of rows, and under the lowest block forces and virials; if `MUTUAL`, of a segment.
pub(super) struct Send<'a, 'b, T, const MUTUAL: bool> {
    pub sender: Sender<'a, T>,
    /// Whether there are blocks above, and below.
    pub above: bool,
    pub below: bool,
    /// dE/dt (dE/dr for tiles) of the task's pairs, of this block and those above.
    pub slopes: &'a mut [T],
    pub arms: &'a [Arm<T>],
    pub y_gradient: &'a mut Array<'b, T>,
    pub forces: &'a mut Array<'b, [f64; 3]>,
    pub virials: &'a mut Array<'b, [f64; 9]>,
}

impl<T: Real, const MUTUAL: bool> PairTask<T> for Send<'_, '_, T, MUTUAL> {
    const SLOPES: bool = true;

    #[inline(always)]
    fn pairs<S: Simd>(&mut self, simd: S, at: usize, edges: &[Edge<T>], filter: Filter<T>) {
        let slopes = &mut self.slopes[at..at + edges.len()];
        if !self.above {
            slopes.fill(T::default());
        }
        let y_gradient = self.below.then_some(&mut *self.y_gradient);
        send::<S, T, MUTUAL>(simd, edges, filter, &self.sender, y_gradient, slopes);
        if self.below {
            return;
        }
        // Sums over pairs are kept in float64: they are short of digits in float32, and cost nothing here.
        for (pair, edge) in (at..).zip(edges) {
            let Arm { scale, vector } = self.arms[pair];
            let vector = vector.map(T::to_f64);
            let scale = self.slopes[pair].to_f64() * scale.to_f64();
            self.add(edge.row, scale, vector);
            if MUTUAL && edge.row != edge.other {
                self.add(edge.other, scale, vector.map(|x| -x));
            }
        }
    }
}

impl<T, const MUTUAL: bool> Send<'_, '_, T, MUTUAL> {
    /// What a pair of slope `scale` · distance adds to the atom at the beginning of `vector`.
    #[inline(always)]
    fn add(&mut self, row: u32, scale: f64, vector: [f64; 3]) {
        let force = &mut self.forces.data[row as usize];
        for (force, component) in force.iter_mut().zip(vector) {
            *force += scale * component;
        }
        if let Some(virial) = self.virials.data.get_mut(row as usize) {
            for a in 0..3 {
                for b in 0..3 {
                    virial[3 * a + b] -= 0.5 * scale * vector[a] * vector[b];
                }
            }
        }
    }
}
