//! Candidates for pairs: every atom wrapped into the cell, and its periodic images near enough to matter.

use super::grid::Member;
use super::lattice::{LARGEST, Lattice, Vector};
use super::list::Structure;
use crate::{Error, Result};

/// The most periodic images one structure may need, unless thirty-two per atom are more.
///
/// A cell as long as the cutoff needs at most 27 per atom. The limit is met by cells more than a hundred times
/// shorter than the cutoff, which are mistakes (or hostile) and would fill the memory.
pub const MAX_IMAGES: usize = 1 << 24;

/// What a candidate is an image of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Image {
    /// The atom.
    pub atom: u32,
    /// The image is at `positions[atom] + shift · vectors`.
    pub shift: [i32; 3],
}

/// Candidates, in ascending order of atom and then of shift.
///
/// That order is the order of a row of the list: sorting candidate numbers sorts a row by atom and shift.
#[derive(Debug, Default)]
pub(super) struct Images {
    pub position: Vec<Vector>,
    /// Atom and shift of each candidate.
    pub source: Vec<Image>,
    /// Whether each candidate is the atom itself, wrapped.
    pub home: Vec<bool>,
    /// No distance between candidates is wrong by more than this.
    pub tolerance: f64,
    wrapped: Vec<Wrapped>,
    translations: Vec<Translation>,
}

/// An atom moved into the reduced cell.
#[derive(Debug, Clone, Copy)]
struct Wrapped {
    position: Vector,
    /// Coordinates in the reduced basis.
    fraction: Vector,
    /// `position = positions[atom] + shift · vectors`.
    shift: [i32; 3],
}

/// A translation of the lattice.
#[derive(Debug, Clone, Copy)]
struct Translation {
    /// In the reduced basis.
    reduced: [i32; 3],
    /// In the vectors of the cell.
    shift: [i32; 3],
    vector: Vector,
}

impl Images {
    /// The number of candidates.
    pub fn len(&self) -> usize {
        self.position.len()
    }

    /// Candidate `c` as a member of a bin.
    pub fn member(&self, c: usize) -> Member {
        Member {
            position: self.position[c],
            number: c as u32,
            home: self.home[c],
        }
    }

    /// Collect the candidates of `structure`.
    pub fn collect(&mut self, structure: &Structure, cutoff: f64) -> Result<()> {
        self.position.clear();
        self.source.clear();
        self.home.clear();
        let lattice = structure.cell.lattice();
        if lattice.rank == 0 {
            self.collect_open(structure.positions)?;
            self.tolerance = 8.0 * f64::EPSILON * cutoff;
            return Ok(());
        }
        let far = self.wrap(structure.positions, lattice)?;
        self.replicate(lattice, cutoff, far)
    }

    fn collect_open(&mut self, positions: &[Vector]) -> Result<()> {
        reserve(&mut self.position, positions.len())?;
        reserve(&mut self.source, positions.len())?;
        reserve(&mut self.home, positions.len())?;
        for (atom, position) in positions.iter().enumerate() {
            check(atom, position)?;
            self.push(*position, atom, [0; 3], true);
        }
        Ok(())
    }

    fn push(&mut self, position: Vector, atom: usize, shift: [i32; 3], home: bool) {
        self.position.push(position);
        self.source.push(Image {
            atom: atom as u32,
            shift,
        });
        self.home.push(home);
    }

    /// Wrap the atoms. Returns a bound of the largest number that takes part in any distance.
    fn wrap(&mut self, positions: &[Vector], lattice: &Lattice) -> Result<f64> {
        self.wrapped.clear();
        reserve(&mut self.wrapped, positions.len())?;
        let mut largest = 0.0_f64;
        let mut cells = [0.0_f64; 3];
        for (atom, position) in positions.iter().enumerate() {
            check(atom, position)?;
            let mut fraction = lattice
                .dual
                .map(|d| d[0] * position[0] + d[1] * position[1] + d[2] * position[2]);
            let mut wrapped = *position;
            let mut shift = [0_i32; 3];
            let mut whole = [0.0; 3];
            for r in 0..lattice.rank {
                whole[r] = fraction[r].floor();
            }
            if whole != [0.0; 3] {
                for r in 0..lattice.rank {
                    fraction[r] -= whole[r];
                    cells[r] = cells[r].max(whole[r].abs());
                }
                let (vector, exact) = lattice.translation(whole);
                for k in 0..3 {
                    wrapped[k] -= vector[k];
                    shift[k] = small(-exact[k]).ok_or_else(|| {
                        Error::invalid(format!(
                            "position of atom {atom} is too many cells away from the cell ({:e} lattice vectors)",
                            exact[k]
                        ))
                    })?;
                }
            }
            largest = position.iter().fold(largest, |m, v| m.max(v.abs()));
            self.wrapped.push(Wrapped {
                position: wrapped,
                fraction,
                shift,
            });
        }
        Ok((0..lattice.rank).fold(largest, |sum, r| sum + cells[r] * lattice.magnitude[r]))
    }

