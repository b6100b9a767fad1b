//! The inner loops: gather, filter, multiply and reduce over the pairs of a task.

use pulp::Simd;

use super::edges::Edge;
use super::rows::Array;
use crate::filter::{HalfTable, ORDER};
use crate::simd::{Real, fetch, fetch_all, fetch_beyond};

/// Rows of the arrays a kernel reads.
#[derive(Clone, Copy)]
pub(super) struct Features<'a, T> {
    /// All rows.
    pub data: &'a [T],
    /// Their distance, a whole number of vectors.
    pub stride: usize,
    /// Where atoms of one type share a row, the row of each.
    pub kinds: Option<&'a [u32]>,
}

impl<'a, T: Real> Features<'a, T> {
    /// The rows from `first` on.
    pub fn from(&self, first: usize) -> Self {
        match self.kinds {
            Some(kinds) => Self {
                kinds: Some(&kinds[first..]),
                ..*self
            },
            None => Self {
                data: &self.data[first * self.stride..],
                ..*self
            },
        }
    }

    /// Has rows brought into the nearest cache, where those that are shared are.
    pub fn fetch_rows(&self, first: usize, count: usize) {
        if self.kinds.is_none() {
            fetch_all(&self.data[first * self.stride..][..count * self.stride]);
        }
    }

    /// Number of vectors of a row.
    #[inline(always)]
    fn vectors<S: Simd>(&self) -> usize {
        self.stride * size_of::<T>() / size_of::<T::Vector<S>>()
    }

    /// Has these vectors brought into the nearest cache.
    #[inline(always)]
    fn fetch<S: Simd, const N: usize>(&self, row: u32, first: usize) {
        for vector in self.chunk::<S, N, true>(row, first) {
            fetch(vector);
        }
    }

    /// `N` vectors of an atom's row, from vector `first` on. `OWN`: no others share it.
    #[inline(always)]
    fn chunk<S: Simd, const N: usize, const OWN: bool>(
        &self,
        row: u32,
        first: usize,
    ) -> &'a [T::Vector<S>; N] {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let row = match self.kinds {
            Some(kinds) if !OWN => kinds[row as usize],
            _ => row,
        };
        let start = row as usize * self.stride + first * lanes;
        chunk(T::vectors::<S>(&self.data[start..start + N * lanes]), 0)
    }
}

/// Where the filters of a row's pairs come from.
#[derive(Clone, Copy)]
pub(super) enum Filter<'a, T> {
    /// Polynomials.
    Table(Coefficients<'a, T>),
    /// W and dW/dr, a row a pair given to the kernel; rows of this stride.
    Tile(&'a [T], &'a [T], usize),
}

/// Coefficients of polynomials, [`ORDER`] rows an interval.
#[derive(Clone, Copy)]
pub(super) enum Coefficients<'a, T> {
    /// As they are.
    Whole(&'a [T]),
    /// In 16 bits.
    Half(&'a HalfTable<T>),
}

/// Calls for the chunks of 4, 2 and 1 of the vectors that make up a row: coefficients of 4 fit the registers of AVX-512.
macro_rules! by_chunks {
    ($vectors:expr, $first:ident, $N:ident => $call:expr) => {{
        let mut $first = 0;
        while $first + 4 <= $vectors {
            const $N: usize = 4;
            $call;
            $first += 4;
        }
        if $first + 2 <= $vectors {
            const $N: usize = 2;
            $call;
            $first += 2;
        }
        if $first < $vectors {
            const $N: usize = 1;
            $call;
        }
    }};
}

/// What the forward kernel reads.
#[derive(Clone, Copy)]
pub(super) struct Receiver<'a, T> {
    /// y of all rows.
    pub y: Features<'a, T>,
    /// How much further on the pairs of the next task are.
    pub next: usize,
}

