//! Candidates sorted into bins at least one cutoff wide, so that a bin's neighbours are in the 27 bins around it.

use super::images::{Image, Images, enclose, reserve};
use super::lattice::Vector;
use crate::Result;
use std::ops::Range;

/// With so few candidates everything goes into one bin: testing all pairs costs less than sorting rows.
const FEW: usize = 512;

/// A candidate in its bin. The position is copied so that what is near in space is near in memory, too.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Member {
    pub position: Vector,
    /// The number of the candidate.
    pub number: u32,
    /// Whether it is the atom itself, not an image.
    pub home: bool,
}

/// Bins of candidates.
///
/// A dense grid has a table with the start of every bin. Where that would be mostly empty (a few molecules far
/// apart, an atom that flew away) only occupied bins are listed, in order, and found by bisection.
#[derive(Debug, Default)]
pub(super) struct Grid {
    /// Number of bins along each direction.
    dims: [i64; 3],
    dense: bool,
    /// Start of each bin in `members`, and the end of the last.
    starts: Vec<u32>,
    /// Coordinates of the occupied bins, ascending. Empty in a dense grid.
    keys: Vec<[i64; 3]>,
    /// Candidates, bin by bin, ascending within a bin.
    pub members: Vec<Member>,
    /// What each member is an image of.
    pub sources: Vec<Image>,
    bin_of: Vec<u32>,
    sparse: Vec<([i64; 3], u32)>,
}

impl Grid {
    /// Sort the candidates into bins of a width of `cutoff` or more.
    pub fn sort(&mut self, images: &Images, cutoff: f64) -> Result<()> {
        let n = images.len();
        self.members.clear();
        self.sources.clear();
        self.starts.clear();
        self.keys.clear();
        reserve(&mut self.members, n)?;
        reserve(&mut self.sources, n)?;
        if n <= FEW {
            self.dense = true;
            self.dims = [1; 3];
            self.members.extend((0..n).map(|c| images.member(c)));
            self.sources.extend_from_slice(&images.source);
            self.starts.extend([0, n as u32]);
            return Ok(());
        }

        let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
        for position in &images.position {
            enclose(&mut low, &mut high, position);
        }
        // A little wider than the cutoff, so that rounding of the quotient below cannot put two candidates within
        // the cutoff two bins apart.
        let largest = (0..3).fold(0.0_f64, |m, k| m.max(low[k].abs()).max(high[k].abs()));
        let width = (cutoff + images.tolerance) * (1.0 + 1e-9) + 16.0 * f64::EPSILON * largest;
        let mut inverse = [0.0; 3];
        for k in 0..3 {
            let extent = high[k] - low[k];
            let count = (extent / width).floor().max(1.0);
            self.dims[k] = count as i64;
            inverse[k] = if extent > 0.0 { count / extent } else { 0.0 };
        }
        let bins = self.dims.iter().fold(1.0, |m, &d| m * d as f64);
        self.dense = bins <= 2.0 * n as f64 + 4096.0;
        let dims = self.dims;
        let place = |p: &Vector| -> [i64; 3] {
            std::array::from_fn(|k| (((p[k] - low[k]) * inverse[k]) as i64).min(dims[k] - 1))
        };
        if self.dense {
            self.fill_dense(images, place)
        } else {
            self.fill_sparse(images, place)
        }
    }

    /// Counting sort.
    fn fill_dense(&mut self, images: &Images, place: impl Fn(&Vector) -> [i64; 3]) -> Result<()> {
        let n = images.len();
        let [nx, ny, nz] = self.dims.map(|d| d as usize);
        let bins = nx * ny * nz;
        reserve(&mut self.starts, bins + 1)?;
        self.starts.resize(bins + 1, 0);
        self.bin_of.clear();
        reserve(&mut self.bin_of, n)?;
        for c in 0..n {
            let [x, y, z] = place(&images.position[c]);
            let bin = (x as usize * ny + y as usize) * nz + z as usize;
            self.starts[bin] += 1;
            self.bin_of.push(bin as u32);
        }
        let mut sum = 0;
        for start in &mut self.starts {
            sum += std::mem::replace(start, sum);
        }
        self.members.resize(n, Member::default());
        self.sources.resize(n, Image::default());
        for (c, &bin) in self.bin_of.iter().enumerate() {
            let start = &mut self.starts[bin as usize];
            self.members[*start as usize] = images.member(c);
            self.sources[*start as usize] = images.source[c];
            *start += 1;
        }
        // Filling moved every start to its bin's end, which is the next one's start.
        self.starts.copy_within(..bins, 1);
        self.starts[0] = 0;
        Ok(())
    }

    /// Comparison sort of bin coordinates.
    fn fill_sparse(&mut self, images: &Images, place: impl Fn(&Vector) -> [i64; 3]) -> Result<()> {
        let n = images.len();
        self.sparse.clear();
        reserve(&mut self.sparse, n)?;
        for c in 0..n {
            self.sparse.push((place(&images.position[c]), c as u32));
        }
        self.sparse.sort_unstable();
        reserve(&mut self.keys, n)?;
        reserve(&mut self.starts, n + 1)?;
        for (position, &(key, candidate)) in self.sparse.iter().enumerate() {
            if self.keys.last() != Some(&key) {
                self.keys.push(key);
                self.starts.push(position as u32);
            }
            self.members.push(images.member(candidate as usize));
            self.sources.push(images.source[candidate as usize]);
        }
        self.starts.push(n as u32);
        Ok(())
    }

    /// The number of bins, counting only occupied ones in a sparse grid.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The part of `members` that is in bin `bin`.
    pub fn range(&self, bin: usize) -> Range<usize> {
        self.starts[bin] as usize..self.starts[bin + 1] as usize
    }

    /// Call `visit` with every part of `members` that is in the surroundings of `bin`, itself included.
    pub fn surroundings(&self, bin: usize, mut visit: impl FnMut(Range<usize>)) {
        let [nx, ny, nz] = self.dims;
        let [x, y, z] = if self.dense {
            let bin = bin as i64;
            [bin / (ny * nz), bin / nz % ny, bin % nz]
        } else {
            self.keys[bin]
        };
        let (z0, z1) = ((z - 1).max(0), (z + 1).min(nz - 1));
        for p in (x - 1).max(0)..=(x + 1).min(nx - 1) {
            for q in (y - 1).max(0)..=(y + 1).min(ny - 1) {
                // Bins that follow one another along z are one piece.
                let (first, last) = if self.dense {
                    let row = (p * ny + q) * nz;
                    ((row + z0) as usize, (row + z1) as usize + 1)
                } else {
                    (
                        self.keys.partition_point(|key| *key < [p, q, z0]),
                        self.keys.partition_point(|key| *key <= [p, q, z1]),
                    )
                };
                if first < last {
                    visit(self.starts[first] as usize..self.starts[last] as usize);
                }
            }
        }
    }
}
