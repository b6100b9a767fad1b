//! The search for the pairs of one structure.

use super::distance::{Points, Shell};
use super::grid::{self, Grid};
use super::images::{Image, Images, reserve};
use super::lattice::Vector;
use super::list::{MAX_PAIRS, NeighborList, Structure};
use super::order::Order;
use crate::{Error, Result};

/// Memory of the search, kept from one call to the next.
#[derive(Debug, Default)]
pub struct Workspace {
    images: Images,
    grid: Grid,
    order: Order,
    keys: Vec<u64>,
    points: Points,
    found: Vec<u32>,
    rows: Rows,
}

/// Rows in the order in which they are found, which is that of the bins.
#[derive(Debug, Default)]
struct Rows {
    /// Candidate numbers of all rows.
    candidates: Vec<u32>,
    /// Atom of each row.
    atoms: Vec<u32>,
    /// End of each row in `candidates`.
    ends: Vec<usize>,
}

/// Refuse cutoffs that mean nothing.
pub(super) fn check_cutoff(cutoff: f64) -> Result<()> {
    if cutoff > 0.0 && cutoff <= super::lattice::LARGEST {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "cutoff must be positive and finite, got {cutoff:?}"
    )))
}

/// Append the rows of `structure` to `list`.
///
/// Atoms are numbered on from the rows already there. After an error the list is in no useful state.
pub(super) fn append(
    list: &mut NeighborList,
    structure: &Structure,
    cutoff: f64,
    workspace: &mut Workspace,
) -> Result<()> {
    check_cutoff(cutoff)?;
    let atoms = structure.positions.len();
    if atoms + list.n_atoms() > u32::MAX as usize {
        return Err(Error::invalid(format!(
            "{} atoms are too many: their numbers have 32 bits",
            atoms + list.n_atoms()
        )));
    }
    workspace.images.collect(structure, cutoff)?;
    workspace.grid.sort(&workspace.images, cutoff)?;
    let allowed = MAX_PAIRS - list.n_pairs();
    if workspace.bound() > allowed {
        // Count first, so that what turns out too much has not filled the memory by then.
        workspace.find(structure, cutoff, allowed, false)?;
    }
    workspace.find(structure, cutoff, allowed, true)?;
    workspace.write(list, atoms)
}

impl Workspace {
    /// No fewer pairs than there are.
    fn bound(&self) -> usize {
        let home = if self.images.home.is_empty() {
            self.images.len()
        } else {
            self.images.home.len()
        };
        let all = home.saturating_mul(self.images.len());
        if all <= MAX_PAIRS {
            return all;
        }
        let mut sum = 0_usize;
        for bin in 0..self.grid.len() {
            let members = self.grid.members(bin).len();
            if members > 0 {
                let mut around = 0;
                self.grid.surroundings(bin, |piece| around += piece.len());
                sum = sum.saturating_add(members.saturating_mul(around));
            }
        }
        sum
    }

    /// Find the row of every atom, bin by bin. With `keep` unset, only see whether there are more than `allowed`.
    fn find(
        &mut self,
        structure: &Structure,
        cutoff: f64,
        allowed: usize,
        keep: bool,
    ) -> Result<()> {
        let Self {
            images,
            grid,
            order,
            keys,
            points,
            found,
            rows,
        } = self;
        rows.candidates.clear();
        rows.atoms.clear();
        rows.ends.clear();
        reserve(&mut rows.atoms, structure.positions.len())?;
        reserve(&mut rows.ends, structure.positions.len())?;
        let open = images.home.is_empty();
        let shell = {
            let (inner, outer) = (cutoff - images.tolerance, cutoff + images.tolerance);
            Shell {
                inner: inner.max(0.0).powi(2) * (1.0 - 1e-14),
                outer: outer.powi(2) * (1.0 + 1e-14),
            }
        };
        let mut total = 0_usize;
        for bin in 0..grid.len() {
            let members = grid.members(bin);
            let is_home =
                |&&c: &&u32| open || images.home[images.source[c as usize].atom as usize] == c;
            if !grid.order[members.clone()].iter().any(|c| is_home(&c)) {
                continue;
            }
            keys.clear();
            grid.surroundings(bin, |piece| {
                for place in piece {
                    keys.push(u64::from(grid.order[place]) << 32 | place as u64);
                }
            });
            if grid.len() > 1 {
                order.sort(keys);
            }
            points.clear();
            for &key in keys.iter() {
                let number = (key >> 32) as u32;
                points.push(grid::point(images, number), number);
            }
            points.pad();
            for &own in grid.order[members].iter().filter(is_home) {
                let center = grid::point(images, own);
                let doubtful = points.near(center, shell, found);
                let own_image = source(images, own);
                if doubtful {
                    found.retain(|&c| within(structure, &own_image, &source(images, c), cutoff));
                }
                let place = found.partition_point(|&c| c < own);
                total += found.len() - 1;
                if total > allowed {
                    return Err(Error::invalid(format!(
                        "more than {MAX_PAIRS} pairs are within the cutoff of {cutoff}"
                    )));
                }
                if keep {
                    reserve(&mut rows.candidates, found.len())?;
                    rows.candidates.extend_from_slice(&found[..place]);
                    rows.candidates.extend_from_slice(&found[place + 1..]);
                    rows.ends.push(rows.candidates.len());
                    rows.atoms.push(own_image.atom);
                }
            }
        }
        Ok(())
    }