/// m += Σ y ∘ W over `edges`; if they are `MUTUAL`, for both atoms of each.
#[inline(always)]
pub(super) fn receive<S: Simd, T: Real, const MUTUAL: bool>(
    simd: S,
    edges: &[Edge<T>],
    filter: Filter<T>,
    receiver: &Receiver<T>,
    m: &mut Array<T>,
) {
    let vectors = receiver.y.vectors::<S>();
    if receiver.y.kinds.is_none() {
        by_chunks!(vectors, first, N => receive_chunk::<S, T, N, MUTUAL, true>(simd, edges, filter, receiver, m, first));
    } else {
        by_chunks!(vectors, first, N => receive_chunk::<S, T, N, MUTUAL, false>(simd, edges, filter, receiver, m, first));
    }
}

#[inline(always)]
fn receive_chunk<S: Simd, T: Real, const N: usize, const MUTUAL: bool, const OWN: bool>(
    simd: S,
    edges: &[Edge<T>],
    filter: Filter<T>,
    &Receiver { y, next }: &Receiver<T>,
    m: &mut Array<T>,
    first: usize,
) {
    match filter {
        Filter::Table(table) => {
            let mut ahead = edges.iter().skip(AHEAD);
            for edges in edges.chunk_by(|a, b| a.interval == b.interval) {
                let c = coefficients::<S, T, N>(simd, table, y.stride, edges[0].interval, first);
                for edge in edges {
                    if !MUTUAL {
                        fetch_beyond(edge, next);
                    }
                    if let Some(ahead) = ahead.next().filter(|_| OWN) {
                        y.fetch::<S, N>(ahead.other, first);
                    }
                    let t = T::splat(simd, edge.t);
                    let mut w = c[ORDER - 1];
                    for v in 0..N {
                        for k in (0..ORDER - 1).rev() {
                            w[v] = T::mul_add(simd, w[v], t, c[k][v]);
                        }
                    }
                    add_messages::<S, T, N, MUTUAL, OWN>(simd, edge, &w, y, m, first);
                }
            }
        }
        Filter::Tile(values, _, stride) => {
            for (edge, w) in edges.iter().zip(values.chunks_exact(stride)) {
                let w = chunk(T::vectors::<S>(w), first);
                add_messages::<S, T, N, MUTUAL, OWN>(simd, edge, w, y, m, first);
            }
        }
    }
}

/// What a pair adds to m.
#[inline(always)]
fn add_messages<S: Simd, T: Real, const N: usize, const MUTUAL: bool, const OWN: bool>(
    simd: S,
    edge: &Edge<T>,
    w: &[T::Vector<S>; N],
    y: Features<T>,
    m: &mut Array<T>,
    first: usize,
) {
    let (row, other) = (edge.row, edge.other);
    add_product::<S, T, N>(simd, y.chunk::<S, N, OWN>(other, first), w, m, row, first);
    if MUTUAL && row != other {
        add_product::<S, T, N>(simd, y.chunk::<S, N, OWN>(row, first), w, m, other, first);
    }
}

/// A row of `sum` += a ∘ w.
#[inline(always)]
fn add_product<S: Simd, T: Real, const N: usize>(
    simd: S,
    a: &[T::Vector<S>; N],
    w: &[T::Vector<S>; N],
    sum: &mut Array<T>,
    row: u32,
    first: usize,
) {
    let sum = chunk_mut::<S, T, N>(sum, row, first);
    for v in 0..N {
        sum[v] = T::mul_add(simd, a[v], w[v], sum[v]);
    }
}

/// What the backward kernel reads.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a, T> {
    /// y of all rows.
    pub y: Features<'a, T>,
    /// dE/dm of all rows; zero for ghosts.
    pub g: Features<'a, T>,
    /// What rows of pairs are counted from.
    pub first: usize,
    /// How much further on the pairs of the next task are.
    pub next: usize,
}

/// dE/dy, Σ g ∘ W over `edges`, added to `y_gradient` if it is wanted; if they are `MUTUAL`, for both atoms of each. And for
/// every pair dE/dt (dE/dr for tiles) of both its directions, added to `slopes`.
///
/// Where dE/dy is wanted, rows of y must be the atoms' own: under the lowest block, which shares them, it is not.
#[inline(always)]
pub(super) fn send<S: Simd, T: Real, const MUTUAL: bool>(
    simd: S,
    edges: &[Edge<T>],
    filter: Filter<T>,
    sender: &Sender<T>,
    y_gradient: Option<&mut Array<T>>,
    slopes: &mut [T],
) {
    let vectors = sender.y.vectors::<S>();
    if let Some(out) = y_gradient {
        by_chunks!(vectors, first, N => send_chunk::<S, T, N, MUTUAL, true>(simd, edges, filter, sender, out, first, slopes));
    } else {
        let out = &mut Array::new(&mut [], 0);
        by_chunks!(vectors, first, N => send_chunk::<S, T, N, MUTUAL, false>(simd, edges, filter, sender, out, first, slopes));
    }
}

