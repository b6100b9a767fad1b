//! The periodic cell of a structure.

use super::lattice::{self, Lattice, Vector};
use crate::{Error, Result};

/// A simulation cell: three lattice vectors, and the directions along which it repeats.
///
/// Any cell is accepted: triclinic, left-handed, thin, strongly skewed. Vectors of directions that are not periodic
/// carry no information here and may be zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    vectors: [Vector; 3],
    periodic: [bool; 3],
    lattice: Lattice,
}

impl Cell {
    /// A cell with lattice vectors a, b, c in the rows of `vectors`.
    ///
    /// Fails if a vector is not finite, or if the vectors of the periodic directions are dependent.
    pub fn new(vectors: [[f64; 3]; 3], periodic: [bool; 3]) -> Result<Self> {
        for (vector, name) in vectors.iter().zip(NAMES) {
            for (value, axis) in vector.iter().zip(["x", "y", "z"]) {
                if !value.is_finite() || value.abs() > lattice::LARGEST {
                    return Err(Error::invalid(format!(
                        "cell vector {name} is not finite or out of range ({axis} = {value:?})"
                    )));
                }
            }
        }
        let lattice = Lattice::new(&vectors, periodic)
            .ok_or_else(|| Error::invalid(degenerate(&vectors, periodic)))?;
        Ok(Self {
            vectors,
            periodic,
            lattice,
        })
    }

    /// No cell: nothing repeats.
    pub fn open() -> Self {
        Self {
            vectors: [[0.0; 3]; 3],
            periodic: [false; 3],
            lattice: Lattice::open(),
        }
    }

    /// The lattice vectors, one a row, as given.
    pub fn vectors(&self) -> &[[f64; 3]; 3] {
        &self.vectors
    }

    /// Whether the cell repeats along a, b and c.
    pub fn periodic(&self) -> [bool; 3] {
        self.periodic
    }

    /// The volume, if the three vectors span one.
    pub fn volume(&self) -> Option<f64> {
        lattice::independent(&self.vectors).then(|| lattice::determinant(&self.vectors).abs())
    }

    /// The shortest vector that leads from one atom to the nearest image of another, of one that leads to any image.
    #[inline]
    pub fn nearest(&self, d: Vector) -> Vector {
        if self.lattice.rank == 0 {
            d
        } else {
            self.lattice.nearest(d)
        }
    }

    pub(super) fn lattice(&self) -> &Lattice {
        &self.lattice
    }
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// The text that says which periodic vectors do not span a lattice.
fn degenerate(vectors: &[Vector; 3], periodic: [bool; 3]) -> String {
    let along: Vec<usize> = (0..3).filter(|&c| periodic[c]).collect();
    if let Some(&c) = along
        .iter()
        .find(|&&c| !lattice::independent(&[vectors[c]]))
    {
        return format!(
            "cell has zero volume (det = {:?}) but is periodic along {name}: vector {name} is zero",
            lattice::determinant(vectors),
            name = NAMES[c],
        );
    }
    let names: Vec<&str> = along.iter().map(|&c| NAMES[c]).collect();
    format!(
        "cell has zero volume (det = {:?}) but is periodic along {}: these vectors are linearly dependent",
        lattice::determinant(vectors),
        names.join(", "),
    )
}
