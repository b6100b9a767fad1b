//! A host's own list: checked once when it is set, used in every step until the next.

use super::input::{HostNeighbors, rising};
use crate::engine::Owners;
use crate::{Error, Result};

/// A checked copy of a host's list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DomainList {
    pub atoms: usize,
    pub offsets: Vec<usize>,
    pub neighbors: Vec<u32>,
    owners: Option<Copies>,
}

/// Rows of features, as [`Owners`].
#[derive(Debug, Clone, PartialEq)]
struct Copies {
    rows: Vec<u32>,
    remote: Vec<u32>,
}

impl DomainList {
    pub fn new(host: &HostNeighbors) -> Result<Self> {
        let owned = host
            .offsets
            .len()
            .checked_sub(1)
            .ok_or_else(|| Error::invalid("neighbour offsets are empty"))?;
        if owned > host.atoms || host.atoms > i32::MAX as usize {
            return Err(Error::invalid(format!(
                "{owned} owned atoms of {} in all",
                host.atoms
            )));
        }
        rising(
            host.offsets,
            host.neighbors.len(),
            "neighbour offsets",
            "neighbours",
        )?;
        let index = |value: i32, bound: usize| {
            let value = i64::from(value) - i64::from(host.base);
            (0..bound as i64).contains(&value).then_some(value as u32)
        };
        let mut neighbors = Vec::with_capacity(host.neighbors.len());
        for i in 0..owned {
            for &neighbor in &host.neighbors[host.offsets[i]..host.offsets[i + 1]] {
                neighbors.push(index(neighbor, host.atoms).ok_or_else(|| {
                    Error::invalid(format!(
                        "neighbour {neighbor} of atom {i} is not one of {} atoms",
                        host.atoms
                    ))
                })?);
            }
        }
        let owners = host
            .owners
            .map(|owners| check_owners(owners, owned, index, host.atoms))
            .transpose()?;
        Ok(Self {
            atoms: host.atoms,
            offsets: host.offsets.to_vec(),
            neighbors,
            owners,
        })
    }

    pub fn owned(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether the host said which atoms ghosts are copies of.
    pub fn has_owners(&self) -> bool {
        self.owners.is_some()
    }

    pub fn owners(&self) -> Option<Owners<'_>> {
        self.owners.as_ref().map(|copies| Owners {
            rows: &copies.rows,
            remote: &copies.remote,
        })
    }

    /// Number of rows whose features are not computed here.
    pub fn elsewhere(&self) -> usize {
        match &self.owners {
            Some(copies) => copies.remote.len(),
            None => self.atoms - self.owned(),
        }
    }
}

fn check_owners(
    owners: &[i32],
    owned: usize,
    index: impl Fn(i32, usize) -> Option<u32>,
    atoms: usize,
) -> Result<Copies> {
    if owners.len() != atoms {
        return Err(Error::invalid(format!(
            "{} owners for {atoms} atoms",
            owners.len()
        )));
    }
    let mut rows = Vec::with_capacity(atoms);
    let mut remote = Vec::new();
    for (atom, &owner) in owners.iter().enumerate() {
        let found = index(owner, atoms).ok_or_else(|| {
            Error::invalid(format!(
                "owner {owner} of atom {atom} is not one of {atoms} atoms"
            ))
        })?;
        let itself = found as usize == atom;
        if atom < owned && !itself {
            return Err(Error::invalid(format!(
                "owner {owner} of atom {atom} is another atom, but this one is owned"
            )));
        }
        rows.push(found);
        if atom >= owned && itself {
            remote.push(found);
        }
    }
    // From atoms to their rows.
    for (atom, &owner) in owners.iter().enumerate().skip(owned) {
        if rows[atom] as usize >= owned {
            let place = remote.binary_search(&rows[atom]).map_err(|_| {
                Error::invalid(format!(
                    "owner {owner} of atom {atom} is a ghost that has another owner itself"
                ))
            })?;
            rows[atom] = (owned + place) as u32;
        }
    }
    Ok(Copies { rows, remote })
}
