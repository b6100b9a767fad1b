//! A host's own list: checked once when it is set, used in every step until the next.

use super::input::{HostNeighbors, rising};
use crate::{Error, Result};

/// A checked copy of a host's list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DomainList {
    pub atoms: usize,
    pub offsets: Vec<usize>,
    pub neighbors: Vec<u32>,
    pub owners: Option<Vec<u32>>,
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
}

fn check_owners(
    owners: &[i32],
    owned: usize,
    index: impl Fn(i32, usize) -> Option<u32>,
    atoms: usize,
) -> Result<Vec<u32>> {
    if owners.len() != atoms {
        return Err(Error::invalid(format!(
            "{} owners for {atoms} atoms",
            owners.len()
        )));
    }
    let mut checked = Vec::with_capacity(owners.len());
    for (atom, &owner) in owners.iter().enumerate() {
        let found = index(owner, owned)
            .filter(|&found| atom >= owned || found as usize == atom)
            .ok_or_else(|| {
                Error::invalid(format!("owner {owner} of atom {atom} is not one of {owned} owned atoms, or an owned atom has another owner"))
            })?;
        checked.push(found);
    }
    Ok(checked)
}