    /// Write the rows found into the list, in the order of atoms.
    fn write(&self, list: &mut NeighborList, atoms: usize) -> Result<()> {
        let Self { images, rows, .. } = self;
        let (first_atom, first_pair) = (list.n_atoms(), list.n_pairs());
        reserve(&mut list.offsets, atoms)?;
        list.offsets.resize(first_atom + 1 + atoms, 0);
        let offsets = &mut list.offsets[first_atom + 1..];
        let mut begin = 0;
        for (&atom, &end) in rows.atoms.iter().zip(&rows.ends) {
            offsets[atom as usize] = end - begin;
            begin = end;
        }
        let mut sum = first_pair;
        for offset in offsets {
            sum += *offset;
            *offset = sum;
        }

        grow(&mut list.neighbors, sum)?;
        grow(&mut list.shifts, sum)?;
        let mut begin = 0;
        for (&atom, &end) in rows.atoms.iter().zip(&rows.ends) {
            let row = list.row(first_atom + atom as usize);
            let neighbors = &mut list.neighbors[row.clone()];
            let shifts = &mut list.shifts[row];
            let candidates = &rows.candidates[begin..end];
            if images.home.is_empty() {
                for (neighbor, &c) in neighbors.iter_mut().zip(candidates) {
                    *neighbor = first_atom as u32 + c;
                }
                shifts.fill([0; 3]);
            } else {
                let own = images.source[images.home[atom as usize] as usize].shift;
                for ((neighbor, shift), &c) in neighbors.iter_mut().zip(shifts).zip(candidates) {
                    let image = images.source[c as usize];
                    *neighbor = first_atom as u32 + image.atom;
                    *shift = std::array::from_fn(|k| image.shift[k] - own[k]);
                }
            }
            begin = end;
        }
        Ok(())
    }
}

fn source(images: &Images, candidate: u32) -> Image {
    if images.home.is_empty() {
        Image {
            atom: candidate,
            shift: [0; 3],
        }
    } else {
        images.source[candidate as usize]
    }
}

/// The definition of a pair, for those that the search finds so near the cutoff that rounding decides.
///
/// Exchanging the two atoms changes only signs, so both directions get one answer.
fn within(structure: &Structure, from: &Image, to: &Image, cutoff: f64) -> bool {
    let p = &structure.positions[from.atom as usize];
    let q = &structure.positions[to.atom as usize];
    let v = structure.cell.vectors();
    let d: Vector = std::array::from_fn(|k| {
        // A vector along which nothing repeats has a shift of zero.
        let translation: f64 = (0..3)
            .map(|c| f64::from(to.shift[c] - from.shift[c]) * v[c][k])
            .sum();
        (q[k] - p[k]) + translation
    });
    (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt() < cutoff
}

/// Lengthen `vec` to `len` elements.
fn grow<T: Copy + Default>(vec: &mut Vec<T>, len: usize) -> Result<()> {
    reserve(vec, len - vec.len())?;
    vec.resize(len, T::default());
    Ok(())
}
