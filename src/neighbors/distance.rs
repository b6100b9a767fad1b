//! The inner loop: which of the points around an atom are within the cutoff.

use super::lattice::Vector;

/// Points are tested in groups of this many.
const LANES: usize = 8;

/// Coordinate of the points that pad a group: far from everything, and its square is finite.
const NOWHERE: f64 = 1e150;

/// The points around a bin, coordinate by coordinate, padded to whole groups.
#[derive(Debug, Default)]
pub(super) struct Points {
    x: Vec<f64>,
    y: Vec<f64>,
    z: Vec<f64>,
    /// The number of each point.
    number: Vec<u32>,
    len: usize,
}

/// Squares of distances: surely outside beyond `outer`, surely inside up to `inner`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shell {
    pub inner: f64,
    pub outer: f64,
}

impl Points {
    pub fn clear(&mut self) {
        self.x.clear();
        self.y.clear();
        self.z.clear();
        self.number.clear();
    }

    pub fn push(&mut self, point: Vector, number: u32) {
        self.x.push(point[0]);
        self.y.push(point[1]);
        self.z.push(point[2]);
        self.number.push(number);
    }

    /// Fill the last group.
    pub fn pad(&mut self) {
        self.len = self.number.len();
        let padded = self.len.next_multiple_of(LANES);
        self.x.resize(padded, NOWHERE);
        self.y.resize(padded, NOWHERE);
        self.z.resize(padded, NOWHERE);
        self.number.resize(padded, u32::MAX);
    }

    /// Put the numbers of the points not beyond `shell.outer` into `found`, in their order.
    ///
    /// Returns whether one of them is beyond `shell.inner`, so that rounding decides.
    pub fn near(&self, center: Vector, shell: Shell, found: &mut Vec<u32>) -> bool {
        if found.len() < self.number.len() + LANES {
            found.resize(self.number.len() + LANES, 0);
        }
        let (x, _) = self.x.as_chunks::<LANES>();
        let (y, _) = self.y.as_chunks::<LANES>();
        let (z, _) = self.z.as_chunks::<LANES>();
        let (number, _) = self.number.as_chunks::<LANES>();
        let mut count = 0;
        let mut doubtful = false;
        for (((x, y), z), number) in x.iter().zip(y).zip(z).zip(number) {
            let mut square = [0.0; LANES];
            for l in 0..LANES {
                let (dx, dy, dz) = (x[l] - center[0], y[l] - center[1], z[l] - center[2]);
                square[l] = dx * dx + dy * dy + dz * dz;
            }
            let out: &mut [u32; LANES] = (&mut found[count..count + LANES]).try_into().unwrap();
            let mut k = 0;
            for l in 0..LANES {
                out[k & (LANES - 1)] = number[l];
                k += usize::from(square[l] <= shell.outer);
                doubtful |= square[l] > shell.inner && square[l] <= shell.outer;
            }
            count += k;
        }
        found.truncate(count);
        doubtful
    }
}
