//! What the patches of a mutual segment add up, each for all rows of the segment.

use rayon::ThreadPool;

use super::rows::{Array, Rows, for_each_row};
use super::segments::Segment;
use crate::simd::{Aligned, Real};

/// Sums of every patch, one after the other.
#[derive(Debug, Default)]
pub(super) struct Partial<T> {
    rows: usize,
    stride: usize,
    /// m, or dE/dy; empty if dE/dy is not needed.
    sums: Aligned<T>,
    forces: Vec<[f64; 3]>,
    virials: Vec<[f64; 9]>,
}

/// Rows of sums, forces and virials; empty where they are not needed.
pub(super) type Sums<'a, T> = (Array<'a, T>, Array<'a, [f64; 3]>, Array<'a, [f64; 9]>);

impl<T: Real> Partial<T> {
    /// Lets `add` add to the rows of each patch of `segment`, which begin as zeros, and work on the patch's part of `others`.
    pub fn fill<R: Rows>(
        &mut self,
        pool: Option<&ThreadPool>,
        segment: &Segment,
        (stride, forces, virials): (usize, bool, bool),
        others: R,
        add: impl Fn(usize, &mut Sums<T>, R) + Sync,
    ) {
        let (rows, patches) = (segment.rows.len(), segment.patches());
        let number = |wanted| if wanted { rows } else { 0 };
        (self.rows, self.stride) = (rows, stride);
        self.sums.resize(patches * rows * stride);
        self.forces.resize(patches * number(forces), [0.0; 3]);
        self.virials.resize(patches * number(virials), [0.0; 9]);
        let arrays = (
            Array::new(&mut self.sums, rows * stride),
            Array::new(&mut self.forces, number(forces)),
            Array::new(&mut self.virials, number(virials)),
            others,
        );
        for_each_row(
            pool,
            patches,
            arrays,
            |patch, (mut sums, mut forces, mut virials, others)| {
                let mut own = (
                    Array::new(sums.row(0), stride),
                    Array::new(forces.row(0), 1),
                    Array::new(virials.row(0), 1),
                );
                own.0.data.fill(T::default());
                own.1.data.fill([0.0; 3]);
                own.2.data.fill([0.0; 9]);
                add(patch, &mut own, others);
            },
        );
    }

    /// The sums over patches of `count` rows from `first` on; those of forces and virials are added to what is there.
    pub fn total(&self, first: usize, count: usize, (sums, forces, virials): &mut Sums<T>) {
        let out = &mut sums.data[..(count * self.stride).min(self.sums.len())];
        for (patch, all) in chunks(&self.sums, self.rows * self.stride).enumerate() {
            let own = &all[first * self.stride..][..out.len()];
            if patch == 0 {
                out.copy_from_slice(own);
            } else {
                out.iter_mut()
                    .zip(own)
                    .for_each(|(out, &x)| *out = out.plus(x));
            }
        }
        add(
            &self.forces,
            self.rows,
            first,
            &mut forces.data[..count.min(self.forces.len())],
        );
        add(
            &self.virials,
            self.rows,
            first,
            &mut virials.data[..count.min(self.virials.len())],
        );
    }
}

/// The part of each patch.
fn chunks<T>(all: &[T], size: usize) -> impl Iterator<Item = &[T]> {
    all.chunks_exact(size.max(1))
}

fn add<const N: usize>(all: &[[f64; N]], rows: usize, first: usize, out: &mut [[f64; N]]) {
    for own in chunks(all, rows) {
        for (out, own) in out.iter_mut().zip(&own[first..]) {
            out.iter_mut().zip(own).for_each(|(out, x)| *out += x);
        }
    }
}
