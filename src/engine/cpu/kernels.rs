//! The inner loops: for one row, gather, filter, multiply and reduce over its pairs, all in registers.

use pulp::Simd;

use super::edges::Edge;
use crate::filter::ORDER;
use crate::simd::Real;

/// Rows of the arrays a kernel reads.
#[derive(Clone, Copy)]
pub(super) struct Features<'a, T> {
    /// All rows.
    pub data: &'a [T],
    /// Their distance, a whole number of vectors.
    pub stride: usize,
}

impl<'a, T: Real> Features<'a, T> {
    #[inline(always)]
    fn row<S: Simd>(&self, row: usize) -> &'a [T::Vector<S>] {
        T::vectors::<S>(&self.data[row * self.stride..(row + 1) * self.stride])
    }
}

/// Where the filters of a row's pairs come from.
#[derive(Clone, Copy)]
pub(super) enum Filter<'a, T> {
    /// Coefficients of polynomials, [`ORDER`] rows an interval.
    Table(&'a [T]),
    /// W and dW/dr, a row a pair, from the first pair given to the kernel; rows of this stride.
    Tile(&'a [T], &'a [T], usize),
}

/// Sums the vectors' chunks of 8, 4, 2 and 1 that make up a row.
macro_rules! by_chunks {
    ($vectors:expr, $first:ident, $N:ident => $call:expr) => {{
        let mut $first = 0;
        while $first + 8 <= $vectors {
            const $N: usize = 8;
            $call;
            $first += 8;
        }
        if $first + 4 <= $vectors {
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

/// m += Σ y ∘ W over `edges`.
#[inline(always)]
pub(super) fn receive<S: Simd, T: Real>(
    simd: S,
    edges: &[Edge<T>],
    filter: Filter<T>,
    y: Features<T>,
    m: &mut [T],
) {
    let vectors = T::vectors::<S>(m).len();
    by_chunks!(vectors, first, N => receive_chunk::<S, T, N>(simd, edges, filter, y, m, first));
}

#[inline(always)]
fn receive_chunk<S: Simd, T: Real, const N: usize>(
    simd: S,
    edges: &[Edge<T>],
    filter: Filter<T>,
    y: Features<T>,
    m: &mut [T],
    first: usize,
) {
    let out = chunk_mut::<S, T, N>(m, first);
    let mut sum: [T::Vector<S>; N] = *out;
    match filter {
        Filter::Table(table) => {
            for edge in edges {
                let c = coefficients::<S, T, N>(table, y.stride, edge.interval, first);
                let t = T::splat(simd, edge.t);
                let y = chunk::<_, N>(y.row::<S>(edge.other as usize), first);
                for v in 0..N {
                    let w = horner::<S, T, N>(simd, &c, v, t);
                    sum[v] = T::mul_add(simd, y[v], w, sum[v]);
                }
            }
        }
        Filter::Tile(values, _, stride) => {
            for (edge, w) in edges.iter().zip(values.chunks_exact(stride)) {
                let w: &[_; N] = chunk(T::vectors::<S>(w), first);
                let y = chunk::<_, N>(y.row::<S>(edge.other as usize), first);
                for v in 0..N {
                    sum[v] = T::mul_add(simd, y[v], w[v], sum[v]);
                }
            }
        }
    }
    *out = sum;
}

/// What the backward kernel reads and writes for one row.
pub(super) struct Sender<'a, T> {
    /// y of all rows.
    pub y: Features<'a, T>,
    /// dE/dm of all rows; zero for ghosts.
    pub g: Features<'a, T>,
    /// The row.
    pub row: usize,
}

/// dE/dy of one row, Σ g ∘ W over its pairs, added to `y_gradient` if that is not empty; and for every pair
/// dE/dt (dE/dr for tiles) of both its directions, handed to `pair`.
#[inline(always)]
pub(super) fn send<S: Simd, T: Real>(
    simd: S,
    edges: &[Edge<T>],
    filter: Filter<T>,
    sender: &Sender<T>,
    y_gradient: &mut [T],
    mut pair: impl FnMut(&Edge<T>, T),
) {
    let vectors = sender.y.row::<S>(sender.row).len();
    if y_gradient.is_empty() {
        by_chunks!(vectors, first, N => send_chunk::<S, T, N, false>(simd, edges, filter, sender, y_gradient, first, &mut pair));
    } else {
        by_chunks!(vectors, first, N => send_chunk::<S, T, N, true>(simd, edges, filter, sender, y_gradient, first, &mut pair));
    }
}

#[inline(always)]
fn send_chunk<S: Simd, T: Real, const N: usize, const GRADIENT: bool>(
    simd: S,
    edges: &[Edge<T>],
    filter: Filter<T>,
    sender: &Sender<T>,
    y_gradient: &mut [T],
    first: usize,
    pair: &mut impl FnMut(&Edge<T>, T),
) {
    let own_y: [_; N] = *chunk(sender.y.row::<S>(sender.row), first);
    let own_g: [_; N] = *chunk(sender.g.row::<S>(sender.row), first);
    let zero = T::splat(simd, T::default());
    let mut sum = [zero; N];
    match filter {
        Filter::Table(table) => {
            for edge in edges {
                let c = coefficients::<S, T, N>(table, sender.y.stride, edge.interval, first);
                let y = chunk::<_, N>(sender.y.row::<S>(edge.other as usize), first);
                let g = chunk::<_, N>(sender.g.row::<S>(edge.other as usize), first);
                let t = T::splat(simd, edge.t);
                // k tᵏ⁻¹, which multiply the coefficients in the derivative.
                let powers = derivative_powers::<S, T>(simd, edge.t);
                let mut slope = [zero; 2];
                for v in 0..N {
                    let mut dw = c[1][v];
                    for k in 2..ORDER {
                        dw = T::mul_add(simd, c[k][v], powers[k], dw);
                    }
                    let p = T::mul_add(simd, g[v], own_y[v], T::mul(simd, own_g[v], y[v]));
                    slope[v % 2] = T::mul_add(simd, p, dw, slope[v % 2]);
                    if GRADIENT {
                        let w = horner::<S, T, N>(simd, &c, v, t);
                        sum[v] = T::mul_add(simd, g[v], w, sum[v]);
                    }
                }
                pair(edge, T::sum(simd, T::add(simd, slope[0], slope[1])));
            }
        }
        Filter::Tile(values, slopes, stride) => {
            let rows = values.chunks_exact(stride).zip(slopes.chunks_exact(stride));
            for (edge, (w, dw)) in edges.iter().zip(rows) {
                let w: &[_; N] = chunk(T::vectors::<S>(w), first);
                let dw: &[_; N] = chunk(T::vectors::<S>(dw), first);
                let y = chunk::<_, N>(sender.y.row::<S>(edge.other as usize), first);
                let g = chunk::<_, N>(sender.g.row::<S>(edge.other as usize), first);
                let mut slope = zero;
                for v in 0..N {
                    let p = T::mul_add(simd, g[v], own_y[v], T::mul(simd, own_g[v], y[v]));
                    slope = T::mul_add(simd, p, dw[v], slope);
                    if GRADIENT {
                        sum[v] = T::mul_add(simd, g[v], w[v], sum[v]);
                    }
                }
                pair(edge, T::sum(simd, slope));
            }
        }
    }
    if GRADIENT {
        let out = chunk_mut::<S, T, N>(y_gradient, first);
        for v in 0..N {
            out[v] = T::add(simd, out[v], sum[v]);
        }
    }
}

/// Σ cₖ tᵏ of vector `v`.
#[inline(always)]
fn horner<S: Simd, T: Real, const N: usize>(
    simd: S,
    c: &[&[T::Vector<S>; N]; ORDER],
    v: usize,
    t: T::Vector<S>,
) -> T::Vector<S> {
    let mut w = c[ORDER - 1][v];
    for k in (0..ORDER - 1).rev() {
        w = T::mul_add(simd, w, t, c[k][v]);
    }
    w
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

/// The `N` vectors from `first` on of the rows of an interval.
#[inline(always)]
fn coefficients<S: Simd, T: Real, const N: usize>(
    table: &[T],
    stride: usize,
    interval: u32,
    first: usize,
) -> [&[T::Vector<S>; N]; ORDER] {
    let rows = &table[interval as usize * ORDER * stride..][..ORDER * stride];
    std::array::from_fn(|power| {
        chunk(
            T::vectors::<S>(&rows[power * stride..(power + 1) * stride]),
            first,
        )
    })
}

#[inline(always)]
fn chunk<V, const N: usize>(row: &[V], first: usize) -> &[V; N] {
    row[first..]
        .first_chunk()
        .expect("a chunk lies within its row")
}

#[inline(always)]
fn chunk_mut<S: Simd, T: Real, const N: usize>(
    row: &mut [T],
    first: usize,
) -> &mut [T::Vector<S>; N] {
    T::vectors_mut::<S>(row)[first..]
        .first_chunk_mut()
        .expect("a chunk lies within its row")
}