    /// List the images of the wrapped atoms within reach of any of them.
    fn replicate(&mut self, lattice: &Lattice, cutoff: f64, far: f64) -> Result<()> {
        let rank = lattice.rank;
        let heights: [f64; 3] = std::array::from_fn(|r| lattice.height(r));
        let across = (0..rank).fold(0.0, |sum, r| {
            sum + (cutoff / heights[r] + 2.0) * lattice.magnitude[r]
        });
        self.tolerance = 32.0 * f64::EPSILON * (far + across + cutoff);
        let reach = cutoff + self.tolerance;

        // Only as far as the atoms extend: a slab in a tall cell needs no images across the vacuum.
        let mut least = [f64::INFINITY; 3];
        let mut most = [f64::NEG_INFINITY; 3];
        for atom in &self.wrapped {
            enclose(&mut least, &mut most, &atom.fraction);
        }
        let margins: [f64; 3] = std::array::from_fn(|r| reach / heights[r] * (1.0 + 1e-9) + 1e-9);
        let interval = |r: usize, fraction: f64| {
            if r < rank {
                let first = (least[r] - margins[r] - fraction).ceil().min(0.0);
                let last = (most[r] + margins[r] - fraction).floor().max(0.0);
                (first, last)
            } else {
                (0.0, 0.0)
            }
        };

        // Counted in floating point, since a hostile cell overflows any integer.
        let (mut lowest, mut highest) = ([0.0_f64; 3], [0.0_f64; 3]);
        let mut total = 0.0;
        for atom in &self.wrapped {
            let mut images = 1.0;
            for r in 0..rank {
                let (first, last) = interval(r, atom.fraction[r]);
                images *= last - first + 1.0;
                lowest[r] = lowest[r].min(first);
                highest[r] = highest[r].max(last);
            }
            total += images;
        }
        let atoms = self.wrapped.len();
        let translations = (0..3).fold(1.0, |n, r| n * (highest[r] - lowest[r] + 1.0));
        let limit = MAX_IMAGES
            .max(atoms.saturating_mul(32))
            .min(u32::MAX as usize) as f64;
        let needed = f64::max(total, translations);
        if needed.is_nan() || needed > limit {
            return Err(Error::invalid(format!(
                "cutoff {cutoff} is too long for the cell: {needed:.3e} periodic images of {atoms} atoms are needed, \
                 the limit is {limit:.3e}"
            )));
        }
        self.list_translations(lattice, lowest, highest)?;

        let total = total as usize;
        reserve(&mut self.position, total)?;
        reserve(&mut self.source, total)?;
        reserve(&mut self.home, total)?;
        // The images were counted in a skewed frame; those beyond the upright box around the atoms can go.
        let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
        for atom in &self.wrapped {
            enclose(&mut low, &mut high, &atom.position);
        }
        let (low, high) = (low.map(|v| v - reach), high.map(|v| v + reach));
        for number in 0..atoms {
            let atom = self.wrapped[number];
            let intervals: [(i32, i32); 3] = std::array::from_fn(|r| {
                let (first, last) = interval(r, atom.fraction[r]);
                (first as i32, last as i32)
            });
            if intervals == [(0, 0); 3] {
                self.push(atom.position, number, atom.shift, true);
                continue;
            }
            for t in 0..self.translations.len() {
                let translation = self.translations[t];
                let inside =
                    |r: usize| (intervals[r].0..=intervals[r].1).contains(&translation.reduced[r]);
                if !(inside(0) && inside(1) && inside(2)) {
                    continue;
                }
                let home = translation.reduced == [0; 3];
                let p: Vector = std::array::from_fn(|k| atom.position[k] + translation.vector[k]);
                if home || (0..3).all(|k| p[k] >= low[k] && p[k] <= high[k]) {
                    let shift = std::array::from_fn(|c| atom.shift[c] + translation.shift[c]);
                    self.push(p, number, shift, home);
                }
            }
        }
        Ok(())
    }

    /// All translations of the given range, in ascending order of shift.
    fn list_translations(&mut self, lattice: &Lattice, low: Vector, high: Vector) -> Result<()> {
        let (low, high) = (low.map(|v| v as i32), high.map(|v| v as i32));
        self.translations.clear();
        let count: usize = (0..3).map(|r| (high[r] - low[r] + 1) as usize).product();
        reserve(&mut self.translations, count)?;
        for p in low[0]..=high[0] {
            for q in low[1]..=high[1] {
                for s in low[2]..=high[2] {
                    let reduced = [p, q, s];
                    let (vector, exact) = lattice.translation(reduced.map(f64::from));
                    let mut shift = [0; 3];
                    for (s, e) in shift.iter_mut().zip(exact) {
                        *s = small(e).ok_or_else(|| {
                            Error::invalid(format!(
                                "cell is too skewed: an image is {e:e} lattice vectors away"
                            ))
                        })?;
                    }
                    self.translations.push(Translation {
                        reduced,
                        shift,
                        vector,
                    });
                }
            }
        }
        self.translations.sort_unstable_by_key(|t| t.shift);
        Ok(())
    }
}

/// A shift that can be added to three others without overflow.
fn small(value: f64) -> Option<i32> {
    (value.abs() < f64::from(1 << 29)).then_some(value as i32)
}

pub(super) fn enclose(low: &mut Vector, high: &mut Vector, point: &Vector) {
    for k in 0..3 {
        low[k] = low[k].min(point[k]);
        high[k] = high[k].max(point[k]);
    }
}

fn check(atom: usize, position: &Vector) -> Result<()> {
    // One comparison a coordinate finds both NaN and excess.
    if position.iter().all(|v| v.abs() <= LARGEST) {
        return Ok(());
    }
    for (value, axis) in position.iter().zip(["x", "y", "z"]) {
        if !value.is_finite() {
            return Err(Error::invalid(format!(
                "position of atom {atom} is not finite ({axis} = {value:?})"
            )));
        }
    }
    Err(Error::invalid(format!(
        "position of atom {atom} is out of range ({position:?}, the limit is {LARGEST:e})"
    )))
}

/// Room for `additional` more, or an error instead of an abort.
pub(super) fn reserve<T>(vec: &mut Vec<T>, additional: usize) -> Result<()> {
    vec.try_reserve(additional).map_err(|_| {
        Error::OutOfMemory(format!(
            "neighbour list: {} more elements of {} bytes",
            additional,
            size_of::<T>()
        ))
    })
}