#[inline(always)]
fn send_chunk<S: Simd, T: Real, const N: usize, const MUTUAL: bool, const GRADIENT: bool>(
    simd: S,
    edges: &[Edge<T>],
    filter: Filter<T>,
    sender: &Sender<T>,
    y_gradient: &mut Array<T>,
    first: usize,
    slopes: &mut [T],
) {
    let zero = T::splat(simd, T::default());
    match filter {
        Filter::Table(table) => {
            let mut slopes = slopes.iter_mut();
            let mut ahead = edges.iter().skip(AHEAD);
            for edges in edges.chunk_by(|a, b| a.interval == b.interval) {
                let c =
                    coefficients::<S, T, N>(simd, table, sender.y.stride, edges[0].interval, first);
                for (edge, out) in edges.iter().zip(&mut slopes) {
                    if !MUTUAL {
                        fetch_beyond(edge, sender.next);
                        fetch_beyond(out, sender.next);
                    }
                    if let Some(ahead) = ahead.next() {
                        if GRADIENT {
                            sender.y.fetch::<S, N>(ahead.other, first);
                        }
                        sender.g.fetch::<S, N>(ahead.other, first);
                    }
                    let (mut w, mut dw) = ([zero; N], c[ORDER - 1]);
                    if GRADIENT {
                        // Horner's scheme for the polynomial and its derivative at once.
                        let t = T::splat(simd, edge.t);
                        for v in 0..N {
                            w[v] = T::mul_add(simd, dw[v], t, c[ORDER - 2][v]);
                            for k in (0..ORDER - 2).rev() {
                                dw[v] = T::mul_add(simd, dw[v], t, w[v]);
                                w[v] = T::mul_add(simd, w[v], t, c[k][v]);
                            }
                        }
                    } else {
                        let powers = derivative_powers::<S, T>(simd, edge.t);
                        for v in 0..N {
                            dw[v] = T::mul_add(simd, c[2][v], powers[2], c[1][v]);
                            for k in 3..ORDER {
                                dw[v] = T::mul_add(simd, c[k][v], powers[k], dw[v]);
                            }
                        }
                    }
                    let pair = sender.pair::<S, N, GRADIENT>(edge, first);
                    *out = out.plus(pair.slope(simd, &dw));
                    if GRADIENT {
                        add_gradients::<S, T, N, MUTUAL>(simd, edge, &w, &pair, y_gradient, first);
                    }
                }
            }
        }
        Filter::Tile(values, derivatives, stride) => {
            let rows = values
                .chunks_exact(stride)
                .zip(derivatives.chunks_exact(stride));
            for ((edge, out), (w, dw)) in edges.iter().zip(slopes).zip(rows) {
                let (w, dw) = (T::vectors::<S>(w), T::vectors::<S>(dw));
                let pair = sender.pair::<S, N, GRADIENT>(edge, first);
                *out = out.plus(pair.slope(simd, chunk(dw, first)));
                if GRADIENT {
                    let w = chunk(w, first);
                    add_gradients::<S, T, N, MUTUAL>(simd, edge, w, &pair, y_gradient, first);
                }
            }
        }
    }
}

/// k tᵏ⁻¹ for every power k.
#[inline(always)]
fn derivative_powers<S: Simd, T: Real>(simd: S, t: T) -> [T::Vector<S>; ORDER] {
    let mut power = T::from_f64(1.0);
    let mut powers = [T::splat(simd, T::default()); ORDER];
    for (k, out) in powers.iter_mut().enumerate().skip(1) {
        *out = T::splat(simd, power.times(T::from_f64(k as f64)));
        power = power.times(t);
    }
    powers
}

