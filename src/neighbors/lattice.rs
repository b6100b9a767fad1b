//! Lattices: reduction to short vectors, completion to a basis of space.
//!
//! The search works in a reduced basis, where a sphere is covered by the fewest images; shifts are counted in the
//! vectors as given. Both describe the same lattice, so a small integer matrix leads from one to the other.

/// A point or vector of space.
pub(super) type Vector = [f64; 3];

/// Coordinates beyond this are refused, so that no square overflows.
pub(super) const LARGEST: f64 = 1e100;

/// The periodic part of a cell in a reduced basis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lattice {
    /// Number of periodic directions.
    pub rank: usize,
    /// The first `rank` rows are the reduced lattice vectors, the others complete them to a basis.
    pub basis: [Vector; 3],
    /// Rows dual to `basis`: `dual[r] · p` is the coordinate of `p` along `basis[r]`.
    pub dual: [Vector; 3],
    /// `basis[r] = Σ_c combination[r][c] · vectors[c]` for `r < rank`.
    pub combination: [[i64; 3]; 3],
    /// `Σ_c |combination[r][c]| · |vectors[c]|`: the scale of the rounding errors in `basis[r]`.
    pub magnitude: [f64; 3],
}

impl Lattice {
    /// The lattice without periodic directions.
    pub fn open() -> Self {
        let identity = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        Self {
            rank: 0,
            basis: identity,
            dual: identity,
            combination: [[0; 3]; 3],
            magnitude: [0.0; 3],
        }
    }

    /// The lattice of the periodic directions; none if their vectors are dependent.
    pub fn new(vectors: &[Vector; 3], periodic: [bool; 3]) -> Option<Self> {
        let mut rows: Vec<Row> = (0..3)
            .filter(|&c| periodic[c])
            .map(|c| Row::unit(c, vectors))
            .collect();
        let spanning: Vec<Vector> = rows.iter().map(|row| row.vector).collect();
        if !independent(&spanning) {
            return None;
        }
        reduce(&mut rows, vectors);
        let mut lattice = Self::open();
        lattice.rank = rows.len();
        for (r, row) in rows.iter().enumerate() {
            lattice.basis[r] = row.vector;
            lattice.combination[r] = row.combination;
            lattice.magnitude[r] = (0..3)
                .filter(|&c| periodic[c])
                .map(|c| row.combination[c].unsigned_abs() as f64 * norm(&vectors[c]))
                .sum();
        }
        complete(&mut lattice.basis, lattice.rank);
        lattice.dual = dual(&lattice.basis);
        Some(lattice)
    }

    /// The translation by `multiples` of the basis: as a vector, and counted in the vectors of the cell.
    pub fn translation(&self, multiples: Vector) -> (Vector, Vector) {
        let (mut vector, mut shift) = ([0.0; 3], [0.0; 3]);
        for (r, multiple) in multiples.iter().enumerate().take(self.rank) {
            for k in 0..3 {
                vector[k] += multiple * self.basis[r][k];
                shift[k] += multiple * self.combination[r][k] as f64;
            }
        }
        (vector, shift)
    }

    /// The shortest of `d` and all vectors that differ from it by a translation.
    pub fn nearest(&self, d: Vector) -> Vector {
        let mut centred = d;
        for r in 0..self.rank {
            let steps = dot(&self.dual[r], &d).round();
            for (value, step) in centred.iter_mut().zip(self.basis[r]) {
                *value -= steps * step;
            }
        }
        // No translation is shorter than the lowest height, so that nothing within half of it has a shorter image.
        let lowest = (0..self.rank)
            .map(|r| self.height(r))
            .fold(f64::MAX, f64::min);
        let mut best = centred;
        if 4.0 * norm2(&centred) > lowest * lowest {
            let reach = |r: usize| if r < self.rank { -1..=1 } else { 0..=0 };
            for (x, y, z) in
                reach(0).flat_map(|x| reach(1).flat_map(move |y| reach(2).map(move |z| (x, y, z))))
            {
                let (step, _) = self.translation([x, y, z].map(f64::from));
                let image = [
                    centred[0] + step[0],
                    centred[1] + step[1],
                    centred[2] + step[2],
                ];
                if norm2(&image) < norm2(&best) {
                    best = image;
                }
            }
        }
        best
    }

    /// Distance between the two faces of the reduced cell that direction `r` crosses.
    pub fn height(&self, r: usize) -> f64 {
        1.0 / norm(&self.dual[r])
    }
}

/// One vector of the basis under reduction, and what it is made of.
#[derive(Clone, Copy)]
struct Row {
    vector: Vector,
    combination: [i64; 3],
}

impl Row {
    fn unit(c: usize, vectors: &[Vector; 3]) -> Self {
        let mut combination = [0; 3];
        combination[c] = 1;
        Self {
            vector: vectors[c],
            combination,
        }
    }

    /// `self − Σ multiples[k] · others[k]`, computed from the original vectors so that errors do not pile up.
    fn minus(&self, others: &[Row], multiples: &[f64], vectors: &[Vector; 3]) -> Option<Self> {
        let mut combination = self.combination;
        for (other, &multiple) in others.iter().zip(multiples) {
            // Beyond this the coefficients themselves would be rounded.
            if multiple.abs() > 1e15 {
                return None;
            }
            for (mine, theirs) in combination.iter_mut().zip(other.combination) {
                *mine = mine.checked_sub((multiple as i64).checked_mul(theirs)?)?;
            }
        }
        let mut vector = [0.0; 3];
        for c in 0..3 {
            if combination[c] != 0 {
                for k in 0..3 {
                    vector[k] += combination[c] as f64 * vectors[c][k];
                }
            }
        }
        Some(Self {
            vector,
            combination,
        })
    }
}

