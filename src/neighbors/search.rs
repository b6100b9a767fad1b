//! The search for the pairs of one structure.

use super::distance::{Points, Shell};
use super::grid::{Grid, Member};
use super::images::{Image, Images, reserve};
use super::lattice::Vector;
use super::list::{MAX_PAIRS, NeighborList, Structure};
use super::order::Order;
use crate::{Error, Result};
use std::ops::Range;

/// Memory of the search, kept from one call to the next.
#[derive(Debug, Default)]
pub struct Workspace {
    images: Images,
    grid: Grid,
    order: Order,
    keys: Vec<u64>,
    points: Points,
    buffer: Vec<u32>,
    rows: Rows,
}

/// Rows in the order in which they are found, which is that of the bins.
#[derive(Debug, Default)]
struct Rows {
    /// Places in the grid of the second atoms of all pairs.
    neighbors: Vec<u32>,
    /// Place in the grid of the atom of each row.
    centers: Vec<u32>,
    /// End of each row in `neighbors`.
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
/// Atoms are numbered on from the rows already there, between [`NeighborList::start`] and
/// [`NeighborList::finish`]. After an error the list is in no useful state.
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
    let allowed = MAX_PAIRS - list.end();
    if workspace.bound(atoms) > allowed {
        // Count first, so that what turns out too much has not filled the memory by then.
        workspace.find(structure, cutoff, allowed, false)?;
    }
    workspace.find(structure, cutoff, allowed, true)?;
    workspace.write(list, atoms)
}

impl Workspace {
    /// No fewer pairs than there are.
    fn bound(&self, atoms: usize) -> usize {
        let all = atoms.saturating_mul(self.images.len());
        if all <= MAX_PAIRS {
            return all;
        }
        let mut sum = 0_usize;
        for bin in 0..self.grid.len() {
            let members = self.grid.range(bin).len();
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
            buffer,
            rows,
        } = self;
        rows.neighbors.clear();
        rows.centers.clear();
        rows.ends.clear();
        reserve(&mut rows.centers, structure.positions.len())?;
        reserve(&mut rows.ends, structure.positions.len())?;
        let shell = {
            let (inner, outer) = (cutoff - images.tolerance, cutoff + images.tolerance);
            Shell {
                inner: inner.max(0.0).powi(2) * (1.0 - 1e-14),
                outer: outer.powi(2) * (1.0 + 1e-14),
            }
        };
        let mut total = 0_usize;
        for bin in 0..grid.len() {
            let range = grid.range(bin);
            let members = &grid.members[range.clone()];
            let Some(surface) = Surface::around(members) else {
                continue;
            };
            keys.clear();
            grid.surroundings(bin, |piece| surface.gather(grid, piece, shell.outer, keys));
            if grid.len() > 1 {
                order.sort(keys);
            }
            points.fill(keys.iter().map(|&key| {
                let place = key as u32;
                (grid.members[place as usize].position, place)
            }));
            buffer.resize(points.room(), 0);
            for own in range.filter(|&place| grid.members[place].home) {
                let near = points.near(grid.members[own].position, shell, buffer);
                let mut found = &mut buffer[..near.count];
                if near.doubtful {
                    let mut kept = 0;
                    for n in 0..found.len() {
                        if within(
                            structure,
                            &grid.sources[own],
                            &grid.sources[found[n] as usize],
                            cutoff,
                        ) {
                            found[kept] = found[n];
                            kept += 1;
                        }
                    }
                    found = &mut found[..kept];
                }
                let own = own as u32;
                // The atom is always near itself; what is before and after it is the row.
                let at = found
                    .iter()
                    .position(|&place| place == own)
                    .unwrap_or(found.len());
                total += found.len() - 1;
                if total > allowed {
                    return Err(Error::invalid(format!(
                        "more than {MAX_PAIRS} pairs are within the cutoff of {cutoff}"
                    )));
                }
                if keep {
                    reserve(&mut rows.neighbors, found.len())?;
                    rows.neighbors.extend_from_slice(&found[..at]);
                    rows.neighbors.extend_from_slice(&found[at + 1..]);
                    rows.ends.push(rows.neighbors.len());
                    rows.centers.push(own);
                }
            }
        }
        Ok(())
    }

