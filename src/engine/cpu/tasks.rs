//! What is done with the pairs of a group of rows, in vector code, whatever the source of the filters.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::edges::{Edge, Edges};
use super::kernels::{Features, Filter, Sender, receive, send};
use super::rows::Array;
use crate::filter::{Tile, TileFilter};
use crate::simd::Real;

/// Pairs whose exact filters are evaluated together.
const TILE_PAIRS: usize = 64;

/// What is done with the pairs of a group of rows.
pub(super) trait PairTask<T: Real> {
    /// Whether dW/dr is needed.
    const SLOPES: bool;
    /// The rows.
    fn rows(&self) -> Range<usize>;
    /// Works on some pairs of one row.
    fn pairs<S: Simd>(&mut self, simd: S, row: usize, edges: &[Edge<T>], filter: Filter<T>);
}

pub(super) struct TableTask<'a, T, P> {
    pub edges: &'a Edges<T>,
    pub table: &'a [T],
    pub task: P,
}

impl<T: Real, P: PairTask<T>> WithSimd for TableTask<'_, T, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for row in self.task.rows() {
            self.task
                .pairs(simd, row, self.edges.row(row), Filter::Table(self.table));
        }
    }
}

pub(super) struct TileTask<'a, T, P> {
    pub edges: &'a Edges<T>,
    pub filter: &'a TileFilter<T>,
    pub tile: &'a mut Tile<T>,
    pub task: P,
}

impl<T: Real, P: PairTask<T>> WithSimd for TileTask<'_, T, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for row in self.task.rows() {
            let tiles = self.edges.row(row).chunks(TILE_PAIRS);
            for (edges, distances) in tiles.zip(self.edges.distances(row).chunks(TILE_PAIRS)) {
                self.filter.evaluate(distances, P::SLOPES, self.tile);
                let filter = Filter::Tile(&self.tile.value, &self.tile.slope, self.filter.stride());
                self.task.pairs(simd, row, edges, filter);
            }
        }
    }
}

/// m of a group of rows.
pub(super) struct Receive<'a, 'b, T> {
    pub first: usize,
    pub count: usize,
    pub y: Features<'a, T>,
    pub m: &'a mut Array<'b, T>,
}

impl<T: Real> PairTask<T> for Receive<'_, '_, T> {
    const SLOPES: bool = false;

    fn rows(&self) -> Range<usize> {
        self.first..self.first + self.count
    }

    #[inline(always)]
    fn pairs<S: Simd>(&mut self, simd: S, row: usize, edges: &[Edge<T>], filter: Filter<T>) {
        receive(simd, edges, filter, self.y, self.m.row(row - self.first));
    }
}

/// dE/dy, forces and virials of a group of rows.
pub(super) struct Send<'a, 'b, T> {
    pub first: usize,
    pub count: usize,
    pub y: Features<'a, T>,
    pub g: Features<'a, T>,
    /// Whether dE/dy is needed.
    pub below: bool,
    pub y_gradient: &'a mut Array<'b, T>,
    pub forces: &'a mut Array<'b, [f64; 3]>,
    pub virials: &'a mut Array<'b, [f64; 9]>,
}

impl<T: Real> PairTask<T> for Send<'_, '_, T> {
    const SLOPES: bool = true;

    fn rows(&self) -> Range<usize> {
        self.first..self.first + self.count
    }

    #[inline(always)]
    fn pairs<S: Simd>(&mut self, simd: S, row: usize, edges: &[Edge<T>], filter: Filter<T>) {
        let at = row - self.first;
        let sender = Sender {
            y: self.y,
            g: self.g,
            row,
        };
        let y_gradient = if self.below {
            self.y_gradient.row(at)
        } else {
            &mut []
        };
        let force = &mut self.forces.row(at)[0];
        let virial = self.virials.data.get_mut(at);
        // Sums over pairs are kept in float64: they are short of digits in float32, and cost nothing here.
        if let Some(virial) = virial {
            send(simd, edges, filter, &sender, y_gradient, |edge, slope| {
                let vector = edge.vector.map(T::to_f64);
                let scale = slope.to_f64() * edge.scale.to_f64();
                for a in 0..3 {
                    force[a] += scale * vector[a];
                    for b in 0..3 {
                        virial[3 * a + b] -= 0.5 * scale * vector[a] * vector[b];
                    }
                }
            });
        } else {
            send(simd, edges, filter, &sender, y_gradient, |edge, slope| {
                let scale = slope.to_f64() * edge.scale.to_f64();
                for (force, component) in force.iter_mut().zip(edge.vector) {
                    *force += scale * component.to_f64();
                }
            });
        }
    }
}