/// Greedy reduction: as long as the longest vector gets shorter by a combination of the others, replace it.
///
/// In three dimensions this ends at a Minkowski-reduced basis. A strict decrease is required of each step, and the
/// number of steps is bounded, so that rounding cannot make it run forever; any basis it stops at is a valid one.
fn reduce(rows: &mut [Row], vectors: &[Vector; 3]) {
    for _ in 0..1000 {
        // A stable sort leaves a cell that is already reduced as it is.
        let mut changed = false;
        for target in (1..rows.len()).rev() {
            rows.sort_by(|p, q| norm2(&p.vector).total_cmp(&norm2(&q.vector)));
            let (others, rest) = rows.split_at(target);
            if let Some(shorter) = shorten(&rest[0], others, vectors) {
                rows[target] = shorter;
                changed = true;
                break;
            }
        }
        if !changed {
            break;
        }
    }
    rows.sort_by_key(|row| (0..3).find(|&c| row.combination[c] != 0));
}

/// `row` minus the lattice point of `others` nearest to it, if that is shorter by more than rounding.
fn shorten(row: &Row, others: &[Row], vectors: &[Vector; 3]) -> Option<Row> {
    let weights: Vec<f64> = match others {
        [a] => vec![dot(&row.vector, &a.vector) / norm2(&a.vector)],
        [a, b] => {
            let (aa, bb, ab) = (
                norm2(&a.vector),
                norm2(&b.vector),
                dot(&a.vector, &b.vector),
            );
            let (ra, rb) = (dot(&row.vector, &a.vector), dot(&row.vector, &b.vector));
            let det = aa * bb - ab * ab;
            if det > 0.0 {
                vec![(ra * bb - rb * ab) / det, (rb * aa - ra * ab) / det]
            } else {
                vec![ra / aa, 0.0]
            }
        }
        _ => return None,
    };
    let mut best: Option<Row> = None;
    let mut shortest = norm2(&row.vector) * (1.0 - 1e-10);
    // The nearest point of a plane lattice is among the corners around the projection and their neighbours.
    let around = |w: f64| [w.round() - 1.0, w.round(), w.round() + 1.0];
    let second = weights.get(1).map_or([0.0; 3], |&w| around(w));
    for p in around(weights[0]) {
        for &q in &second[..if others.len() == 2 { 3 } else { 1 }] {
            if let Some(candidate) = row.minus(others, &[p, q][..others.len()], vectors)
                && norm2(&candidate.vector) < shortest
            {
                shortest = norm2(&candidate.vector);
                best = Some(candidate);
            }
        }
    }
    best
}

/// Fill rows `rank..3` with unit vectors orthogonal to the rows before them.
fn complete(basis: &mut [Vector; 3], rank: usize) {
    match rank {
        1 => {
            let a = unit(&basis[0]);
            // The axis least aligned with a leaves the largest cross product.
            let axis = (0..3)
                .min_by(|&p, &q| a[p].abs().total_cmp(&a[q].abs()))
                .unwrap_or(0);
            let mut e = [0.0; 3];
            e[axis] = 1.0;
            basis[1] = unit(&cross(&a, &e));
            basis[2] = unit(&cross(&a, &basis[1]));
        }
        2 => basis[2] = unit(&cross(&unit(&basis[0]), &unit(&basis[1]))),
        _ => {}
    }
}

fn dual(basis: &[Vector; 3]) -> [Vector; 3] {
    // Unit vectors first: products of very long or very short vectors would leave the range of numbers.
    let lengths = basis.map(|v| norm(&v));
    let units = basis.map(|v| unit(&v));
    let det = determinant(&units);
    [(1, 2), (2, 0), (0, 1)]
        .map(|(p, q)| cross(&units[p], &units[q]))
        .map({
            let mut r = 0;
            move |v| {
                let scale = 1.0 / (det * lengths[r]);
                r += 1;
                v.map(|x| x * scale)
            }
        })
}

/// Whether the vectors are independent, as far as their digits can tell.
pub(super) fn independent(vectors: &[Vector]) -> bool {
    if vectors.iter().any(|v| norm(v) == 0.0) {
        return false;
    }
    let units: Vec<Vector> = vectors.iter().map(unit).collect();
    let volume = match units.as_slice() {
        [a, b] => norm(&cross(a, b)),
        [a, b, c] => determinant(&[*a, *b, *c]).abs(),
        _ => 1.0,
    };
    volume > 16.0 * f64::EPSILON
}

pub(super) fn determinant(v: &[Vector; 3]) -> f64 {
    dot(&v[0], &cross(&v[1], &v[2]))
}

pub(super) fn norm(v: &Vector) -> f64 {
    let largest = v.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    let v = v.map(|x| x / largest);
    largest * norm2(&v).sqrt()
}

fn norm2(v: &Vector) -> f64 {
    dot(v, v)
}

fn unit(v: &Vector) -> Vector {
    let largest = v.iter().fold(f64::MIN_POSITIVE, |m, x| m.max(x.abs()));
    let v = v.map(|x| x / largest);
    let length = norm2(&v).sqrt();
    v.map(|x| x / length)
}

fn dot(p: &Vector, q: &Vector) -> f64 {
    p[0] * q[0] + p[1] * q[1] + p[2] * q[2]
}

fn cross(p: &Vector, q: &Vector) -> Vector {
    [
        p[1] * q[2] - p[2] * q[1],
        p[2] * q[0] - p[0] * q[2],
        p[0] * q[1] - p[1] * q[0],
    ]
}