    /// Write the rows found into the list, in the order of atoms.
    fn write(&self, list: &mut NeighborList, atoms: usize) -> Result<()> {
        let Self { grid, rows, .. } = self;
        let (first_atom, first_pair) = (list.n_atoms(), list.end());
        reserve(&mut list.offsets, atoms)?;
        list.offsets.resize(first_atom + 1 + atoms, 0);
        let offsets = &mut list.offsets[first_atom + 1..];
        let mut begin = 0;
        for (&center, &end) in rows.centers.iter().zip(&rows.ends) {
            offsets[grid.sources[center as usize].atom as usize] = end - begin;
            begin = end;
        }
        let mut sum = first_pair;
        for offset in offsets {
            sum += *offset;
            *offset = sum;
        }

        // Lists still have the length of the search before, so that only what they grow by is filled twice.
        grow(&mut list.neighbors, sum)?;
        let used = list.shifts.len().min(sum);
        list.shifts[first_pair..used].fill([0; 3]);
        grow(&mut list.shifts, sum)?;
        let mut begin = 0;
        for (&center, &end) in rows.centers.iter().zip(&rows.ends) {
            let from = grid.sources[center as usize];
            let row = list.row(first_atom + from.atom as usize);
            let places = &rows.neighbors[begin..end];
            begin = end;
            let mut differences = 0;
            for (neighbor, &place) in list.neighbors[row.clone()].iter_mut().zip(places) {
                let to = &grid.sources[place as usize];
                *neighbor = first_atom as u32 + to.atom;
                for k in 0..3 {
                    differences |= to.shift[k] ^ from.shift[k];
                }
            }
            // Most rows of a large structure do not cross the cell, and their shifts are zero already.
            if differences != 0 {
                for (shift, &place) in list.shifts[row].iter_mut().zip(places) {
                    let to = &grid.sources[place as usize];
                    *shift = std::array::from_fn(|k| to.shift[k] - from.shift[k]);
                }
            }
        }
        Ok(())
    }
}

/// The box around the atoms of a bin.
struct Surface {
    low: Vector,
    high: Vector,
}

impl Surface {
    /// None if all members are images.
    fn around(members: &[Member]) -> Option<Self> {
        let mut surface = Self {
            low: [f64::INFINITY; 3],
            high: [f64::NEG_INFINITY; 3],
        };
        for member in members.iter().filter(|member| member.home) {
            for k in 0..3 {
                surface.low[k] = surface.low[k].min(member.position[k]);
                surface.high[k] = surface.high[k].max(member.position[k]);
            }
        }
        (surface.low[0] <= surface.high[0]).then_some(surface)
    }

    /// Append those of `piece` that are near enough to the box for a pair: number above, place below 32 bits.
    fn gather(&self, grid: &Grid, piece: Range<usize>, outer: f64, keys: &mut Vec<u64>) {
        let first = piece.start as u64;
        let start = keys.len();
        keys.resize(start + piece.len(), 0);
        let out = &mut keys[start..];
        let mut count = 0;
        for (n, member) in grid.members[piece].iter().enumerate() {
            let mut square = 0.0;
            for k in 0..3 {
                let p = member.position[k];
                let d = (self.low[k] - p).max(p - self.high[k]).max(0.0);
                square += d * d;
            }
            // A store for every candidate and a step for those near: no branch to mispredict.
            out[count] = u64::from(member.number) << 32 | (first + n as u64);
            count += usize::from(square <= outer);
        }
        keys.truncate(start + count);
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

/// Lengthen `vec` to `len` elements, the new ones zero, if it is shorter.
fn grow<T: Copy + Default>(vec: &mut Vec<T>, len: usize) -> Result<()> {
    let additional = len.saturating_sub(vec.len());
    if vec.capacity() == 0 {
        // Asked for once to fail with an error rather than an abort; then as zeros, which the system hands out
        // without a pass over the memory.
        reserve(vec, additional)?;
        *vec = Vec::new();
        *vec = vec![T::default(); len];
    } else if additional > 0 {
        reserve(vec, additional)?;
        vec.resize(len, T::default());
    }
    Ok(())
}