/// Rows of both atoms of a pair; `own` is the row's.
struct Pair<'a, S: Simd, T: Real, const N: usize> {
    own_y: &'a [T::Vector<S>; N],
    own_g: &'a [T::Vector<S>; N],
    y: &'a [T::Vector<S>; N],
    g: &'a [T::Vector<S>; N],
}

impl<S: Simd, T: Real, const N: usize> Pair<'_, S, T, N> {
    /// dE/dt of both directions.
    #[inline(always)]
    fn slope(&self, simd: S, dw: &[T::Vector<S>; N]) -> T {
        let mut slope = [T::splat(simd, T::default()); 2];
        for v in 0..N {
            let own = T::mul(simd, self.own_g[v], self.y[v]);
            let product = T::mul_add(simd, self.g[v], self.own_y[v], own);
            slope[v % 2] = T::mul_add(simd, product, dw[v], slope[v % 2]);
        }
        T::sum(simd, T::add(simd, slope[0], slope[1]))
    }
}

/// What a pair adds to dE/dy.
#[inline(always)]
fn add_gradients<S: Simd, T: Real, const N: usize, const MUTUAL: bool>(
    simd: S,
    edge: &Edge<T>,
    w: &[T::Vector<S>; N],
    pair: &Pair<S, T, N>,
    y_gradient: &mut Array<T>,
    first: usize,
) {
    add_product::<S, T, N>(simd, pair.g, w, y_gradient, edge.row, first);
    if MUTUAL && edge.row != edge.other {
        add_product::<S, T, N>(simd, pair.own_g, w, y_gradient, edge.other, first);
    }
}

impl<'a, T: Real> Sender<'a, T> {
    #[inline(always)]
    fn pair<S: Simd, const N: usize, const OWN: bool>(
        &self,
        edge: &Edge<T>,
        first: usize,
    ) -> Pair<'a, S, T, N> {
        let own = self.first as u32 + edge.row;
        Pair {
            own_y: self.y.chunk::<S, N, OWN>(own, first),
            own_g: self.g.chunk::<S, N, true>(own, first),
            y: self.y.chunk::<S, N, OWN>(edge.other, first),
            g: self.g.chunk::<S, N, true>(edge.other, first),
        }
    }
}

/// How many pairs ahead of their use rows are fetched.
const AHEAD: usize = 48;

/// The most numbers in the vectors of a chunk.
const CHUNK: usize = 64;

/// The `N` vectors from `first` on of the rows of an interval.
#[inline(always)]
fn coefficients<S: Simd, T: Real, const N: usize>(
    simd: S,
    table: Coefficients<T>,
    stride: usize,
    interval: u32,
    first: usize,
) -> [[T::Vector<S>; N]; ORDER] {
    let mut all = [[T::splat(simd, T::default()); N]; ORDER];
    let interval = interval as usize;
    match table {
        Coefficients::Whole(table) => {
            let rows = &table[interval * ORDER * stride..][..ORDER * stride];
            for (row, out) in rows.chunks_exact(stride).zip(&mut all) {
                *out = *chunk(T::vectors::<S>(row), first);
            }
        }
        Coefficients::Half(table) => {
            let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
            let mut row = [T::default(); CHUNK];
            let row = &mut row[..N * lanes];
            for (power, out) in all.iter_mut().enumerate() {
                table.expand(interval, power, first * lanes, row);
                *out = *chunk(T::vectors::<S>(row), 0);
            }
        }
    }
    all
}

#[inline(always)]
fn chunk<V, const N: usize>(row: &[V], first: usize) -> &[V; N] {
    row[first..]
        .first_chunk()
        .expect("a chunk lies within its row")
}

#[inline(always)]
fn chunk_mut<'a, S: Simd, T: Real, const N: usize>(
    rows: &'a mut Array<T>,
    row: u32,
    first: usize,
) -> &'a mut [T::Vector<S>; N] {
    let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
    let start = row as usize * rows.stride + first * lanes;
    T::vectors_mut::<S>(&mut rows.data[start..start + N * lanes])
        .first_chunk_mut()
        .expect("a chunk lies within its row")
}
