//! Pairs that are left out of the graph, as bonded neighbours are in coarse-grained models.

use crate::{Error, Result};

/// Sorted, directed pairs of atoms.
#[derive(Debug, Default)]
pub(super) struct Exclusions {
    pairs: Vec<[u32; 2]>,
    /// What they were made of.
    given: Vec<[i32; 2]>,
    atoms: usize,
}

impl Exclusions {
    /// Both directions of every pair; indices are of the whole batch, `atoms` of them.
    pub fn new(pairs: &[[i32; 2]], atoms: usize) -> Result<Self> {
        check(pairs, atoms)?;
        let mut both: Vec<[u32; 2]> = pairs
            .iter()
            .map(|pair| pair.map(|atom| atom as u32))
            .flat_map(|[i, j]| [[i, j], [j, i]])
            .collect();
        both.sort_unstable();
        both.dedup();
        Ok(Self {
            pairs: both,
            given: pairs.to_vec(),
            atoms,
        })
    }

    /// Whether they were made of these.
    pub fn are_of(&self, pairs: &[[i32; 2]], atoms: usize) -> bool {
        self.given == pairs && (self.atoms == atoms || pairs.is_empty())
    }

    /// The senders that receiver `i` does not hear.
    fn of(&self, i: usize) -> &[[u32; 2]] {
        let i = i as u32;
        let start = self.pairs.partition_point(|pair| pair[0] < i);
        let length = self.pairs[start..].partition_point(|pair| pair[0] == i);
        &self.pairs[start..start + length]
    }

    /// Removes the excluded pairs from a list in compressed rows, keeping the order of the rest.
    pub fn remove(
        &self,
        offsets: &mut [usize],
        neighbors: &mut Vec<u32>,
        shifts: &mut Vec<[i32; 3]>,
    ) {
        if self.pairs.is_empty() {
            return;
        }
        let mut kept = 0;
        let mut start = offsets[0];
        for i in 0..offsets.len() - 1 {
            let (excluded, end) = (self.of(i), offsets[i + 1]);
            for pair in start..end {
                let j = neighbors[pair];
                if excluded.binary_search_by_key(&j, |pair| pair[1]).is_err() {
                    neighbors[kept] = j;
                    shifts[kept] = shifts[pair];
                    kept += 1;
                }
            }
            start = end;
            offsets[i + 1] = kept;
        }
        neighbors.truncate(kept);
        shifts.truncate(kept);
    }
}

/// Refuses pairs that do not join two of `atoms` atoms.
pub(super) fn check(pairs: &[[i32; 2]], atoms: usize) -> Result<()> {
    let there = |atom: i32| u32::try_from(atom).is_ok_and(|atom| (atom as usize) < atoms);
    let wrong = |&[i, j]: &[i32; 2]| !there(i) || !there(j) || i == j;
    let Some(number) = pairs.iter().position(wrong) else {
        return Ok(());
    };
    let [i, j] = pairs[number];
    Err(Error::invalid(format!(
        "excluded pair {number} joins atoms {i} and {j} of {atoms}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_both_directions_and_every_image() {
        let exclusions = Exclusions::new(&[[0, 2]], 3).unwrap();
        let mut offsets = vec![0, 3, 4, 6];
        let mut neighbors = vec![1, 2, 2, 0, 0, 1];
        let mut shifts = vec![[0; 3], [0; 3], [1, 0, 0], [0; 3], [0; 3], [0; 3]];
        exclusions.remove(&mut offsets, &mut neighbors, &mut shifts);
        assert_eq!((offsets, neighbors), (vec![0, 1, 2, 3], vec![1, 0, 1]));
        assert_eq!(shifts.len(), 3);
    }

    #[test]
    fn refuses_atoms_that_are_not_there() {
        let error = Exclusions::new(&[[0, 1], [1, 3]], 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid argument: excluded pair 1 joins atoms 1 and 3 of 3"
        );
        let error = Exclusions::new(&[[-1, 1]], 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid argument: excluded pair 0 joins atoms -1 and 1 of 3"
        );
    }
}
